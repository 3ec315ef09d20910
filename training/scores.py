"""Scores of deterministic and ensemble forecasts: what they are made of for each sample, merged, with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from datasets.grids import RectilinearGrid
from training.neighbourhoods import WIDTHS, fraction_errors
from training.spectra import Wavenumbers

Floats = NDArray[np.float64]

SPREAD_CLASSES = 10
"""How many classes of equally many pixels, by the ensemble's variance, the reliability of the spread is told for."""


@dataclass(frozen=True)
class Domain:
    """Where fields are scored: the weight of each row, the cosine of its latitude, and the waves that fit."""

    row_weights: Floats
    wavenumbers: Wavenumbers

    @classmethod
    def of(cls, grid: RectilinearGrid) -> Domain:
        """The domain of fields on this grid."""
        return cls(np.cos(np.deg2rad(grid.lat)), Wavenumbers.of(grid))

    @property
    def widths(self) -> tuple[int, ...]:
        """The neighbourhoods, in pixels, that the domain has room for."""
        return tuple(width for width in WIDTHS if width <= min(self.wavenumbers.shape))

    @property
    def widths_km(self) -> list[float]:
        """How wide the neighbourhoods are, along a meridian."""
        return [width * self.wavenumbers.spacing[0] for width in self.widths]


@dataclass(frozen=True)
class Tally:
    """What the scores of one channel are made of. The first axis of every array is the sample.

    Sums over pixels are weighted by latitude and leave out those where the truth is missing: `weight` [sample] of the
    weights alone, then, of the ensemble mean, `error`, `absolute_error` and `squared_error`; `crps`; the ensemble's
    `variance`; `ranks` [sample, members + 1]; `classes` [sample, 3, class], weight, variance and squared error of the
    pixels in each class of spread, NaN of fewer than four members. `fractions` [sample, threshold, width, 2] is as in
    neighbourhoods.py; `spectrum` and `truth_spectrum` [sample, bin] as in spectra.py, and zero where `whole` [sample]
    is, because a pixel is missing.
    """

    weight: Floats
    error: Floats
    absolute_error: Floats
    squared_error: Floats
    crps: Floats
    variance: Floats
    ranks: Floats
    classes: Floats
    fractions: Floats
    whole: Floats
    spectrum: Floats
    truth_spectrum: Floats

    @property
    def members(self) -> int:
        """How many members the ensemble has."""
        return self.ranks.shape[1] - 1

    def summed(self, counts: Floats) -> Tally:
        """The sums over samples, each counted as often as a row of `counts` [row, sample] says; a row is a sample."""
        return Tally(*(np.tensordot(counts, getattr(self, each.name), 1) for each in fields(self)))

    @property
    def total(self) -> Tally:
        """The sums over all samples, as one."""
        return self.summed(np.ones((1, len(self.weight))))


def merged(tallies: Iterable[Tally]) -> Tally:
    """The tally of all the samples, in this order."""
    every = list(tallies)
    return Tally(*(np.concatenate([getattr(each, field.name) for each in every]) for field in fields(Tally)))


def tally(
    ensemble: NDArray[np.float32],
    truth: NDArray[np.floating],
    domain: Domain,
    thresholds: Sequence[float] = (),
    seed: Sequence[int] = (0,),
) -> Tally:
    """The tally of one sample of one channel: `ensemble` (member, lat, lon), `truth` (lat, lon), NaN where missing.

    A deterministic forecast is an ensemble of one. `seed` is of the draw that ranks a truth equal to some members.
    """
    known = ~np.isnan(truth)
    weights = np.broadcast_to(domain.row_weights[:, None], truth.shape)[known]
    pixels = np.empty((5, weights.size))
    members, truths = np.ascontiguousarray(ensemble[:, known]), truth[known].astype(np.float64)
    _score_pixels(members, truths, pixels)
    error, crps, variance, below, tied = pixels
    ranks = below + np.floor((tied + 1) * np.random.default_rng(seed).random(tied.size))
    whole = bool(known.all())
    waves = domain.wavenumbers
    no_waves = np.zeros(len(waves.widths))
    sums = (weights.sum(), *(weights @ each for each in (error, np.abs(error), error**2, crps, variance)))
    rows = (
        *sums,
        np.bincount(ranks.astype(np.intp), weights, minlength=len(ensemble) + 1),
        _spread_classes(members, truths, weights),
        np.array([fraction_errors(ensemble, truth, each, domain.widths) for each in thresholds]),
        float(whole),
        np.mean([waves.variance(member) for member in ensemble], axis=0) if whole else no_waves,
        waves.variance(truth) if whole else no_waves,
    )
    return Tally(*(np.asarray(row, np.float64)[None] for row in rows))


