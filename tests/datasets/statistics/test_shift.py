"""The input's shift against NumPy over all numbers, and its errors against the spread of many experiments."""

from __future__ import annotations

import numpy as np
import pytest

from corrstore.datasets.statistics.gradients import gradient_power
from corrstore.datasets.statistics.histograms import physical_edges
from corrstore.datasets.statistics.shift import (
    LEAST_MATCHED,
    FieldMoments,
    same_months_and_hours,
    shares_beyond,
    shift,
    standard_error,
)
from corrstore.datasets.variables.channels import channel_named

DAY = np.timedelta64(1, "D")
SHAPE = (6, 7)


def days(number: int, start: str = "2020-07-01T12") -> np.ndarray:
    return (np.datetime64(start, "s") + np.arange(number) * DAY).astype("datetime64[s]")


def moments(fields: np.ndarray, times: np.ndarray) -> FieldMoments:
    """The moments of fields [sample, lat, lon]."""
    return FieldMoments(times, fields.mean(axis=(1, 2)), fields.var(axis=(1, 2)), powers(fields))


def powers(fields: np.ndarray) -> np.ndarray:
    """The mean squared difference of neighbours of each field."""
    squares = [np.diff(fields, axis=axis).reshape(len(fields), -1) ** 2 for axis in (1, 2)]
    return np.concatenate(squares, axis=1).mean(axis=1)


def weather(rng: np.random.Generator, number: int, persistence: float = 0.0) -> np.ndarray:
    """Fields [sample, lat, lon] about 280: a level of each day, with memory, and independent numbers about it."""
    steps, level = rng.normal(size=number), np.empty(number)
    level[0] = steps[0]
    for day in range(1, number):
        level[day] = persistence * level[day - 1] + np.sqrt(1 - persistence**2) * steps[day]
    return 280 + level[:, None, None] + rng.normal(size=(number, *SHAPE))


def test_it_is_what_numpy_finds_in_all_numbers():
    rng = np.random.default_rng(0)
    given, training = 3 + 1.4 * weather(rng, 25), weather(rng, 40)
    found = shift(moments(given, days(25)), np.zeros(25), moments(training, days(40)))
    assert (found.samples, found.training_samples, found.matched) == (25, 31, True)  # of July
    known = training[:31]
    assert found.mean_shift.value == pytest.approx((given.mean() - known.mean()) / known.std(), rel=1e-10)
    assert found.std_ratio.value == pytest.approx(given.std() / known.std(), rel=1e-10)
    assert found.power_ratio.value == pytest.approx(powers(given).mean() / powers(known).mean(), rel=1e-10)
    assert [gradient_power(field).power for field in given] == pytest.approx(powers(given), rel=1e-12)


@pytest.mark.parametrize(
    ("bias", "growth", "persistence"), [(0.0, 1.0, 0.0), (0.0, 1.0, 0.6), (0.8, 1.0, 0.0), (0.0, 1.3, 0.0)]
)
def test_what_is_planted_comes_out_within_its_error(bias, growth, persistence):
    """Inputs of the training distribution, or with a bias and growth that are known: so many errors off, as often."""
    rng = np.random.default_rng(1)
    std = np.sqrt(2)
    off = []
    for _ in range(200):
        given = 280 + growth * (weather(rng, 60, persistence) - 280) + bias
        found = shift(
            moments(given, days(60, "2020-07-03T12")),
            np.zeros(60),
            moments(weather(rng, 400, persistence), days(400, "2019-06-01T12")),
        )
        assert found.matched
        off.append(
            [
                (found.mean_shift.value - bias / std) / found.mean_shift.error,
                (found.std_ratio.value - growth) / found.std_ratio.error,
                (found.power_ratio.value - growth**2) / found.power_ratio.error,
            ]
        )
    within = np.mean(np.abs(off) < 2, axis=0)
    assert (within > 0.88).all() and (np.std(off, axis=0) > 0.8).all(), (within, np.std(off, axis=0))


def test_smoothing_is_a_loss_of_small_scale_power_alone():
    rng = np.random.default_rng(2)
    fields = rng.normal(size=(40, 30, 30)).cumsum(axis=1).cumsum(axis=2)
    smooth = sum(np.roll(fields, step, axis=axis) for axis in (1, 2) for step in (-1, 1))[:, 1:-1, 1:-1] / 4
    inner = fields[:, 1:-1, 1:-1]
    found = shift(moments(smooth, days(40)), np.zeros(40), moments(inner, days(40)))
    assert found.power_ratio.value + 5 * found.power_ratio.error < 1
    assert abs(found.mean_shift.value) < found.mean_shift.error
    assert abs(found.std_ratio.value - 1) < found.std_ratio.error


def test_samples_of_a_day_count_as_one_and_one_day_has_no_error():
    values = np.random.default_rng(3).normal(size=20)
    values -= values.mean()
    twice = np.sort(np.concatenate([days(20), days(20) + np.timedelta64(6, "h")]))
    assert standard_error(np.repeat(values, 2), twice) == pytest.approx(standard_error(values, days(20)), rel=1e-12)
    assert standard_error(values[:5], days(5)) == pytest.approx(np.std(values[:5], ddof=1) / np.sqrt(5), abs=0.2)
    assert np.isnan(standard_error(np.array([-1.0, 1.0]), days(1).repeat(2)))


def test_they_are_compared_with_the_same_months_and_hours_or_with_all():
    training = np.arange("2018-01-01", "2020-01-01", np.timedelta64(6, "h"), dtype="datetime64[s]")
    given = np.array(["2021-02-27T06", "2021-03-02T18"], "datetime64[s]")
    chosen = training[same_months_and_hours(given, training)]
    expected = [time for time in training if (time.astype(object).month, time.astype(object).hour) in ((2, 6), (3, 18))]
    assert list(chosen) == expected
    rng = np.random.default_rng(4)
    for number, matched in ((LEAST_MATCHED, True), (LEAST_MATCHED - 1, False)):
        times = np.concatenate([days(number), days(50, "2020-01-01T12")])
        found = shift(
            moments(weather(rng, 5), days(5)), np.zeros(5), moments(weather(rng, number + 50), np.sort(times))
        )
        assert (found.matched, found.training_samples) == (matched, number if matched else number + 50)


def test_the_share_beyond_the_range_is_right_to_a_bin():
    rng = np.random.default_rng(5)
    edges = physical_edges(channel_named("t2m").variable)
    fields = rng.normal(290, 8, (6, 4000))
    fields[0] = rng.uniform(285, 295, 4000)
    counts = np.stack(
        [np.bincount(np.searchsorted(edges, field, "right"), minlength=edges.size + 1) for field in fields]
    )
    low, high = 276.3, 301.77
    found = shares_beyond(counts, edges, fields.min(axis=1), fields.max(axis=1), low, high)
    exact = ((fields < low) | (fields > high)).mean(axis=1)
    in_bins = [
        (np.searchsorted(edges, fields, "right") == np.searchsorted(edges, end)).mean(axis=1) for end in (low, high)
    ]
    assert found[0] == exact[0] == 0 and exact[1:].min() > 0.05
    assert (np.abs(found - exact) < 0.5 * sum(in_bins) + 1e-12).all()


def test_gradient_power_counts_pairs_of_known_neighbours():
    field = np.array([[1.0, 3.0, np.nan], [2.0, 7.0, 4.0]])
    found = gradient_power(field)
    assert (found.pairs, found.power) == (5, pytest.approx(np.mean(np.square([2, 5, -3, 1, 4]))))
    assert np.isnan(gradient_power(np.full((2, 2), np.nan)).power)
