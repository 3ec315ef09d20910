"""Mergeable statistics of a block of a field: exact counts, mean, M2, extremes and a fixed-edge histogram.

Blocks merge in any order by the formula of Chan, Golub and LeVeque (1983), "Algorithms for Computing the Sample
Variance: Analysis and Recommendations", The American Statistician 37(3): what is known of two blocks gives what would
be known of their union. Within a block their other recommendations hold: shifted data, two passes, pairwise sums.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit
from numpy.typing import NDArray

from datasets.encoding import Normalisation
from datasets.errors import BadInput
from datasets.histograms import BinGuide, Counts, Edges, bin_guide

Role = Literal["input", "target", "residual"]

STATISTICS_SCHEMA = pa.schema(
    [
        pa.field("role", pa.string(), nullable=False),
        pa.field("channel", pa.string(), nullable=False),
        pa.field("valid_time", pa.timestamp("s"), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
        pa.field("missing", pa.int64(), nullable=False),
        pa.field("mean", pa.float64(), nullable=False),
        pa.field("m2", pa.float64(), nullable=False),
        pa.field("minimum", pa.float64(), nullable=False),
        pa.field("maximum", pa.float64(), nullable=False),
        pa.field("histogram", pa.list_(pa.field("element", pa.int64(), nullable=False)), nullable=False),
    ]
)
_MOMENTS = ("count", "missing", "mean", "m2", "minimum", "maximum")
_ROWS_AT_A_TIME = 16384
_ROWS_DECODED_AT_A_TIME = 64


@dataclass(frozen=True, eq=False)
class BlockStatistics:
    """What is known of a block of numbers, in physical units.

    `count` numbers are finite and `missing` are NaN; `mean`, `m2` (the sum of squared deviations from the mean),
    `minimum` and `maximum` are of the finite ones, in float64, NaN (`m2`: 0) where there is none. `histogram`
    [n + 2] counts them between the n + 1 edges that the block was counted with, see `datasets.histograms`.
    """

    count: int
    missing: int
    mean: float
    m2: float
    minimum: float
    maximum: float
    histogram: Counts

    @classmethod
    def empty(cls, bins: int) -> BlockStatistics:
        """Of no numbers at all, with a histogram of `bins` counts: what a merge begins with."""
        return cls(0, 0, math.nan, 0.0, math.nan, math.nan, np.zeros(bins, np.int64))

    @property
    def std(self) -> float:
        """The population standard deviation (ddof=0); NaN where nothing is counted."""
        return math.sqrt(self.m2 / self.count) if self.count else math.nan

    def merge(self, other: BlockStatistics) -> BlockStatistics:
        """The statistics of both blocks together; BadInput where their histograms differ in length."""
        _refuse_other_edges(self.histogram, other.histogram)
        both = replace(self, missing=self.missing + other.missing, histogram=self.histogram + other.histogram)
        if other.count == 0:
            return both
        if self.count == 0:
            return replace(other, missing=both.missing, histogram=both.histogram)
        count, difference = self.count + other.count, other.mean - self.mean
        return replace(
            both,
            count=count,
            mean=self.mean + difference * (other.count / count),
            m2=self.m2 + other.m2 + difference * difference * (self.count * other.count / count),
            minimum=min(self.minimum, other.minimum),
            maximum=max(self.maximum, other.maximum),
        )


def _refuse_other_edges(left: Counts, right: Counts) -> None:
    if left.size != right.size:
        raise BadInput(
            f"histograms of {left.size} and {right.size} counts cannot be merged; merge blocks of one channel, "
            "counted with the same edges"
        )


def block_statistics(values: NDArray[Any], edges: Edges) -> BlockStatistics:
    """Of physical values [ny, nx], float32 or float64; BadInput for an infinite one."""
    return _statistics_of_rows([(values, None, None)], edges)


def stored_statistics(stored: NDArray[Any], normalisation: Normalisation, edges: Edges) -> BlockStatistics:
    """Of what stored numbers [ny, nx] decode to, in physical units; BadInput for an infinite one.

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
    return replace(_at(merged, 0, histogram), missing=missing)


