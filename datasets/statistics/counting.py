"""The statistics of a field, in one pass over memory.

Within a block the recommendations of Chan, Golub and LeVeque (1983) hold: shifted data, two passes, pairwise sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from corrstore.datasets.errors import BadInput, DamagedData
from corrstore.datasets.statistics.blocks import BlockStatistics, block_at, merge_columns
from corrstore.datasets.statistics.histograms import BinCounts, BinEdges, BinLookup, bin_lookup
from corrstore.datasets.variables.normalisation import Normalisation

_ROWS_DECODED_AT_A_TIME = 64


def block_statistics(values: NDArray[Any], edges: BinEdges) -> BlockStatistics:
    """Return the statistics of physical values [ny, nx], float32 or float64; raises DamagedData for an infinite one."""
    return _statistics_of_rows([(values, None, None)], edges)


def stored_statistics(stored: NDArray[Any], normalisation: Normalisation, edges: BinEdges) -> BlockStatistics:
    """Return the statistics of the decoded values of stored numbers [ny, nx], in physical units.

    Raises DamagedData for an infinite value.

    There are only 65536 float16 codes, so a float16 field is the merge of as many blocks of equal numbers.
    """
    if stored.dtype != np.float16:
        return _statistics_of_rows(((normalisation.decode(rows), None, None) for rows in _few_rows(stored)), edges)
    counts = np.zeros(1 << 16, np.int64)
    _count_codes(stored.view(np.uint16), counts)
    codes = np.flatnonzero(counts)
    numbers, values = counts[codes], normalisation.decoded_codes[codes]
    finite = ~np.isnan(values)
    missing, numbers, values = int(numbers[~finite].sum()), numbers[finite], values[finite]
    _refuse_infinite(values)
    histogram = np.zeros(edges.size + 1, np.int64)
    np.add.at(histogram, np.searchsorted(edges, values, "right"), numbers)
    nothing = np.zeros(values.size, np.int64)
    equal = {"mean": values, "m2": nothing.astype(np.float64), "minimum": values, "maximum": values}
    merged = merge_columns({"count": numbers, "missing": nothing, **equal}, nothing, groups=1)
    return replace(block_at(merged, 0, histogram), missing=missing)


def residual_statistics(
    stored: NDArray[Any], normalisation: Normalisation, upsampled: NDArray[np.float32], edges: BinEdges
) -> BlockStatistics:
    """Return the statistics of the residual: the decoded target [ny, nx] minus the upsampled input.

    Args: `upsampled` physical, float32 [ny, nx]. A pixel where either is NaN is missing.
    Raises BadInput where the shapes differ, and DamagedData for an infinite residual.
    """
    if stored.shape != upsampled.shape:
        raise BadInput(f"target is {stored.shape} and the upsampled input {upsampled.shape}, expected one grid")
    if stored.dtype == np.float16:
        return _statistics_of_rows([(stored.view(np.uint16), normalisation.decoded_codes, upsampled)], edges)
    pairs = zip(_few_rows(stored), _few_rows(upsampled), strict=True)
    return _statistics_of_rows(((normalisation.decode(rows), None, below) for rows, below in pairs), edges)


def _few_rows(field: NDArray[Any]) -> Iterator[NDArray[Any]]:
    for start in range(0, len(field), _ROWS_DECODED_AT_A_TIME):
        yield field[start : start + _ROWS_DECODED_AT_A_TIME]


def _refuse_infinite(values: NDArray[np.float64]) -> None:
    infinite = values[np.isinf(values)]
    if infinite.size:
        raise DamagedData(f"value {infinite[0]} in a field, expected finite numbers and NaN; correct the source")


_RUNNING = np.dtype(
    [
        ("count", "i8"),
        ("missing", "i8"),
        ("shift", "f8"),
        ("mean", "f8"),
        ("m2", "f8"),
        ("low", "f8"),
        ("high", "f8"),
    ]
)

Rows = tuple[NDArray[Any], NDArray[np.float64] | None, NDArray[np.float32] | None]


def _statistics_of_rows(blocks: Iterable[Rows], edges: BinEdges) -> BlockStatistics:
    """Return the statistics of all blocks, each (numbers, decoded values by code or None, subtrahend or None)."""
    histogram = np.zeros(edges.size + 1, np.int64)
    running = np.zeros(1, _RUNNING)
    running["low"], running["high"] = np.inf, -np.inf
    for values, decoded_codes, subtracted in blocks:
        _add_rows(values, decoded_codes, subtracted, bin_lookup(edges), running, histogram)
    count, missing, shift, mean, m2, low, high = running[0].item()
    if low > high:
        return replace(BlockStatistics.empty(histogram.size), missing=missing)
    _refuse_infinite(np.array([low, high]))
    return BlockStatistics(count, missing, shift + mean, m2, low, high, histogram)


@njit(cache=True, nogil=True)
def _add_rows(
    values: NDArray[Any],
    decoded_codes: NDArray[np.float64] | None,
    subtracted: NDArray[np.float32] | None,
    guide: BinLookup,
    running: NDArray[Any],
    histogram: BinCounts,
) -> None:
    row = np.empty(values.shape[1], np.float64)
    for i in range(values.shape[0]):
        missing = 0
        for j in range(row.size):
            value = np.float64(values[i, j]) if decoded_codes is None else decoded_codes[values[i, j]]
            if subtracted is not None:
                value -= np.float64(subtracted[i, j])
            row[j] = value
            missing += np.isnan(value)
        running[0].missing += missing
        if missing < row.size:
            _add_row(row[~np.isnan(row)] if missing else row, guide, running, histogram)


@njit(cache=True, nogil=True)
def _add_row(row: NDArray[np.float64], guide: BinLookup, running: NDArray[Any], histogram: BinCounts) -> None:
    """Add numbers without NaN, by two passes and Chan's formula; a row with infinities adds only its extremes.

    The running mean is relative to the first row's, so that a large offset costs no digits.
    """
    known = running[0]
    low, high = row[0], row[0]
    for value in row:
        low = value if value < low else low
        high = value if value > high else high
    known.low, known.high = min(known.low, low), max(known.high, high)
    if low == -np.inf or high == np.inf:
        return
    if known.count == 0:
        known.shift = _pairwise_sum(row.copy()) / row.size
    mean = _pairwise_sum(row - known.shift) / row.size
    deviations = (row - known.shift) - mean
    count, difference = known.count + row.size, mean - known.mean
    known.mean += difference * (row.size / count)
    known.m2 += _pairwise_sum(deviations * deviations)
    known.m2 += difference * difference * (known.count * row.size / count)
    known.count = count
    count_into_bins(row, guide, histogram)


@njit(cache=True, nogil=True)
def count_into_bins(row: NDArray[np.float64], guide: BinLookup, histogram: BinCounts) -> None:
    """Add the finite numbers of a row to the counts below, between and above the edges."""
    differences = np.empty(row.size, np.float32)
    for i in range(row.size):
        differences[i] = np.float32(row[i] - guide.origin)
    bits = differences.view(np.uint32)
    for i in range(row.size):
        place = np.int64(guide.first_bin[bits[i] >> guide.dropped_bits])
        while row[i] >= guide.edges[place]:
            place += 1
        histogram[place] += 1


@njit(cache=True, nogil=True)
def _pairwise_sum(terms: NDArray[np.float64]) -> float:
    """Return the sum of one or more terms by repeated halving; overwrites the terms."""
    size = terms.size
    while size > 1:
        half = (size + 1) // 2
        for i in range(size - half):
            terms[i] += terms[half + i]
        size = half
    return terms[0]


@njit(cache=True, nogil=True)
def _count_codes(codes: NDArray[np.uint16], counts: BinCounts) -> None:
    for i in range(codes.shape[0]):
        for j in range(codes.shape[1]):
            counts[codes[i, j]] += 1
