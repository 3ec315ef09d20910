"""Intervals hold the truth as often as they say, and differences are of the same resamples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control, t

from corrstore.training.evaluation.uncertainty import (
    Estimate,
    block_lengths,
    block_of_days,
    estimated,
    reservation,
    significant,
    skill,
)

CORRELATIONS = (0.0, 0.3, 0.6, 0.8, 0.9, 0.95)


def autoregression(units, r, series, seed=0):
    """Return series [unit, series] with mean 0, variance 1 and this lag-1 autocorrelation."""
    noise = np.random.default_rng(seed).standard_normal((units, series))
    noise[1:] *= np.sqrt(1 - r * r)
    for i in range(1, units):
        noise[i] += r * noise[i - 1]
    return noise


def mean_of(series):
    return lambda counts: np.tensordot(counts, series, 1) / counts.sum(axis=1).reshape(-1, *(1,) * (series.ndim - 1))


def coverage(found: Estimate):
    return np.mean((found.low <= 0) & (found.high >= 0))


@pytest.mark.parametrize("r", CORRELATIONS)
def test_an_interval_of_a_season_of_three_hourly_scores_holds_the_truth(r):
    found = estimated(mean_of(autoregression(736, r, 600)), 736)
    assert 0.92 <= coverage(found) <= 0.97
    assert np.median(found.effective) == pytest.approx(736 * (1 - r) / (1 + r), rel=0.35)


@pytest.mark.slow
@pytest.mark.parametrize("units", [31, 62, 124, 248, 736, 2208])
def test_an_interval_holds_the_truth_where_three_effective_samples_are(units):
    for r in CORRELATIONS:
        found, effective = estimated(mean_of(autoregression(units, r, 4000)), units), units * (1 - r) / (1 + r)
        assert effective < 3 or 0.92 <= coverage(found) <= 0.97, (r, coverage(found))
        assert effective >= 10 or np.mean(found.effective < 30) > 0.8, "few samples are told"


def test_block_lengths_are_those_of_another_implementation():
    theirs = {(60, 0.0): 1.0, (100, 0.5): 4.17321024, (400, 0.8): 23.46498217, (1000, 0.9): 33.13346381}  # arch 8.0.0
    rng = np.random.default_rng(7)
    for (units, r), length in theirs.items():
        series = rng.standard_normal(units)
        for i in range(1, units):
            series[i] += r * series[i - 1]
        assert block_lengths(series) == pytest.approx(length, rel=1e-8)


def test_the_error_of_a_skill_is_that_of_paired_resamples():
    """Both errors are ratios of sums, with a common part; so are resamples of the same blocks for both predictors."""
    units, block, rng = 400, 5, np.random.default_rng(1)
    white = rng.standard_normal((units + 1, 3))
    ours, theirs, common = (white[1:] - 0.5 * white[:-1]).T  # no positive autocorrelation: no bias is divided out
    squares = np.stack([1 + 0.1 * (common + 0.3 * ours), 2 + 0.2 * (common + 0.3 * theirs)], axis=1)
    weights = rng.uniform(0.5, 1, (units, 1))

    def statistic(counts):
        return skill(np.sqrt(counts @ (squares * weights) / (counts @ weights)), baseline=1)

    found = estimated(statistic, units, block)
    starts = rng.integers(units, size=(4000, units // block, 1))
    drawn = ((starts + np.arange(block)) % units).reshape(4000, -1)
    counts = np.stack([np.bincount(each, minlength=units) for each in drawn]).astype(np.float64)
    deviation = statistic(counts)[:, 0].std() / np.sqrt(1 - block / units)
    half = t.ppf(0.975, 1.5 * units / block - 1) * deviation
    assert (found.high - found.value)[0] == pytest.approx(half, rel=0.04)
    alone = estimated(lambda counts: np.sqrt(counts @ (squares * weights) / (counts @ weights)), units, block)
    assert half < 0.5 * (alone.high - alone.value)[0] / alone.value[1], "what both have in common cancels"
    assert np.isnan(found.p[1]), "nothing is known of a predictor's skill against itself"


def test_an_interval_holds_0_where_its_p_value_says_so():
    series = autoregression(62, 0.5, 200) + np.linspace(0, 1, 200)
    found = estimated(mean_of(series), 62)
    np.testing.assert_array_equal((found.low <= 0) & (found.high >= 0), found.p >= 0.05)
    assert 20 < np.count_nonzero(found.p < 0.05) < 180


@given(st.lists(st.floats(0, 1) | st.just(np.nan), max_size=30))
def test_significance_is_that_of_another_implementation(p):
    values = np.array(p)
    known = np.isfinite(values)
    adjusted = np.ones(values.size)
    adjusted[known] = false_discovery_control(values[known]) if known.any() else []
    clear = np.abs(adjusted - 0.05) > 1e-9  # elsewhere rounding decides
    np.testing.assert_array_equal(significant(values)[clear], (adjusted <= 0.05)[clear])


def test_few_samples_are_said_in_words():
    few = estimated(mean_of(autoregression(7, 0, 1)), 7)
    assert np.isnan([few.low, few.high, few.p, few.effective]).all()
    assert reservation(few.effective[0], 7, "sample") == "7 samples are too few for an interval; it needs 8"
    assert reservation(few.effective[0], 1, "run") == "1 run is too few for an interval; it needs 8"
    assert reservation(12.3, 240, "time") == "only about 12 effective times of 240, because near ones are alike"
    assert "may be too narrow" in reservation(6.1, 240, "sample")
    assert reservation(31, 240, "sample") == ""


def test_a_block_may_be_told_in_days():
    times = np.array(["2020-07-01T00", "2020-07-01T12", "2020-07-02T00", "2021-07-01T00"], "datetime64[s]")
    assert (block_of_days(times, 3), block_of_days(times, 0.1), block_of_days(times[:1], 3)) == (6, 1, 1)
    series = autoregression(248, 0.9, 1)
    long, short = (estimated(mean_of(series), 248, block) for block in (40, 1))
    assert long.high - long.low != pytest.approx(short.high - short.low)


def test_units_that_carry_nothing_do_not_count_as_samples():
    series, weights = autoregression(100, 0, 1), np.repeat([1.0, 0.0], 50)[:, None]
    found = estimated(lambda counts: counts @ (series * weights) / (counts @ weights), 100)
    assert found.effective <= 50
