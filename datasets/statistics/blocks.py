"""Mergeable statistics of a block of a field: exact counts, mean, M2, extremes and a fixed-edge histogram.

Blocks merge in any order by the formula of Chan, Golub and LeVeque (1983), "Algorithms for Computing the Sample
Variance: Analysis and Recommendations", The American Statistician 37(3): what is known of two blocks gives what would
be known of their union.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corrstore.datasets.errors import BadInput
from corrstore.datasets.statistics.histograms import BinCounts

MOMENTS = ("count", "missing", "mean", "m2", "minimum", "maximum")


@dataclass(frozen=True, eq=False)
class BlockStatistics:
    """The statistics of a block of numbers, in physical units.

    `count` numbers are finite and `missing` are NaN; `mean`, `m2` (the sum of squared deviations from the mean),
    `minimum` and `maximum` are of the finite ones, in float64, NaN (`m2`: 0) where there is none. `histogram`
    [n + 2] counts them between the n + 1 edges that the block was counted with, see `datasets.statistics.histograms`.
    """

    count: int
    missing: int
    mean: float
    m2: float
    minimum: float
    maximum: float
    histogram: BinCounts

    @classmethod
    def empty(cls, bins: int) -> BlockStatistics:
        """Return the statistics of no numbers, with a histogram of `bins` counts: the start of a merge."""
        return cls(0, 0, math.nan, 0.0, math.nan, math.nan, np.zeros(bins, np.int64))

    @property
    def std(self) -> float:
        """The population standard deviation (ddof=0); NaN where nothing is counted."""
        return math.sqrt(self.m2 / self.count) if self.count else math.nan

    def merge(self, other: BlockStatistics) -> BlockStatistics:
        """Return the statistics of both blocks together; raises BadInput where the histograms differ in length."""
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


def _refuse_other_edges(left: BinCounts, right: BinCounts) -> None:
    if left.size != right.size:
        raise BadInput(
            f"histograms of {left.size} and {right.size} counts cannot be merged; merge blocks of one channel, "
            "counted with the same edges"
        )


def merge_all(statistics: Iterable[BlockStatistics]) -> BlockStatistics:
    """Merge all blocks; the result is equal to the last bit in whatever order they come.

    Raises ValueError for no blocks, and BadInput where histograms differ in length.
    """
    parts = list(statistics)
    if not parts:
        raise ValueError("no blocks to merge, expected at least one; BlockStatistics.empty knows nothing of any")
    for part in parts:
        _refuse_other_edges(parts[0].histogram, part.histogram)
    columns = {name: np.array([getattr(part, name) for part in parts]) for name in MOMENTS}
    merged = merge_columns(columns, np.zeros(len(parts), np.int64), groups=1)
    return block_at(merged, 0, np.sum([part.histogram for part in parts], axis=0))


def merge_columns(
    columns: Mapping[str, NDArray[Any]], group: NDArray[np.integer], groups: int
) -> dict[str, NDArray[Any]]:
    """Merge the moments of many blocks group by group: Chan's formula for k blocks at once.

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


def block_at(columns: Mapping[str, NDArray[Any]], index: int, histogram: BinCounts) -> BlockStatistics:
    """Return the block in one row of merged columns, with its histogram."""
    return BlockStatistics(**{name: columns[name][index].item() for name in MOMENTS}, histogram=histogram)
