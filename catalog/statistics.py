"""Statistics of any period, merged from the rows of single samples; no data is read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from catalog.holdings import ValidTime
from catalog.selection import selected
from catalog.series import MOMENTS, Series
from datasets.histograms import quantile, share_at_least
from datasets.periods import Interval, Times
from datasets.statistics import merge_columns


class Quantile(NamedTuple):
    """The share `q` of the numbers is at most about `value`, which is off by at most `error`."""

    q: float
    value: float
    error: float


@dataclass(frozen=True)
class ChannelStatistics:
    """Statistics of one channel of one store over the valid samples that were selected, in `units`.

    `expected` samples lie in what was asked for and `samples` of them are valid; `count` numbers are finite in these
    and `missing` are NaN. `std` is the population's (ddof=0). Of the `quantiles`, the truth is NumPy's method
    `inverted_cdf`. `wet_share` of the numbers reach `wet_threshold`, None for a channel that has none.
    """

    store: str
    name: str
    role: str
    channel: str
    units: str
    expected: int
    samples: int
    count: int
    missing: int
    mean: float
    std: float
    minimum: float
    maximum: float
    quantiles: list[Quantile]
    wet_threshold: float | None
    wet_share: float | None

    @property
    def complete(self) -> bool:
        """Whether all expected samples are valid."""
        return self.samples == self.expected

    @property
    def row(self) -> dict[str, Any]:
        """All of it as one flat row."""
        row = {key: value for key, value in vars(self).items() if key != "quantiles"}
        row["complete"] = self.complete
        for each in self.quantiles:
            row |= {f"q{each.q:g}": each.value, f"q{each.q:g}_error": each.error}
        return row


class Block(NamedTuple):
    """The samples to merge of one channel of one store: `chosen` of the series' rows, out of `expected`."""

    row: dict[str, Any]
    role: str
    series: Series
    chosen: NDArray[np.bool_]
    expected: int


def expected_times(row: dict[str, Any], period: Interval | None) -> Times:
    """The times that a store (its row of the table `stores`) would have in the period, or has in its own."""
    step = np.timedelta64(row["frequency_seconds"], "s")
    start, end = np.datetime64(row["start"], "s"), np.datetime64(row["end"], "s")
    if period is not None:
        start += -((start - period.start) // step) * step
        end = period.end
    return np.arange(start, end, step).astype("datetime64[s]")


def block(
    row: dict[str, Any],
    role: str,
    series: Series,
    valid: ValidTime,
    period: Interval | None,
    months: Sequence[int],
    hours: Sequence[int],
) -> Block:
    """What of a series is selected: the rows of valid samples, `valid` being the store's valid intervals."""
    expected = selected(expected_times(row, period), period, months, hours).sum()
    chosen = selected(series.times, period, months, hours) & inside(series.times, valid)
    return Block(row, role, series, chosen, int(expected))


def inside(times: Times, valid: ValidTime) -> NDArray[np.bool_]:
    """Which times lie in the valid intervals of a store, which are apart and in the order of time."""
    seconds = times.astype(np.int64)
    place = np.searchsorted(valid.start, seconds, "right") - 1
    if not len(valid.start):
        return np.zeros(len(times), bool)
    return (place >= 0) & (seconds < valid.end[place])


def merged(blocks: Sequence[Block], quantiles: Sequence[float]) -> list[ChannelStatistics]:
    """The statistics of each block, merged by the formula of `datasets.statistics`."""
    if not blocks:
        return []
    columns = {name: np.concatenate([each.series.moments[name][each.chosen] for each in blocks]) for name in MOMENTS}
    group = np.repeat(np.arange(len(blocks)), [int(each.chosen.sum()) for each in blocks])
    moments = merge_columns(columns, group, len(blocks))
    return [
        _statistics(each, {name: moments[name][place].item() for name in MOMENTS}, quantiles)
        for place, each in enumerate(blocks)
    ]


def _statistics(each: Block, moments: dict[str, Any], quantiles: Sequence[float]) -> ChannelStatistics:
    channel, series = each.series.channel, each.series
    edges = np.array(channel["edges"] or [], np.float64)
    used = slice(series.first_bin, series.first_bin + series.histograms.shape[1])
    counts = np.zeros(max(edges.size + 1, used.stop), np.int64)
    counts[used] = series.histograms[each.chosen].sum(axis=0, dtype=np.int64)
    count, low, high = moments["count"], moments["minimum"], moments["maximum"]
    wet = channel["wet_threshold"]
    return ChannelStatistics(
        store=each.row["store"],
        name=each.row["name"],
        role=each.role,
        channel=channel["channel"],
        units=channel["units"],
        expected=each.expected,
        samples=int(each.chosen.sum()),
        count=count,
        missing=moments["missing"],
        mean=moments["mean"],
        std=math.sqrt(moments["m2"] / count) if count else math.nan,
        minimum=low,
        maximum=high,
        quantiles=[Quantile(q, *quantile(counts, edges, low, high, q)) for q in quantiles],
        wet_threshold=wet,
        wet_share=None if wet is None else share_at_least(counts, edges, wet),
    )
