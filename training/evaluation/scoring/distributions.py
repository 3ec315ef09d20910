"""Distributions: where the truth lies in the ensemble's, and the values of all pixels together."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from corrstore.datasets.statistics.counting import count_into_bins
from corrstore.datasets.statistics.histograms import BinCounts, BinEdges, BinLookup, bin_lookup

Floats = NDArray[np.float64]

PIT_BINS = 10
"""Number of bins of the probability integral transform, each a tenth wide."""

LARGEST = float(np.finfo(np.float64).max)

LEVELS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)
"""The quantiles of all pixels that are compared with the truth's."""


def pit_weights(standing: Floats) -> Floats:
    """Return the weight in each bin of the probability integral transform [bin].

    `standing` [members + 1, members + 1] is the weight of the pixels by the number of members below the truth, and
    equal to it. The transform of a pixel is anywhere from below / (members + 1) to (below + tied + 1) / (members + 1),
    and its weight is spread evenly over that (Czado et al. 2009, Biometrics 65, 1254): no lot is drawn, and an ensemble
    that is like the truth has the same weight in all bins, ties or not.
    """
    count = len(standing)
    starts, ties = np.divmod(np.arange(count * count), count)
    low, high = starts / count, (starts + ties + 1) / count
    edges = np.linspace(0, 1, PIT_BINS + 1)
    overlap = np.minimum(high[:, None], edges[1:]) - np.maximum(low[:, None], edges[:-1])
    return np.asarray(standing.ravel() @ (np.maximum(overlap, 0) / (high - low)[:, None]), np.float64)


def pixel_weights(
    fields: NDArray[np.floating], present: NDArray[np.bool_], row_weights: Floats, edges: BinEdges
) -> Floats:
    """Return the weight of the present pixels below, between and above the edges [edges + 1], as a mean over fields.

    `fields` (member, lat, lon), `present` (lat, lon).
    """
    counts = np.zeros((len(row_weights), edges.size + 1), np.int64)
    if edges.size:
        _add_counts(np.ascontiguousarray(fields), present, bin_lookup(edges), counts)
    return np.asarray(row_weights @ counts / len(fields), np.float64)


@njit(cache=True, nogil=True)
def _add_counts(fields: NDArray[np.floating], present: NDArray[np.bool_], guide: BinLookup, counts: BinCounts) -> None:
    """Add the counts of each row's values below, between and above the edges; infinities are beyond all edges."""
    members, height, width = fields.shape
    numbers = np.empty(width)
    for row in range(height):
        for member in range(members):
            size = 0
            for column in range(width):
                numbers[size] = min(max(fields[member, row, column], -LARGEST), LARGEST)
                size += present[row, column]
            count_into_bins(numbers[:size], guide, counts[row])


def quantiles(weights: Floats, edges: BinEdges) -> Floats:
    """Return the quantiles LEVELS of weighted bins [row, edges + 1], linear within a bin [row, level]; NaN of none.

    Where a level falls between two bins that are apart, it is the end of the lower one, however the sums are rounded.
    """
    found = np.full((len(weights), len(LEVELS)), np.nan)
    for row in np.flatnonzero(weights.sum(axis=1) > 0) if weights.shape[1] == edges.size + 1 else ():
        shares = np.cumsum(weights[row])
        found[row] = np.interp(np.multiply(LEVELS, 1 - 1e-9), shares[:-1] / shares[-1], edges)
    return found
