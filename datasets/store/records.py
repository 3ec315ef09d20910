"""A record: what is known of one sample once its shards are written; the last thing that its writer leaves."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corrstore.datasets.recipe.periods import time_key
from corrstore.datasets.statistics.blocks import STATISTICS_SCHEMA

Status = Literal["valid", "partial", "missing"]


@dataclass(frozen=True)
class ShardRow:
    """One object of the store and what its bytes are."""

    role: str
    key: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Record:
    """One sample's statistics rows (STATISTICS_SCHEMA), its shards, and what was not as it should be.

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
        """The record as Parquet: the statistics as rows, the rest in the schema's metadata."""
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
    def from_bytes(cls, content: bytes) -> Record:
        """The record in these bytes."""
        table = pq.read_table(pa.BufferReader(content))
        about = json.loads(table.schema.metadata[b"corrstore"])
        about["shards"] = [ShardRow(**shard) for shard in about["shards"]]
        about["valid_time"] = np.datetime64(about["valid_time"], "s")
        return cls(statistics=table.replace_schema_metadata(None).cast(STATISTICS_SCHEMA), **about)
