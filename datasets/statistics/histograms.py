"""Fixed-edge histograms of a variable and its residual, and quantiles and shares from them.

A variable's edges never depend on the data, so histograms of any blocks add up. With edges e_0 < ... < e_n there
are n + 2 counts: below e_0, in each half-open [e_i, e_i+1), and from e_n up. A number that equals an edge is
counted above it: the counts above an edge are exactly the numbers x >= edge.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corrstore.datasets.errors import BadInput
from corrstore.datasets.variables.transforms import transform_named
from corrstore.datasets.variables.variable import Variable

BinCounts = NDArray[np.int64]
BinEdges = NDArray[np.float64]

_LEAST_BINS = 200
_RESIDUAL_BINS_A_SIDE = 128
_RESIDUAL_LINEAR_SHARE = 1e-3
_DROPPED_BITS = np.uint32(14)


def physical_edges(variable: Variable) -> BinEdges:
    """Return the bin edges for a variable's values, in its units, [n + 1] with 200 < n < 410.

    Uniform in the variable's transformed space, by a round step (so that an untransformed variable has round
    edges), from one bin below its valid range to one above it. The wet threshold is an edge. Where the range
    begins at the transform's lowest number, that number is inside the first bin: zero rain is there, also after
    rounding has moved it by a hair.
    """
    transform = transform_named(variable.transform)
    low, high = transform.forward(np.array(variable.valid_range, np.float64))
    numerator, denominator = _round_step((high - low) / _LEAST_BINS)
    first = math.floor(low * denominator / numerator + 1e-9) - 1
    last = math.ceil(high * denominator / numerator - 1e-9) + 1
    edges = transform.inverse(np.arange(first, last + 1) * float(numerator) / denominator)
    if variable.valid_range[0] == transform.lowest:
        edges = np.delete(edges, 1)
    return edges if variable.wet_threshold is None else np.union1d(edges, [variable.wet_threshold])


def _round_step(longest: float) -> tuple[int, int]:
    """Return the longest of 1, 2, 2.5, 5 times a power of ten that is no longer than `longest`, as a fraction."""
    exponent = math.floor(math.log10(longest))
    tenths = max(t for t in (10, 20, 25, 50) if t <= longest * 10 ** (1 - exponent) * (1 + 1e-9))
    return tenths * 10 ** max(exponent - 1, 0), 10 ** max(1 - exponent, 0)


def residual_edges(variable: Variable) -> BinEdges:
    """Return the bin edges for a variable's residual (target minus input), in its units, [257].

    Symmetric about zero, which is an edge, out to the width of the valid range; spaced by asinh, so nearly uniform
    within the wet threshold (or a thousandth of the width) of zero and by a constant ratio beyond.
    """
    width = variable.valid_range[1] - variable.valid_range[0]
    linear = variable.wet_threshold or width * _RESIDUAL_LINEAR_SHARE
    steps = np.arange(1, _RESIDUAL_BINS_A_SIDE + 1) / _RESIDUAL_BINS_A_SIDE
    positive = linear * np.sinh(steps * math.asinh(width / linear))
    positive[-1] = width
    return np.concatenate([-positive[::-1], [0.0], positive])


def quantile(counts: BinCounts, edges: BinEdges, minimum: float, maximum: float, q: float) -> tuple[float, float]:
    """Return the q-quantile of a histogram and its largest error, both in the edges' units.

    The truth is NumPy's method `inverted_cdf`: the least of the counted numbers x such that at least the share q of
    them is <= x. It is within the error bound of the value. `minimum` and `maximum` of the counted numbers
    tighten the bins that they are in and close the two open ones. NaN and NaN where nothing was counted.
    Raises BadInput for q outside [0, 1], or counts that are not two more than the bins.
    """
    _check_counts(counts, edges)
    if not 0 <= q <= 1:
        raise BadInput(f"quantile {q} asked for, expected a share between 0 and 1")
    total = int(counts.sum())
    if total == 0:
        return math.nan, math.nan
    cumulative = np.cumsum(counts)
    rank = max(math.ceil(q * total), 1)
    if rank in (1, total):
        return (minimum if rank == 1 else maximum), 0.0
    place = int(np.searchsorted(cumulative, rank))
    low = minimum if place == 0 else max(float(edges[place - 1]), minimum)
    high = maximum if place == edges.size else min(float(edges[place]), maximum)
    before = int(cumulative[place] - counts[place])
    value = low + (high - low) * (rank - before - 0.5) / int(counts[place])
    return value, math.nextafter(max(value - low, high - value), math.inf)


def share_at_least(counts: BinCounts, edges: BinEdges, threshold: float) -> float:
    """Return the exact share of the counted numbers >= threshold; NaN where nothing was counted.

    Raises BadInput, with the nearest edges, where the threshold is not an edge.
    """
    _check_counts(counts, edges)
    place = int(np.searchsorted(edges, threshold))
    if place == edges.size or edges[place] != threshold:
        nearest = ", ".join(f"{edge:g}" for edge in edges[max(place - 1, 0) : place + 1])
        raise BadInput(f"threshold {threshold:g} is not an edge of the histogram; the nearest are {nearest}")
    total = int(counts.sum())
    return int(counts[place + 1 :].sum()) / total if total else math.nan


def _check_counts(counts: BinCounts, edges: BinEdges) -> None:
    if counts.shape != (edges.size + 1,):
        raise BadInput(f"histogram has {counts.shape} counts, expected {edges.size + 1} for {edges.size} edges")


class BinLookup(NamedTuple):
    """A table that gives the bin at which the search for a number starts.

    `first_bin` [2^18], indexed by the bits of float32(x - origin) without the last `dropped_bits`, is a bin that is
    never above that of x and seldom below it; `edges` ends in +inf, which stops the search.
    """

    edges: BinEdges
    origin: float
    dropped_bits: np.uint32
    first_bin: NDArray[np.int16]


def bin_lookup(edges: BinEdges) -> BinLookup:
    """Return the lookup table for the bins between those edges."""
    return _bin_lookup(np.ascontiguousarray(edges, np.float64).tobytes())


@lru_cache(maxsize=64)
def _bin_lookup(edges_bytes: bytes) -> BinLookup:
    edges = np.frombuffer(edges_bytes, np.float64)
    if not (edges.size > 1 and np.isfinite(edges).all() and (np.diff(edges) > 0).all()):
        raise BadInput(f"{edges.size} histogram edges, expected at least 2, finite and increasing")
    widths, centres = np.diff(edges), (edges[:-1] + edges[1:]) / 2
    origin = float(np.median(centres[widths <= 2 * widths.min()]))
    bits = np.arange(1 << (32 - int(_DROPPED_BITS)), dtype=np.uint32) << _DROPPED_BITS
    bits[bits.size // 2 :] |= (np.uint32(1) << _DROPPED_BITS) - np.uint32(1)
    with np.errstate(over="ignore", invalid="ignore"):
        least = np.nextafter(bits.view(np.float32), np.float32(-np.inf)).astype(np.float64) + origin
    least[np.isnan(least)] = -np.inf
    first_bin = np.searchsorted(edges, least, "right").astype(np.int16)
    return BinLookup(np.append(edges, np.inf), origin, _DROPPED_BITS, first_bin)