def fair_crps(ensemble: NDArray[np.float32], truth: NDArray[np.floating]) -> Floats:
    """The fair continuous ranked probability score at each pixel, (member, ...) and (...) to (...).

    Mean |x_i - y| - sum |x_i - x_j| / (2 m (m - 1)), which estimates the CRPS of the distribution that the m members
    are drawn from without bias (Ferro 2014, Q. J. R. Meteorol. Soc. 140, 1917). Of one member: its absolute error.
    """
    pixels = np.empty((5, truth.size))
    members = np.ascontiguousarray(ensemble, np.float32).reshape(len(ensemble), -1)
    _score_pixels(members, truth.astype(np.float64).ravel(), pixels)
    return pixels[1].reshape(truth.shape)


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
    """Of each class of spread [row, class]: the spread of half the members, and the RMSE of their mean.

    The two are equal where the ensemble is reliable. The other half of the members says which class a pixel is in: an
    ensemble's own variance is lowest where it happens to be too low.
    """
    weight, variance, squared_error = np.moveaxis(tally.classes, 1, 0)
    return np.sqrt((1 + 1 / (tally.members // 2)) * variance / weight), np.sqrt(squared_error / weight)


def rank_shares(tally: Tally) -> Floats:
    """How often the truth had each rank among the members [row, members + 1]: the same of each where reliable."""
    return tally.ranks / tally.weight[:, None]


def fss(tally: Tally) -> Floats:
    """The fractions skill score [row, threshold, width], 0 to 1; NaN where there was no event."""
    with np.errstate(invalid="ignore"):
        return 1 - tally.fractions[..., 0] / tally.fractions[..., 1]


def spectral_distance(tally: Tally, wavenumbers: Wavenumbers) -> Floats:
    """How far the spectrum is from the truth's, in dB: the root mean square of 10 log10 of their ratio.

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


def _spread_classes(ensemble: NDArray[np.float32], truth: NDArray[np.floating], weights: Floats) -> Floats:
    judged = ensemble[1::2]
    if len(judged) < 2:
        return np.full((3, SPREAD_CLASSES), np.nan)
    order = np.argsort(ensemble[0::2].var(axis=0), kind="stable")
    starts = np.linspace(0, order.size, SPREAD_CLASSES, endpoint=False).astype(np.intp)
    variance = judged.var(axis=0, ddof=1, dtype=np.float64)
    squared_error = (judged.mean(axis=0, dtype=np.float64) - truth) ** 2
    weighted = np.stack([weights, weights * variance, weights * squared_error])
    return np.add.reduceat(weighted[:, order], starts, axis=1)


@njit(cache=True, nogil=True)
def _score_pixels(ensemble: NDArray[np.float32], truth: Floats, scored: Floats) -> None:
    """Error of the mean, fair CRPS, variance, members below the truth and equal to it [5, pixel]."""
    members = ensemble.shape[0]
    for pixel in range(truth.size):
        total = distance = pairs = squares = 0.0
        below = tied = 0
        for i in range(members):
            value = np.float64(ensemble[i, pixel])
            total += value
            distance += abs(value - truth[pixel])
            below += value < truth[pixel]
            tied += value == truth[pixel]
            for j in range(i):
                pairs += abs(value - np.float64(ensemble[j, pixel]))
        mean = total / members
        for i in range(members):
            squares += (ensemble[i, pixel] - mean) ** 2
        scored[0, pixel] = mean - truth[pixel]
        scored[1, pixel] = distance / members - (pairs / (members * (members - 1)) if members > 1 else 0.0)
        scored[2, pixel] = squares / (members - 1) if members > 1 else np.nan
        scored[3, pixel] = below
        scored[4, pixel] = tied
