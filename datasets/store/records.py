"""Sample records: the statistics, shards and faults of one sample, written after its shards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Literal, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corrstore.datasets.errors import DamagedData
from corrstore.datasets.recipe.periods import time_key
from corrstore.datasets.statistics.table import STATISTICS_SCHEMA
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.ledger import RECORDS

Status = Literal["valid", "partial", "missing"]


@dataclass(frozen=True)
class ShardRow:
    """One shard of the store: its key, size and SHA-256."""

    role: str
    key: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class SampleRecord:
    """One sample's statistics (STATISTICS_SCHEMA), its shards, and its faults.

    `status` is `missing` where one side has no channel at all, `partial` where something else lacks or lies
    outside its physical range; `reasons` say what. `floored` counts the numbers raised to a declared floor.
    """

    index: int
    valid_time: np.datetime64
    statistics: pa.Table
    status: Status = "valid"
    reasons: list[str] = field(default_factory=list)
    floored: dict[str, int] = field(default_factory=dict)
    shards: list[ShardRow] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The name of the record's file."""
        return f"{time_key(self.valid_time)}.parquet"

    def to_bytes(self) -> bytes:
        """Return the record as Parquet: the statistics as rows, the rest in the schema's metadata."""
        about = {
            "index": self.index,
            "valid_time": str(self.valid_time),
            "status": self.status,
            "reasons": self.reasons,
            "floored": self.floored,
            "shards": [asdict(shard) for shard in self.shards],
        }
        sink = pa.BufferOutputStream()
        table = self.statistics.replace_schema_metadata({"corrstore": json.dumps(about, sort_keys=True)})
        pq.write_table(table, sink, compression="zstd")
        return sink.getvalue().to_pybytes()

    @classmethod
    def from_bytes(cls, content: bytes) -> SampleRecord:
        """Return the record that `to_bytes` encoded."""
        table = pq.read_table(pa.BufferReader(content))
        about = json.loads(table.schema.metadata[b"corrstore"])
        about["shards"] = [ShardRow(**shard) for shard in about["shards"]]
        about["valid_time"] = np.datetime64(about["valid_time"], "s")
        return cls(statistics=table.replace_schema_metadata(None).cast(STATISTICS_SCHEMA), **about)


class TaskRecord(Protocol):
    """The record that a worker writes of a finished task, such as a SampleRecord: a file name and bytes."""

    @property
    def name(self) -> str:
        """The name of the record's file."""

    def to_bytes(self) -> bytes:
        """Return the content of the record's file."""


def write_task_record(folder: Folder, record: TaskRecord, place: str = RECORDS) -> None:
    """Write the record of a finished task."""
    folder.write(f"{place}/{record.name}", record.to_bytes())


def read_records(folder: Folder, place: str = RECORDS) -> Iterator[SampleRecord]:
    """Yield the sample records in the order of time; raises DamagedData as `read_record`."""
    for name in folder.names(place):
        yield read_record(folder, f"{place}/{name}")


def read_record(folder: Folder, key: str) -> SampleRecord:
    """Return one sample record; raises DamagedData where the file is no record."""
    content = folder.read(key)
    try:
        return SampleRecord.from_bytes(content)
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError):
        raise DamagedData(
            f"{folder.path(key)} is damaged: it is no sample record; run `corrstore verify`, then build with --repair"
        ) from None
