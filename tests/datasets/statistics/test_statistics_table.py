"""The table of statistics: its rows come back exactly, and merge in any order."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corrstore.datasets.errors import BadInput
from corrstore.datasets.statistics.blocks import BlockStatistics, merge_all
from corrstore.datasets.statistics.counting import block_statistics
from corrstore.datasets.statistics.histograms import physical_edges, residual_edges
from corrstore.datasets.statistics.table import (
    STATISTICS_SCHEMA,
    merged_by_channel,
    statistics_table,
)
from corrstore.datasets.variables.table import VARIABLES
from tests.same_blocks import assert_same


def some_blocks(seed):
    generator = np.random.default_rng(seed)
    wind = generator.normal(3, 5, (6, 7))
    return {
        ("input", "u10m"): block_statistics(wind, physical_edges(VARIABLES["u10m"])),
        ("target", "u10m"): block_statistics(wind + 0.1, physical_edges(VARIABLES["u10m"])),
        ("target", "t2m"): block_statistics(np.full((3, 3), np.nan), physical_edges(VARIABLES["t2m"])),
        ("residual", "u10m"): block_statistics(generator.normal(0, 1, (6, 7)), residual_edges(VARIABLES["u10m"])),
    }


def test_statistics_come_back_from_parquet_to_the_last_bit(tmp_path):
    blocks, time = some_blocks(1), np.datetime64("2019-07-01T03:00:00")
    table = statistics_table(time, blocks)
    pq.write_table(table, tmp_path / "statistics.parquet")
    back = pq.read_table(tmp_path / "statistics.parquet", schema=STATISTICS_SCHEMA)
    assert back.schema.equals(STATISTICS_SCHEMA)
    assert list(zip(back["role"].to_pylist(), back["channel"].to_pylist(), strict=True)) == list(blocks)
    assert (back["valid_time"].to_numpy() == time).all()
    merged = merged_by_channel(back)
    for name, written in blocks.items():
        assert_same(merged[name], written)


def test_a_sample_without_statistics_is_a_table_without_rows():
    table = statistics_table(np.datetime64("2019-07-01"), {})
    assert table.schema.equals(STATISTICS_SCHEMA)
    assert table.num_rows == 0
    assert merged_by_channel(table) == {}


def test_rows_of_many_times_merge_by_role_and_channel_in_any_order():
    samples = [some_blocks(seed) for seed in range(12)]
    times = np.datetime64("2019-01-01T00") + np.arange(12) * np.timedelta64(3, "h")
    table = pa.concat_tables([statistics_table(time, blocks) for time, blocks in zip(times, samples, strict=True)])
    merged = merged_by_channel(table)
    assert set(merged) == set(samples[0])
    for key, block in merged.items():
        assert_same(block, merge_all(blocks[key] for blocks in samples))
    shuffled = merged_by_channel(table.take(np.random.default_rng(7).permutation(table.num_rows)))
    for key, block in merged.items():
        assert_same(shuffled[key], block)


def test_more_rows_than_are_merged_at_a_time():
    generator, rows = np.random.default_rng(8), 40_000
    counts, wide = generator.integers(0, 100, (rows, 4)), generator.random(rows) < 0.5
    histograms = [[*row, 7] if more else row for row, more in zip(counts.tolist(), wide, strict=True)]
    table = pa.table(
        {
            "role": np.full(rows, "target"),
            "channel": np.where(wide, "wide", "narrow"),
            "valid_time": np.arange(rows).astype("datetime64[s]"),
            "count": counts.sum(1),
            "missing": np.ones(rows, np.int64),
            **{name: generator.random(rows) for name in ("mean", "m2", "minimum", "maximum")},
            "histogram": histograms,
            "gradient_pairs": pa.nulls(rows, pa.int64()),
            "gradient_power": pa.nulls(rows, pa.float64()),
        },
        schema=STATISTICS_SCHEMA,
    )
    merged = merged_by_channel(table)
    np.testing.assert_array_equal(merged["target", "narrow"].histogram, counts[~wide].sum(0))
    np.testing.assert_array_equal(merged["target", "wide"].histogram, [*counts[wide].sum(0), 7 * wide.sum()])
    assert merged["target", "wide"].missing == wide.sum()


def test_rows_of_one_channel_with_other_edges_are_refused():
    time = np.datetime64("2019-01-01")
    blocks = [{("target", "t2m"): BlockStatistics.empty(bins)} for bins in (5, 6)]
    table = pa.concat_tables([statistics_table(time, each) for each in blocks])
    with pytest.raises(BadInput, match="target t2m has histograms of 5 and of 6 counts"):
        merged_by_channel(table)
