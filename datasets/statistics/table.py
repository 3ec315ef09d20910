"""The table of statistics: a row for each role, channel and valid time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from corrstore.datasets.errors import BadInput
from corrstore.datasets.statistics.blocks import MOMENTS, BlockStatistics, block_at, merge_columns
from corrstore.datasets.statistics.gradients import GradientPower
from corrstore.datasets.statistics.histograms import BinCounts

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
        pa.field("gradient_pairs", pa.int64()),
        pa.field("gradient_power", pa.float64()),
    ]
)
"""The gradient power is that of inputs alone; it is null in rows of before it was counted."""
_ROWS_AT_A_TIME = 16384


def statistics_table(
    valid_time: np.datetime64,
    statistics: Mapping[tuple[Role, str], BlockStatistics],
    gradients: Mapping[tuple[Role, str], GradientPower] | None = None,
) -> pa.Table:
    """Return one sample's statistics, keyed by (role, channel), as rows of `STATISTICS_SCHEMA`."""
    powers = [(gradients or {}).get(key) for key in statistics]
    columns: dict[str, Any] = {name: [getattr(block, name) for block in statistics.values()] for name in MOMENTS}
    columns["histogram"] = [block.histogram for block in statistics.values()]
    columns["role"] = [role for role, _ in statistics]
    columns["channel"] = [channel for _, channel in statistics]
    columns["gradient_pairs"] = [each and each.pairs for each in powers]
    columns["gradient_power"] = [each and each.power for each in powers]
    columns["valid_time"] = np.full(len(statistics), valid_time, "datetime64[s]")
    return pa.table(columns, schema=STATISTICS_SCHEMA)


def completed(table: pa.Table) -> pa.Table:
    """Return rows of statistics as `STATISTICS_SCHEMA`; what rows of an older corrstore lack is null."""
    absent = [field for field in STATISTICS_SCHEMA if field.nullable and field.name not in table.column_names]
    for field in absent:
        table = table.append_column(field, pa.nulls(len(table), field.type))
    return table.select(STATISTICS_SCHEMA.names).cast(STATISTICS_SCHEMA)


def moments_of_sample(table: pa.Table) -> dict[tuple[Role, str], BlockStatistics]:
    """Return the rows of `STATISTICS_SCHEMA` of one sample by (role, channel), without the counts of histograms."""
    columns, nothing = _columns(table), np.zeros(0, np.int64)
    names = zip(table["role"].to_pylist(), table["channel"].to_pylist(), strict=True)
    return {name: block_at(columns, i, nothing) for i, name in enumerate(names)}


def merged_by_channel(table: pa.Table) -> dict[tuple[Role, str], BlockStatistics]:
    """Merge rows of `STATISTICS_SCHEMA`, of any valid times, for each (role, channel).

    The order of the rows changes no bit of the result. Raises BadInput where the histograms of a channel differ in
    length.
    """
    roles, channels = (table[name].combine_chunks().dictionary_encode() for name in ("role", "channel"))
    pair = roles.indices.to_numpy() * len(channels.dictionary) + channels.indices.to_numpy()
    present, group = np.unique(pair, return_inverse=True)
    places = (divmod(int(number), len(channels.dictionary)) for number in present)
    names = [(roles.dictionary[role].as_py(), channels.dictionary[channel].as_py()) for role, channel in places]
    merged = merge_columns(_columns(table), group, groups=len(names))
    histograms = _merged_histograms(table["histogram"], group, names)
    return {name: block_at(merged, i, histograms[i]) for i, name in enumerate(names)}


def _merged_histograms(
    column: pa.ChunkedArray, group: NDArray[np.int64], names: Sequence[tuple[Role, str]]
) -> list[BinCounts]:
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
    return {name: table[name].to_numpy() for name in MOMENTS}
