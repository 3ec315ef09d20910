"""The tables of the ledger that are made from all sample records: statistics, shards, samples, pairs, sources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corrstore.datasets.pairing.sample_plan import PAIRS_SCHEMA
from corrstore.datasets.statistics.histograms import physical_edges, residual_edges
from corrstore.datasets.statistics.table import STATISTICS_SCHEMA
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.layout import StorePlan
from corrstore.datasets.store.ledger import (
    PAIRS,
    SAMPLES,
    SAMPLES_IN_ROW_GROUP,
    SHARDS,
    SOURCES,
    STATISTICS,
    SealedWriter,
    parquet_bytes,
)
from corrstore.datasets.store.recorded import pairs_of, read_static_record
from corrstore.datasets.store.records import (
    COUNTED,
    INIT_TIME,
    PIXELS_BY_CHANNEL,
    SampleRecord,
    read_records,
    with_init_time,
)

SAMPLES_SCHEMA = pa.schema(
    [
        ("index", pa.int64()),
        ("valid_time", pa.timestamp("s")),
        ("status", pa.string()),
        ("reasons", pa.list_(pa.string())),
        *((name, PIXELS_BY_CHANNEL) for name in COUNTED),
    ]
)
SOURCES_SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("path", pa.string()),
        ("format", pa.string()),
        ("bytes", pa.int64()),
        ("modified", pa.timestamp("us")),
        ("sha256", pa.string()),
        ("fields", pa.int64()),
        ("samples", pa.int64()),
    ]
)
"""Each file in each state that samples were made of: how many of its fields are used, in how many samples."""
SHARDS_SCHEMA = pa.schema(
    [
        ("index", pa.int64()),
        ("role", pa.string()),
        ("key", pa.string()),
        ("bytes", pa.int64()),
        ("sha256", pa.string()),
    ]
)
_FILE, _STATE = ("source", "path", "format"), ("file_bytes", "file_modified", "file_sha256")
HISTOGRAMS_SCHEMA = pa.schema([("role", pa.string()), ("channel", pa.string()), ("edges", pa.list_(pa.float64()))])


@dataclass(frozen=True)
class SampleSummary:
    """All sample records in short: counts by status, indices of the valid samples, reasons of the others.

    `counts` are numbers of pixels by channel, of each of `COUNTED`.
    """

    statuses: Counter[str] = field(default_factory=Counter)
    valid: list[int] = field(default_factory=list)
    reasons: dict[str, list[str]] = field(default_factory=dict)
    counts: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in COUNTED})

    def add(self, record: SampleRecord) -> None:
        """Count one record."""
        self.statuses[record.status] += 1
        if record.status == "valid":
            self.valid.append(record.index)
        else:
            self.reasons[record.label] = record.reasons
        for name, counter in self.counts.items():
            counter.update(getattr(record, name))


def write_sample_tables(folder: Folder, of_runs: bool = False) -> SampleSummary:
    """Write the tables of statistics, shards, samples, pairs and sources, in the order of time.

    Of forecasts, the statistics and the samples have the `init_time` of their runs.
    A few records are in memory at once.
    """
    summary = SampleSummary()
    sources = SourceCounts()
    tables = {STATISTICS: STATISTICS_SCHEMA, SHARDS: SHARDS_SCHEMA, SAMPLES: SAMPLES_SCHEMA, PAIRS: PAIRS_SCHEMA}
    if of_runs:
        tables |= {key: tables[key].append(INIT_TIME) for key in (STATISTICS, SAMPLES)}
    writers = {key: SealedWriter(schema) for key, schema in tables.items()}
    static = list(read_static_record(folder))
    if static:
        writers[PAIRS].write_table(of_static := pairs_of(static))
        sources.add(of_static)
    for batch in _batches(read_records(folder)):
        for record in batch:
            summary.add(record)
        statistics = [
            with_init_time(record.statistics, record.init_time) if of_runs else record.statistics for record in batch
        ]
        writers[STATISTICS].write_table(pa.concat_tables(statistics).combine_chunks())
        writers[SHARDS].write_table(_shards_table(batch))
        writers[SAMPLES].write_table(_samples_table(batch, tables[SAMPLES]))
        writers[PAIRS].write_table(pairs := pairs_of(batch))
        sources.add(pairs)
    for key, writer in writers.items():
        folder.write(key, writer.content())
    folder.write(SOURCES, parquet_bytes(sources.table()))
    return summary


class SourceCounts:
    """Counts of the fields and samples that are made of each file in each of its states."""

    def __init__(self) -> None:
        self._counted: dict[tuple[Any, ...], list[int]] = {}

    def add(self, pairs: pa.Table) -> None:
        """Count the rows of pairs (PAIRS_SCHEMA), which have all rows of their samples.

        A Zarr group, whose chunks have each its state, is counted without one.
        """
        held = pairs.filter(pc.is_valid(pairs["path"]))
        fields: dict[tuple[int, tuple[Any, ...]], int] = {}
        for row in held.group_by([*_FILE, "inside", *_STATE, "index"]).aggregate([([], "count_all")]).to_pylist():
            in_group = row["format"] == "zarr" and not row["inside"]
            key = (*(row[name] for name in _FILE), *(None if in_group else row[name] for name in _STATE))
            fields[row["index"], key] = fields.get((row["index"], key), 0) + row["count_all"]
        for (index, key), count in fields.items():
            counted = self._counted.setdefault(key, [0, 0])
            counted[0] += count
            counted[1] += index >= 0

    def table(self) -> pa.Table:
        """Return the counts as SOURCES_SCHEMA, in the order of source and path."""
        rows = [dict(zip(SOURCES_SCHEMA.names, (*key, *counts), strict=True)) for key, counts in self._counted.items()]
        return pa.Table.from_pylist(rows, schema=SOURCES_SCHEMA).sort_by(
            [("source", "ascending"), ("path", "ascending"), ("sha256", "ascending")]
        )


def histograms_table(plan: StorePlan) -> pa.Table:
    """Return the histogram edges of each channel of each role and of the residual."""
    rows = [
        {"role": role, "channel": channel.name, "edges": physical_edges(channel.variable)}
        for role in plan.roles
        for channel in plan.channels(role)
    ] + [
        {"role": "residual", "channel": channel.name, "edges": residual_edges(channel.variable)}
        for channel in (plan.channels("target") if "target" in plan.roles else [])
        if channel.name in plan.recipe.channel_names("input")
    ]
    return pa.Table.from_pylist(rows, schema=HISTOGRAMS_SCHEMA)


def _batches(records: Iterable[SampleRecord]) -> Iterator[list[SampleRecord]]:
    batch: list[SampleRecord] = []
    for record in records:
        batch.append(record)
        if len(batch) == SAMPLES_IN_ROW_GROUP:
            yield batch
            batch = []
    if batch:
        yield batch


def _shards_table(batch: list[SampleRecord]) -> pa.Table:
    rows: list[dict[str, Any]] = [
        {
            "index": record.index,
            "role": shard.role,
            "key": shard.key,
            "bytes": shard.bytes,
            "sha256": shard.sha256,
        }
        for record in batch
        for shard in record.shards
    ]
    return pa.Table.from_pylist(rows, schema=SHARDS_SCHEMA)


def _samples_table(batch: list[SampleRecord], schema: pa.Schema) -> pa.Table:
    rows: list[dict[str, Any]] = [
        {
            "index": record.index,
            "valid_time": record.valid_time.astype(object),
            INIT_TIME.name: record.init_time.astype(object),
            "status": record.status,
            "reasons": record.reasons,
            **record.counts(),
        }
        for record in batch
    ]
    return pa.Table.from_pylist(rows, schema=schema)