def residual_statistics(
    stored: NDArray[Any], normalisation: Normalisation, upsampled: NDArray[np.float32], edges: Edges
) -> BlockStatistics:
    """Of the residual: what the stored target [ny, nx] decodes to minus the upsampled input, in physical units.

    Args: `upsampled` physical, float32 [ny, nx]. A pixel where either is NaN is missing.
    Errors: BadInput where the shapes differ, and for an infinite residual.
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
        raise BadInput(f"value {infinite[0]} in a field, expected finite numbers and NaN; correct the source")


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


def _statistics_of_rows(blocks: Iterable[Rows], edges: Edges) -> BlockStatistics:
    """Of all rows of the blocks: (numbers, what they decode to if they are codes, what to subtract if anything)."""
    histogram = np.zeros(edges.size + 1, np.int64)
    running = np.zeros(1, _RUNNING)
    running["low"], running["high"] = np.inf, -np.inf
    for values, decoded_codes, subtracted in blocks:
        _add_rows(values, decoded_codes, subtracted, bin_guide(edges), running, histogram)
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
    guide: BinGuide,
    running: NDArray[Any],
    histogram: Counts,
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
def _add_row(row: NDArray[np.float64], guide: BinGuide, running: NDArray[Any], histogram: Counts) -> None:
    """Add numbers, none of them NaN, by two passes over them and Chan's formula; where one is infinite, no more than
    the extremes.

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
    _count_into_bins(row, guide, histogram)


@njit(cache=True, nogil=True)
def _count_into_bins(row: NDArray[np.float64], guide: BinGuide, histogram: Counts) -> None:
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
    """The sum of at least one term, which are overwritten: halves are added until one is left."""
    size = terms.size
    while size > 1:
        half = (size + 1) // 2
        for i in range(size - half):
            terms[i] += terms[half + i]
        size = half
    return terms[0]


@njit(cache=True, nogil=True)
def _count_codes(codes: NDArray[np.uint16], counts: Counts) -> None:
    for i in range(codes.shape[0]):
        for j in range(codes.shape[1]):
            counts[codes[i, j]] += 1


def merge_all(statistics: Iterable[BlockStatistics]) -> BlockStatistics:
    """All of them merged, to the last bit the same in whatever order they come.

    Errors: ValueError for none at all; BadInput where histograms differ in length.
    """
    parts = list(statistics)
    if not parts:
        raise ValueError("no blocks to merge, expected at least one; BlockStatistics.empty knows nothing of any")
    for part in parts:
        _refuse_other_edges(parts[0].histogram, part.histogram)
    columns = {name: np.array([getattr(part, name) for part in parts]) for name in _MOMENTS}
    merged = merge_columns(columns, np.zeros(len(parts), np.int64), groups=1)
    return _at(merged, 0, np.sum([part.histogram for part in parts], axis=0))


def merge_columns(
    columns: Mapping[str, NDArray[Any]], group: NDArray[np.integer], groups: int
) -> dict[str, NDArray[Any]]:
    """Many blocks' moments merged group by group: Chan's formula for k blocks at once.

    Args: `columns` count, missing, mean, m2, minimum, maximum, each [rows]; `group` [rows] in 0 ... groups - 1.
    Returns the same columns, each [groups]; a group without numbers is `BlockStatistics.empty`. The rows are put
    in an order of their own first, so the result does not depend, to the last bit, on the order they come in.
    """
    merged = {name: np.full(groups, np.nan) for name in ("mean", "minimum", "maximum")}
    merged["m2"] = np.zeros(groups)
    for name in ("count", "missing"):
        merged[name] = np.zeros(groups, np.int64)
        np.add.at(merged[name], group, columns[name])
    order = np.lexsort((columns["m2"], columns["count"], columns["mean"], group))
    order = order[columns["count"][order] > 0]
    if order.size == 0:
        return merged
    count, mean, m2, minimum, maximum = (columns[n][order] for n in ("count", "mean", "m2", "minimum", "maximum"))
    present, starts, sizes = np.unique(group[order], return_index=True, return_counts=True)

    def total(values: NDArray[Any]) -> NDArray[Any]:
        return np.add.reduceat(values, starts)

    def for_each(values: NDArray[Any]) -> NDArray[Any]:
        return np.repeat(values, sizes)

    lowest_mean, highest_mean = np.minimum.reduceat(mean, starts), np.maximum.reduceat(mean, starts)
    centre = np.clip(total(count * mean) / total(count), lowest_mean, highest_mean)
    merged["mean"][present] = centre
    merged["m2"][present] = total(m2 + count * (mean - for_each(centre)) ** 2)
    merged["minimum"][present] = np.minimum.reduceat(minimum, starts)
    merged["maximum"][present] = np.maximum.reduceat(maximum, starts)
    return merged


