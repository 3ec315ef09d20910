"""Statistics of any period, merged from the rows of single samples; no data is read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corrstore.catalog.queries.availability import Intervals
from corrstore.catalog.queries.selection import Selection, refuse_too_many
from corrstore.catalog.queries.series import MOMENTS, Key, Series, SeriesReader
from corrstore.datasets.statistics.blocks import merge_columns
from corrstore.datasets.statistics.histograms import quantile, share_at_least

_CHANNELS_AT_A_TIME = 256


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
        """True where there are expected samples, and all are valid."""
        return self.samples == self.expected > 0

    @property
    def row(self) -> dict[str, Any]:
        """The statistics as one flat row."""
        row = {key: value for key, value in vars(self).items() if key != "quantiles"}
        row["complete"] = self.complete
        for each in self.quantiles:
            row |= {f"q{each.q:g}": each.value, f"q{each.q:g}_error": each.error}
        return row


class Asked(NamedTuple):
    """One channel of one store: the store's row of the table `stores`, its valid intervals, the samples expected."""

    row: dict[str, Any]
    role: str
    channel: str
    valid: Intervals
    expected: int

    @property
    def key(self) -> Key:
        """The key of the series: registration, role and channel."""
        return self.row["registration"], self.role, self.channel


class Block(NamedTuple):
    """The statistics asked for, their series, and a mask of its rows to be merged."""

    asked: Asked
    series: Series
    chosen: NDArray[np.bool_]


def expected_samples(row: dict[str, Any], selection: Selection) -> int:
    """Return the number of selected times that a store of valid times (its row of `stores`) has, or would have."""
    step = np.timedelta64(row["frequency_seconds"], "s")
    start, end = np.datetime64(row["start"], "s"), np.datetime64(row["end"], "s")
    if selection.period is not None:
        start += -((start - selection.period.start) // step) * step
        end = selection.period.end
    refuse_too_many(int((end - start) // step), selection.period)
    return _selected_times(start, end, step, selection)


def expected_forecasts(coverage: pa.Table, row: dict[str, Any], selection: Selection) -> int:
    """Return the number of selected samples that are due in a store of forecasts, from its rows of `coverage`."""
    step = np.timedelta64(row["frequency_seconds"], "s")
    starts, ends = (coverage[side].to_numpy().astype("datetime64[s]") for side in ("start", "end"))
    times = [np.arange(start, end, step) for start, end in zip(starts, ends, strict=True)]
    return int(selection.mask(np.concatenate(times)).sum()) if times else 0


@lru_cache(maxsize=64)
def _selected_times(start: np.datetime64, end: np.datetime64, step: np.timedelta64, selection: Selection) -> int:
    return int(selection.mask(np.arange(start, end, step).astype("datetime64[s]")).sum())


def statistics(
    asked: Sequence[Asked], selection: Selection, quantiles: Sequence[float], read: SeriesReader
) -> list[ChannelStatistics]:
    """The statistics of each channel asked for, merged from the selected valid samples' rows.

    A channel that the catalog has no statistics of is left out. Errors: BadInput for quantiles outside 0 to 1.
    """
    found = []
    for first in range(0, len(asked), _CHANNELS_AT_A_TIME):
        part = asked[first : first + _CHANNELS_AT_A_TIME]
        pairs = zip(part, read([each.key for each in part]), strict=True)
        found += _merged([_block(each, series, selection) for each, series in pairs if series], quantiles)
    return found


def _block(asked: Asked, series: Series, selection: Selection) -> Block:
    held = asked.valid.hold(series.times.astype(np.int64), series.inits.astype(np.int64))
    chosen = selection.mask(series.times) & held
    return Block(asked, series, chosen)


def _merged(blocks: Sequence[Block], quantiles: Sequence[float]) -> list[ChannelStatistics]:
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
    asked, series = each.asked, each.series
    used = slice(series.first_bin, series.first_bin + series.histograms.shape[1])
    counts = np.zeros(max(series.edges.size + 1, used.stop), np.int64)
    counts[used] = series.histograms[each.chosen].sum(axis=0, dtype=np.int64)
    count, low, high = moments["count"], moments["minimum"], moments["maximum"]
    wet = series.channel["wet_threshold"]
    return ChannelStatistics(
        store=asked.row["store"],
        name=asked.row["name"],
        role=asked.role,
        channel=asked.channel,
        units=series.channel["units"],
        expected=asked.expected,
        samples=int(each.chosen.sum()),
        count=count,
        missing=moments["missing"],
        mean=moments["mean"],
        std=math.sqrt(moments["m2"] / count) if count else math.nan,
        minimum=low,
        maximum=high,
        quantiles=[Quantile(q, *quantile(counts, series.edges, low, high, q)) for q in quantiles],
        wet_threshold=wet,
        wet_share=None if wet is None else share_at_least(counts, series.edges, wet),
    )
