"""The tallies that scores are computed from: sums over the pixels of a sample, which add up over samples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.statistics.histograms import BinEdges
from corrstore.training.evaluation.scoring.distributions import pit_weights, pixel_weights
from corrstore.training.evaluation.scoring.neighbourhoods import WIDTHS, fraction_errors, variogram_score
from corrstore.training.evaluation.scoring.pixels import pixel_sums, spread_classes
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
    `energy` [sample] is of the whole field, and so is `variogram` [sample, 2], beside it 1 where there are pairs.

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
    ensemble, truths, present = np.ascontiguousarray(ensemble), truth.astype(np.float64, "C"), ~np.isnan(truth)
    lots = np.zeros(truth.shape)
    lots[present] = np.random.default_rng(seed).random(int(present.sum()))
    events = np.array(thresholds, np.float32).astype(np.float64)  # as members of that type compare with them
    sums, standing = pixel_sums(
        *(ensemble, truths, domain.row_weights, lots, events),
        *(np.array(QUANTILES), PROBABILITIES, valid_range, ceiling),
    )
    field = truth if field is None else field
    whole, waves = not np.isnan(field).any(), domain.wavenumbers
    every = [*ensemble, field] if whole else []
    *spectra, truth_spectrum = [waves.variance(field) for field in every] or [np.zeros(len(waves.widths))] * 2
    row = {
        **sums._asdict(),
        "classes": spread_classes(ensemble, truths, domain.row_weights, SPREAD_CLASSES),
        "fractions": np.reshape(
            [fraction_errors(ensemble, truth, each, domain.widths) for each in thresholds],
            (len(thresholds), len(domain.widths), 2),
        ),
        "whole": whole,
        "spectrum": np.mean(spectra, axis=0),
        "truth_spectrum": truth_spectrum,
        "samples": bool(present.any()),
        "variogram": variogram_score(ensemble, truths, LAGS),
        "pit": pit_weights(standing),
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
