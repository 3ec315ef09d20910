"""Scores of deterministic and ensemble forecasts, from tallies.

A score is a function of a `Tally` of sums over samples, and has a number for each of its rows.
"""

from __future__ import annotations

import math

import numpy as np

from corrstore.datasets.statistics.histograms import BinEdges
from corrstore.training.evaluation.scoring.distributions import PIT_BINS, quantiles
from corrstore.training.evaluation.scoring.spectra import Wavenumbers
from corrstore.training.evaluation.scoring.tallies import Floats, Tally


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


def tail_crps(tally: Tally) -> Floats:
    """The fair CRPS of values raised to the threshold [row, threshold], in the channel's units (weights the tail)."""
    return tally.tail_crps / tally.weight[:, None]


def quantile_score(tally: Tally) -> Floats:
    """The quantile score [row, quantile], in the channel's units."""
    return tally.quantile_loss / tally.weight[:, None]


def brier(tally: Tally) -> Floats:
    """The Brier score of the share of members with an event [row, threshold]."""
    return tally.brier / tally.weight[:, None]


def pod(tally: Tally) -> Floats:
    """Probability of detection, hits / (hits + misses) [row, threshold]."""
    hits, _, misses, _ = np.moveaxis(tally.events, -1, 0)
    return _ratio(hits, hits + misses)


def far(tally: Tally) -> Floats:
    """False alarm ratio, false alarms / (hits + false alarms) [row, threshold]."""
    hits, false_alarms, _, _ = np.moveaxis(tally.events, -1, 0)
    return _ratio(false_alarms, hits + false_alarms)


def csi(tally: Tally) -> Floats:
    """Critical success index, hits / (hits + misses + false alarms) [row, threshold]."""
    hits, false_alarms, misses, _ = np.moveaxis(tally.events, -1, 0)
    return _ratio(hits, hits + false_alarms + misses)


def frequency_bias(tally: Tally) -> Floats:
    """Events forecast over events observed [row, threshold]."""
    hits, false_alarms, misses, _ = np.moveaxis(tally.events, -1, 0)
    return _ratio(hits + false_alarms, hits + misses)


def ets(tally: Tally) -> Floats:
    """Equitable threat score: the CSI without the hits that chance gives [row, threshold].

    Multiplied through by the number of pixels, so that no difference of nearly equal numbers is taken; NaN where truth
    and forecast have the event everywhere or nowhere.
    """
    hits, false_alarms, misses, correct = np.moveaxis(tally.events, -1, 0)
    beyond_chance = hits * correct - false_alarms * misses
    return _ratio(beyond_chance, beyond_chance + (false_alarms + misses) * (hits + false_alarms + misses + correct))


def hss(tally: Tally) -> Floats:
    """Heidke skill score [row, threshold]."""
    hits, false_alarms, misses, correct = np.moveaxis(tally.events, -1, 0)
    chance = (hits + misses) * (misses + correct) + (hits + false_alarms) * (false_alarms + correct)
    return _ratio(2 * (hits * correct - false_alarms * misses), chance)


def outside(tally: Tally) -> Floats:
    """The share of pixels outside the physical range."""
    return tally.outside / tally.weight


def above_temperature(tally: Tally) -> Floats:
    """The share of pixels whose dew point is above their temperature; NaN of other channels."""
    return tally.above / tally.weight


def energy(tally: Tally) -> Floats:
    """The fair energy score of whole fields, in the channel's units."""
    return tally.energy / tally.samples


def variogram(tally: Tally) -> Floats:
    """The variogram score of order 1/2, in the channel's units."""
    return tally.variogram[:, 0] / tally.variogram[:, 1]


def pit(tally: Tally) -> Floats:
    """The density of the probability integral transform in each bin [row, bin]: 1 of a reliable ensemble."""
    return tally.pit * PIT_BINS / tally.weight[:, None]


def quantile_error(tally: Tally, edges: BinEdges) -> Floats:
    """Quantiles of all pixels and times minus the truth's [row, level] (Q-Q), in the channel's units."""
    return quantiles(tally.distribution, edges) - quantiles(tally.truth_distribution, edges)


def vector_rmse(tally: Tally) -> Floats:
    """Root mean squared error of the mean wind vector, under its eastward component; NaN of other channels."""
    weight, squares = np.moveaxis(tally.vector, -1, 0)
    return np.sqrt(_ratio(squares, weight))


def kinetic_energy_distance(tally: Tally, wavenumbers: Wavenumbers) -> Floats:
    """Distance of the spectrum of kinetic energy from the truth's, in dB, as spectral_distance; NaN without a wind."""
    return _flow_distance(tally, 0, wavenumbers)


def vorticity_distance(tally: Tally, wavenumbers: Wavenumbers) -> Floats:
    """Distance of the spectrum of vorticity from the truth's, in dB, as spectral_distance; NaN without a wind."""
    return _flow_distance(tally, 1, wavenumbers)


def divergence_distance(tally: Tally, wavenumbers: Wavenumbers) -> Floats:
    """Distance of the spectrum of divergence from the truth's, in dB, as spectral_distance; NaN without a wind."""
    return _flow_distance(tally, 2, wavenumbers)


def _flow_distance(tally: Tally, place: int, wavenumbers: Wavenumbers) -> Floats:
    if not tally.flow.shape[1]:
        return np.full(len(tally.weight), np.nan)
    return _decibels(tally.flow[:, place], tally.truth_flow[:, place], wavenumbers)


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below != 0)


def spectral_distance(tally: Tally, wavenumbers: Wavenumbers) -> Floats:
    """Return the distance of the spectrum from the truth's, in dB: the root mean square of 10 log10 of their ratio.

    Over the bins that are resolved in every direction; NaN where one of them has no variance, as of a constant field.
    """
    return _decibels(tally.spectrum, tally.truth_spectrum, wavenumbers)


def _decibels(ours: Floats, theirs: Floats, wavenumbers: Wavenumbers) -> Floats:
    ours, theirs = ours[:, wavenumbers.resolved], theirs[:, wavenumbers.resolved]
    ratio = np.divide(ours, theirs, out=np.full_like(ours, np.nan), where=(ours > 0) & (theirs > 0))
    return 10 * np.sqrt(np.mean(np.log10(ratio) ** 2, axis=1))
