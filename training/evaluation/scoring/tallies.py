"""The tallies that scores are computed from: sums over the pixels of a sample, which add up over samples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numba import njit
from numpy.typing import NDArray

from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.statistics.histograms import BinEdges
from corrstore.training.evaluation.scoring.distributions import pit_weights, pixel_weights
from corrstore.training.evaluation.scoring.neighbourhoods import WIDTHS, fraction_errors
from corrstore.training.evaluation.scoring.spectra import Wavenumbers
from corrstore.training.evaluation.scoring.winds import Northward, flow_spectra, vector_error

Floats = NDArray[np.float64]

QUANTILES = (0.1, 0.5, 0.9, 0.99)
"""The quantiles whose score is taken."""

PROBABILITIES = 11
"""Number of bins of forecast probability in a reliability diagram, each a tenth wide and centred on a tenth."""

LAGS = (1, 4, 16)
"""The distances in pixels, along rows and along columns, of the pairs of the variogram score."""

SPREAD_CLASSES = 10
"""Number of classes, of equally many pixels by the ensemble's variance, in the reliability of the spread."""


NO_EDGES = np.empty(0)


@dataclass(frozen=True)
class Domain:
    """The domain of the scores: its grid, the weight of each row, the cosine of its latitude, and its waves."""

    grid: RectilinearGrid
    row_weights: Floats
    wavenumbers: Wavenumbers

    @classmethod
    def of_grid(cls, grid: RectilinearGrid) -> Domain:
        """Return the domain of fields on this grid."""
        return cls(grid, np.cos(np.deg2rad(grid.lat)), Wavenumbers.of_grid(grid))

    @property
    def widths(self) -> tuple[int, ...]:
        """The neighbourhoods, in pixels, that the domain has room for."""
        return tuple(width for width in WIDTHS if width <= min(self.wavenumbers.shape))

    @property
    def widths_km(self) -> list[float]:
        """The widths of the neighbourhoods along a meridian."""
        return [width * self.wavenumbers.spacing[0] for width in self.widths]