def rows_of(valid_time: np.datetime64, statistics: Mapping[tuple[Role, str], BlockStatistics]) -> pa.Table:
    """One sample's statistics, keyed by (role, channel), as rows of `STATISTICS_SCHEMA`."""
    columns: dict[str, Any] = {name: [getattr(block, name) for block in statistics.values()] for name in _MOMENTS}
    columns["histogram"] = [block.histogram for block in statistics.values()]
    columns["role"] = [role for role, _ in statistics]
    columns["channel"] = [channel for _, channel in statistics]
    columns["valid_time"] = np.full(len(statistics), valid_time, "datetime64[s]")
    return pa.table(columns, schema=STATISTICS_SCHEMA)


def statistics_from_table(table: pa.Table) -> list[BlockStatistics]:
    """The blocks in rows of `STATISTICS_SCHEMA`, in the order of the rows, to the last bit as they were written."""
    columns = _columns(table)
    histograms = (np.array(row.as_py(), np.int64) for row in table["histogram"])
    return [_at(columns, i, histogram) for i, histogram in enumerate(histograms)]


def merged_by_channel(table: pa.Table) -> dict[tuple[Role, str], BlockStatistics]:
    """Rows of `STATISTICS_SCHEMA`, of any valid times, merged for each (role, channel).

    The order of the rows changes no bit of the result. Errors: BadInput where the histograms of a channel differ in
    length.
    """
    roles, channels = (table[name].combine_chunks().dictionary_encode() for name in ("role", "channel"))
    pair = roles.indices.to_numpy() * len(channels.dictionary) + channels.indices.to_numpy()
    present, group = np.unique(pair, return_inverse=True)
    places = (divmod(int(number), len(channels.dictionary)) for number in present)
    names = [(roles.dictionary[role].as_py(), channels.dictionary[channel].as_py()) for role, channel in places]
    merged = merge_columns(_columns(table), group, groups=len(names))
    histograms = _merged_histograms(table["histogram"], group, names)
    return {name: _at(merged, i, histograms[i]) for i, name in enumerate(names)}


def _merged_histograms(
    column: pa.ChunkedArray, group: NDArray[np.int64], names: Sequence[tuple[Role, str]]
) -> list[Counts]:
    lengths = pc.list_value_length(column).to_numpy()
    length_of = np.zeros(len(names), np.int64)
    length_of[group] = lengths
    wrong = np.flatnonzero(lengths != length_of[group])
    if wrong.size:
        role, channel = names[group[wrong[0]]]
        raise BadInput(
            f"{role} {channel} has histograms of {lengths[wrong[0]]} and of {length_of[group[wrong[0]]]} counts, which "
            "have other edges and cannot be merged; rebuild the statistics of the older store"
        )
    ends = np.cumsum(length_of)
    merged = np.zeros(length_of.sum(), np.int64)
    for start in range(0, len(column), _ROWS_AT_A_TIME):
        part = slice(start, start + _ROWS_AT_A_TIME)
        counts = pc.list_flatten(column[part]).to_numpy()
        shift = (ends - length_of)[group[part]] - (np.cumsum(lengths[part]) - lengths[part])
        np.add.at(merged, np.arange(counts.size) + np.repeat(shift, lengths[part]), counts)
    return np.split(merged, ends[:-1])


def _columns(table: pa.Table) -> dict[str, NDArray[Any]]:
    return {name: table[name].to_numpy() for name in _MOMENTS}


def _at(columns: Mapping[str, NDArray[Any]], index: int, histogram: Counts) -> BlockStatistics:
    return BlockStatistics(**{name: columns[name][index].item() for name in _MOMENTS}, histogram=histogram)
