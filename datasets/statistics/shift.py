"""The shift of a model's input: how the fields that it is given differ from those that it was trained on.

Each number is a function of means over samples. Its standard error follows by linearisation: each sample has an
influence on it, and the influences of one day are taken together, because samples of a day are nearly one. The
daily sums are taken as a first-order autoregressive series, whose correlation leaves n (1 - r) / (1 + r) of n days
(von Storch and Zwiers 1999, Statistical Analysis in Climate Research, 6.6.8; r is freed of its bias in short series
by Kendall 1954, Biometrika 41).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corrstore.datasets.recipe.periods import Times
from corrstore.datasets.statistics.histograms import BinEdges

Floats = NDArray[np.float64]

LEAST_MATCHED = 20
"""Training samples of the same calendar months and hours of day that are enough to compare with them alone."""
_SHORTEST_SERIES = 8
_HIGHEST_CORRELATION = 0.95


@dataclass(frozen=True, eq=False)
class FieldMoments:
    """The moments of one channel's field in several samples, in the order of time: each [samples].

    `variance` is about the field's own mean; `power` is the gradient power, NaN where it is not known.
    """

    times: Times
    mean: Floats
    variance: Floats
    power: Floats

    def __getitem__(self, chosen: NDArray[np.bool_]) -> FieldMoments:
        """Return the moments of the chosen samples."""
        return FieldMoments(*(getattr(self, each.name)[chosen] for each in fields(self)))


class Estimate(NamedTuple):
    """A number and its standard error, NaN where it is not known."""

    value: float
    error: float


class Shift(NamedTuple):
    """The shift of one channel: its mean in standard deviations of the training data, ratios to theirs, and a share.

    `power_ratio` is that of the gradient power: less than 1 is a loss of small-scale power. `beyond` is the share of
    numbers beyond the training range. `matched` tells whether the training samples are those of the same months and
    hours alone.
    """

    samples: int
    training_samples: int
    matched: bool
    mean_shift: Estimate
    std_ratio: Estimate
    beyond: Estimate
    power_ratio: Estimate


def shift(given: FieldMoments, beyond: Floats, training: FieldMoments) -> Shift:
    """Return how the given fields differ from the training data.

    They are compared with the training samples of the same calendar months and hours of day, UTC; with all of them
    where there are fewer than 20 of these. `beyond` [samples] is the share of each field's numbers beyond the range
    of all training data.
    """
    same = same_months_and_hours(given.times, training.times)
    matched = int(same.sum()) >= LEAST_MATCHED
    reference = training[same] if matched else training
    ours, theirs = _Pooled.of(given), _Pooled.of(reference)
    std = np.sqrt(theirs.variance)
    difference = (ours.mean - theirs.mean) / std
    of_std = theirs.variance_influence / (2 * theirs.variance)
    ratio = np.sqrt(ours.variance / theirs.variance)
    of_ratio = ours.variance_influence / (2 * ours.variance)
    power, reference_power = given.power.mean(), reference.power.mean()
    share = float(beyond.mean())

    def error(ours: Floats, theirs: Floats) -> float:
        return float(np.hypot(standard_error(ours, given.times), standard_error(theirs, reference.times)))

    return Shift(
        given.times.size,
        reference.times.size,
        matched,
        Estimate(
            float(difference),
            error(ours.mean_influence / std, theirs.mean_influence / std + difference * of_std),
        ),
        Estimate(float(ratio), float(ratio) * error(of_ratio, of_std)),
        Estimate(share, standard_error(beyond - share, given.times)),
        Estimate(
            float(power / reference_power),
            float(power / reference_power) * error(given.power / power - 1, reference.power / reference_power - 1),
        ),
    )


class _Pooled(NamedTuple):
    """The mean and variance of all numbers of several fields together, and each sample's influence on them."""

    mean: float
    variance: float
    mean_influence: Floats
    variance_influence: Floats

    @classmethod
    def of(cls, moments: FieldMoments) -> _Pooled:
        mean = float(moments.mean.mean())
        squares = moments.variance + (moments.mean - mean) ** 2
        variance = float(squares.mean())
        return cls(mean, variance, moments.mean - mean, squares - variance)


def same_months_and_hours(given: Times, training: Times) -> NDArray[np.bool_]:
    """Return a mask of the training times whose calendar month and hour of day, UTC, one of the given times has."""
    return np.isin(_month_and_hour(training), _month_and_hour(given))


def _month_and_hour(times: Times) -> NDArray[np.int64]:
    months = times.astype("datetime64[M]").astype(np.int64) % 12
    return months * 24 + times.astype("datetime64[h]").astype(np.int64) % 24


def standard_error(influences: Floats, times: Times) -> float:
    """Return the standard error of the mean of a series whose deviations are these; NaN of a single day.

    The deviations of a day count as one; the days' correlation is allowed for from 8 days on.
    """
    days, place = np.unique(times.astype("datetime64[D]"), return_inverse=True)
    number = days.size
    if number < 2:
        return np.nan
    sums = np.bincount(place, influences, number).astype(np.float64)
    independent = np.sqrt(number / (number - 1) * np.sum(sums**2)) / times.size
    correlation = _lag_correlation(sums) if number >= _SHORTEST_SERIES else 0.0
    return float(independent * np.sqrt((1 + correlation) / (1 - correlation)))


def _lag_correlation(series: Floats) -> float:
    """Return the correlation of neighbours, freed of its bias in a short series, between 0 and 0.95."""
    deviations = series - series.mean()
    power = np.sum(deviations**2)
    if power == 0:
        return 0.0
    raw = float(np.sum(deviations[1:] * deviations[:-1]) / power)
    return float(np.clip((series.size * raw + 1) / (series.size - 3), 0.0, _HIGHEST_CORRELATION))


def shares_beyond(
    histograms: NDArray[np.int64], edges: BinEdges, lowest: Floats, highest: Floats, low: float, high: float
) -> Floats:
    """Return the share of each sample's numbers below `low` or above `high` [samples].

    Args: `histograms` [samples, bins] between `edges`, see `datasets.statistics.histograms`; `lowest` and `highest`
    [samples], the samples' extremes. Exactly 0 where these lie within; else within the counts of the two bins that
    hold `low` and `high`, in which the numbers are taken as evenly spread.
    """
    bounds = np.concatenate([[-np.inf], edges, [np.inf]])
    starts = np.clip(bounds[:-1], lowest[:, None], highest[:, None])
    ends = np.clip(bounds[1:], lowest[:, None], highest[:, None])
    width = np.where(ends > starts, ends - starts, 1.0)
    below = np.where(ends > starts, np.clip(low - starts, 0, ends - starts) / width, ends < low)
    above = np.where(ends > starts, np.clip(ends - high, 0, ends - starts) / width, starts > high)
    total = np.maximum(histograms.sum(axis=1), 1)
    return np.asarray((histograms * (below + above)).sum(axis=1) / total)