@dataclass(frozen=True)
class Tally:
    """The sums that the scores of one channel are computed from. The first axis of every array is the sample.

    Sums over pixels are weighted by latitude and leave out those where the truth is missing: `weight` [sample] of the
    weights alone, then, of the ensemble mean, `error`, `absolute_error` and `squared_error`; `crps`; the ensemble's
    `variance`; `ranks` [sample, members + 1]; `classes` [sample, 3, class], weight, variance and squared error of the
    pixels in each class of spread, NaN of fewer than four members. `fractions` [sample, threshold, width, 2] is as in
    neighbourhoods.py; `spectrum` and `truth_spectrum` [sample, bin] as in spectra.py, and zero where `whole` [sample]
    is, because a pixel is missing. `pit` [sample, bin] and, of the values of all pixels, `distribution` and
    `truth_distribution` [sample, edges + 1] are as in distributions.py.

    Of events, values at or above a threshold, as means over the members: `events` [sample, threshold, 4], the weights
    of hits, false alarms, misses and correct negatives; of the share of members as a probability: `brier` [sample,
    threshold] and `reliability` [sample, threshold, probability, 3], weight, probability and event. `tail_crps`
    [sample, threshold] is fair, of values raised to the threshold. `quantile_loss` [sample, quantile]; `outside`
    [sample], the weight of what lies outside the physical range; `above` [sample], of what lies above the ceiling, such
    as a dew point above the temperature, NaN without a ceiling; `samples` [sample] is 1 where there is any truth, and
    `energy` and `variogram` [sample] are of the whole field.

    Of a wind, under its eastward component: `vector` [sample, 2], weight and squared error of the vector, zero of other
    channels; `flow` and `truth_flow` [sample, 3, bin] as in winds.py, zero where not `whole`; [sample, 0, 0] of others.
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
    events: Floats
    brier: Floats
    reliability: Floats
    tail_crps: Floats
    quantile_loss: Floats
    outside: Floats
    above: Floats
    samples: Floats
    energy: Floats
    variogram: Floats
    pit: Floats
    distribution: Floats
    truth_distribution: Floats
    vector: Floats
    flow: Floats
    truth_flow: Floats

    @property
    def members(self) -> int:
        """The number of members."""
        return self.ranks.shape[1] - 1

    def summed(self, counts: Floats) -> Tally:
        """Return the sums over samples weighted by `counts` [row, sample]; each row is a sample of the result."""
        return Tally(*(np.tensordot(counts, getattr(self, each.name), 1) for each in fields(self)))

    @property
    def total(self) -> Tally:
        """The sums over all samples, as one."""
        return self.summed(np.ones((1, len(self.weight))))


def merged(tallies: Iterable[Tally]) -> Tally:
    """Return the tally of all the samples, in this order."""
    every = list(tallies)
    return Tally(*(np.concatenate([getattr(each, field.name) for each in every]) for field in fields(Tally)))


def tally(
    ensemble: NDArray[np.float32],
    truth: NDArray[np.floating],
    domain: Domain,
    thresholds: Sequence[float] = (),
    seed: Sequence[int] = (0,),
    valid_range: tuple[float, float] = (-np.inf, np.inf),
    ceiling: NDArray[np.float32] | None = None,
    edges: BinEdges = NO_EDGES,
    northward: Northward | None = None,
    field: NDArray[np.floating] | None = None,
) -> Tally:
    """Return the tally of one sample of one channel.

    `ensemble` is (member, lat, lon), `truth` (lat, lon), NaN where missing.

    A deterministic forecast is an ensemble of one. `seed` is of the draw that ranks a truth equal to some members.
    `northward` is the other component of the wind whose eastward one this is. Spectra are of `field`, which is the
    truth with its pixels that are not scored, or of the truth.
    """
    present = ~np.isnan(truth)
    weights = np.broadcast_to(domain.row_weights[:, None], truth.shape)[present]
    members, truths = np.ascontiguousarray(ensemble[:, present]), truth[present].astype(np.float64)
    error, crps, variance, below, tied = scored = np.empty((5, weights.size))
    _score_pixels(members, truths, scored)
    ranks = below + np.floor((tied + 1) * np.random.default_rng(seed).random(tied.size))
    field = truth if field is None else field
    whole, waves = not np.isnan(field).any(), domain.wavenumbers
    every = [*ensemble, field] if whole else []
    *spectra, truth_spectrum = [waves.variance(field) for field in every] or [np.zeros(len(waves.widths))] * 2
    row = {
        "weight": weights.sum(),
        "error": weights @ error,
        "absolute_error": weights @ np.abs(error),
        "squared_error": weights @ error**2,
        "crps": weights @ crps,
        "variance": weights @ variance,
        "ranks": np.bincount(ranks.astype(np.intp), weights, minlength=len(ensemble) + 1),
        "classes": _spread_classes(members, truths, weights),
        "fractions": np.reshape(
            [fraction_errors(ensemble, truth, each, domain.widths) for each in thresholds],
            (len(thresholds), len(domain.widths), 2),
        ),
        "whole": whole,
        "spectrum": np.mean(spectra, axis=0),
        "truth_spectrum": truth_spectrum,
        **_events(members, truths, weights, thresholds),
        "quantile_loss": _quantile_losses(members, truths, weights),
        "outside": weights @ np.mean((members < valid_range[0]) | (members > valid_range[1]), axis=0),
        "above": np.nan if ceiling is None else weights @ np.mean(members > ceiling[:, present], axis=0),
        "samples": bool(weights.size),
        "energy": _energy(members, truths, weights),
        "variogram": _variogram(ensemble, truth) if weights.size else 0.0,
        "pit": pit_weights(below, tied, weights, len(ensemble)),
        "distribution": pixel_weights(ensemble, present, domain.row_weights, edges),
        "truth_distribution": pixel_weights(truth[None], present, domain.row_weights, edges),
        **_flow(ensemble, truth, field, domain, northward),
    }
    return Tally(**{name: np.asarray(sums, np.float64)[None] for name, sums in row.items()})


def _flow(
    ensemble: NDArray[np.float32],
    truth: NDArray[np.floating],
    field: NDArray[np.floating],
    domain: Domain,
    northward: Northward | None,
) -> dict[str, Floats]:
    """The sums of a wind."""
    waves = domain.wavenumbers
    if northward is None:
        return {"vector": np.zeros(2), "flow": np.zeros((0, 0)), "truth_flow": np.zeros((0, 0))}
    flow = truth_flow = np.zeros((3, len(waves.widths)))
    if not (np.isnan(field).any() or np.isnan(northward.truth).any()):
        flow = flow_spectra(ensemble, northward.ensemble, domain.grid, waves)
        truth_flow = flow_spectra(field[None], northward.truth[None], domain.grid, waves)
    vector = vector_error(ensemble, truth, northward, domain.row_weights)
    return {"vector": vector, "flow": flow, "truth_flow": truth_flow}


def fair_crps(ensemble: NDArray[np.float32], truth: NDArray[np.floating]) -> Floats:
    """Return the fair continuous ranked probability score at each pixel, (member, ...) and (...) to (...).

    Mean |x_i - y| - sum |x_i - x_j| / (2 m (m - 1)), which estimates the CRPS of the distribution that the m members
    are drawn from without bias (Ferro 2014, Q. J. R. Meteorol. Soc. 140, 1917). Of one member: its absolute error.
    """
    pixels = np.empty((5, truth.size))
    members = np.ascontiguousarray(ensemble, np.float32).reshape(len(ensemble), -1)
    _score_pixels(members, truth.astype(np.float64).ravel(), pixels)
    return pixels[1].reshape(truth.shape)


def _events(
    members: NDArray[np.float32], truth: Floats, weights: Floats, thresholds: Sequence[float]
) -> dict[str, Floats]:
    """The sums of events, by threshold."""
    count = len(thresholds)
    events, brier, tail = np.zeros((count, 4)), np.zeros(count), np.zeros(count)
    reliability = np.zeros((count, PROBABILITIES, 3))
    for i, threshold in enumerate(thresholds):
        share, seen = np.mean(members >= threshold, axis=0, dtype=np.float64), (truth >= threshold).astype(np.float64)
        events[i] = [
            weights @ each for each in (share * seen, share * (1 - seen), (1 - share) * seen, (1 - share) * (1 - seen))
        ]
        brier[i] = weights @ (share - seen) ** 2
        bins = np.floor(share * (PROBABILITIES - 1) + 0.5).astype(np.intp)
        for j, each in enumerate((weights, weights * share, weights * seen)):
            reliability[i, :, j] = np.bincount(bins, each, minlength=PROBABILITIES)
        raised = np.maximum(members, np.float32(threshold))
        tail[i] = weights @ fair_crps(raised, np.maximum(truth, threshold))
    return {"events": events, "brier": brier, "reliability": reliability, "tail_crps": tail}


def _quantile_losses(members: NDArray[np.float32], truth: Floats, weights: Floats) -> list[float]:
    """The quantile score of Koenker and Bassett 1978: (y - x) q above x, (x - y) (1 - q) below it."""
    if not weights.size:
        return [0.0] * len(QUANTILES)
    errors = truth - np.quantile(members, QUANTILES, axis=0)
    return [float(weights @ np.maximum(q * each, (q - 1) * each)) for q, each in zip(QUANTILES, errors, strict=True)]


def _energy(members: NDArray[np.float32], truth: Floats, weights: Floats) -> float:
    """The fair energy score of the field; its norm is the root of the weighted mean square over the pixels."""
    if not weights.size:
        return 0.0
    share, count = weights / weights.sum(), len(members)

    def norm(difference: NDArray[np.floating]) -> float:
        return float(np.sqrt(share @ np.square(difference, dtype=np.float64)))

    pairs = sum(norm(members[i] - members[j]) for i in range(count) for j in range(i))
    distance = sum(norm(each - truth) for each in members) / count
    return distance - (pairs / (count * (count - 1)) if count > 1 else 0.0)


def _variogram(ensemble: NDArray[np.float32], truth: NDArray[np.floating]) -> float:
    """The variogram score of order 1/2 (Scheuerer and Hamill 2015, Mon. Wea. Rev. 143, 1321), mean of LAGS' pairs."""
    total = count = 0.0
    for axis in (0, 1):
        for lag in LAGS:
            if lag >= truth.shape[axis]:
                continue
            near, far = [slice(None)] * 2, [slice(None)] * 2
            near[axis], far[axis] = slice(None, -lag), slice(lag, None)
            a, b = tuple(near), tuple(far)
            ours = np.mean(np.sqrt(np.abs(ensemble[:, *a] - ensemble[:, *b])), axis=0, dtype=np.float64)
            squares = np.square(np.sqrt(np.abs(truth[a] - truth[b])) - ours)
            known = ~np.isnan(squares)
            total, count = total + float(squares[known].sum()), count + int(known.sum())
    return total / count if count else 0.0


def _spread_classes(ensemble: NDArray[np.float32], truth: NDArray[np.floating], weights: Floats) -> Floats:
    judged = ensemble[1::2]
    if weights.size < SPREAD_CLASSES:
        return np.zeros((3, SPREAD_CLASSES))
    if len(judged) < 2:
        return np.full((3, SPREAD_CLASSES), np.nan)
    starts = np.linspace(0, weights.size, SPREAD_CLASSES, endpoint=False).astype(np.intp)
    order = np.argpartition(ensemble[0::2].var(axis=0), starts)
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
