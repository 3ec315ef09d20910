"""Scores of deterministic and ensemble forecasts, from tallies; and the intervals that they lie in.

A score is a function of a `Tally` of sums over samples, and has a number for each of its rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from corrstore.training.evaluation.spectra import Wavenumbers
from corrstore.training.evaluation.tallies import Floats, Tally


def mae(tally: Tally) -> Floats:
    """Mean absolute error of the ensemble mean, in the channel's units."""
    return tally.absolute_error / tally.weight


def rmse(tally: Tally) -> Floats:
    """Root mean squared error of the ensemble mean, in the channel's units."""
    return np.sqrt(tally.squared_error / tally.weight)


def bias(tally: Tally) -> Floats:
    """Mean of forecast minus truth, in the channel's units."""
    return tally.error / tally.weight


def crps(tally: Tally) -> Floats:
    """Mean fair CRPS, in the channel's units; the MAE of a deterministic forecast."""
    return tally.crps / tally.weight


def spread(tally: Tally) -> Floats:
    """Root of the mean ensemble variance, in the channel's units; NaN of one member."""
    return np.sqrt(tally.variance / tally.weight)


def spread_skill(tally: Tally) -> Floats:
    """The spread over the RMSE of the mean, times sqrt((m + 1) / m): 1 of an ensemble that is like the truth.

    Fortin et al. 2014, J. Hydrometeor. 15, 1708, equation 15.
    """
    with np.errstate(invalid="ignore"):
        return math.sqrt(1 + 1 / tally.members) * spread(tally) / rmse(tally)


def spread_reliability(tally: Tally) -> tuple[Floats, Floats]:
    """Return for each class of spread [row, class] the spread of half the members, and the RMSE of their mean.

    The two are equal where the ensemble is reliable. The other half of the members says which class a pixel is in: an
    ensemble's own variance is lowest where it happens to be too low.
    """
    weight, variance, squared_error = np.moveaxis(tally.classes, 1, 0)
    return np.sqrt((1 + 1 / (tally.members // 2)) * variance / weight), np.sqrt(squared_error / weight)


def rank_shares(tally: Tally) -> Floats:
    """Return the share of each rank of the truth among the members [row, members + 1]; equal shares are reliable."""
    return tally.ranks / tally.weight[:, None]


def fss(tally: Tally) -> Floats:
    """The fractions skill score [row, threshold, width], 0 to 1; NaN where there was no event."""
    with np.errstate(invalid="ignore"):
        return 1 - tally.fractions[..., 0] / tally.fractions[..., 1]


def spectral_distance(tally: Tally, wavenumbers: Wavenumbers) -> Floats:
    """Return the distance of the spectrum from the truth's, in dB: the root mean square of 10 log10 of their ratio.

    Over the bins that are resolved in every direction; NaN where one of them has no variance, as of a constant field.
    """
    ours, theirs = tally.spectrum[:, wavenumbers.resolved], tally.truth_spectrum[:, wavenumbers.resolved]
    ratio = np.divide(ours, theirs, out=np.full_like(ours, np.nan), where=(ours > 0) & (theirs > 0))
    return 10 * np.sqrt(np.mean(np.log10(ratio) ** 2, axis=1))


class Score(NamedTuple):
    """A score and the interval that it lies in with the bootstrap's confidence."""

    value: Floats
    low: Floats
    high: Floats


def with_interval(
    score: Callable[[Tally], Floats], tally: Tally, confidence: float = 0.95, resamples: int = 1000, seed: int = 0
) -> Score:
    """A score of all samples and its percentile interval by the circular block bootstrap (Politis and Romano 1992).

    Samples that follow one another are alike, so that blocks of n^(1/3) of them are drawn (Hall et al. 1995,
    Biometrika 82, 561), the same ones for the same number of samples and seed. Of one sample there is no interval.
    """
    value = score(tally.total)[0]
    samples = len(tally.weight)
    if samples == 1:
        nothing = np.full_like(value, np.nan)
        return Score(value, nothing, nothing)
    length = round(samples ** (1 / 3))
    starts = np.random.default_rng(seed).integers(samples, size=(resamples, -(-samples // length), 1))
    drawn = ((starts + np.arange(length)) % samples).reshape(resamples, -1)[:, :samples]
    counts = np.zeros((resamples, samples))
    np.add.at(counts, (np.arange(resamples)[:, None], drawn), 1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(score(tally.summed(counts)), [tail, 1 - tail], axis=0)
    return Score(value, low, high)
