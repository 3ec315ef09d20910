"""Sample records: what one sample was made from, its statistics, shards and faults, written after its shards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Literal, Protocol

import numpy as np
import pyarrow as pa

from corrstore.datasets.pairing.sample_plan import TERMS_SCHEMA
from corrstore.datasets.recipe.sample_axes import NO_RUN, SampleAxes, sample_key, sample_label
from corrstore.datasets.statistics.table import STATISTICS_SCHEMA, completed
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.ledger import RECORDS, parquet_bytes, parsed_table, read_own

Status = Literal["valid", "partial", "missing"]
SHARD_FIELDS = pa.struct([("role", pa.string()), ("key", pa.string()), ("bytes", pa.int64()), ("sha256", pa.string())])
COUNTED = ("floored", "capped", "overshot")
"""What is counted of a sample's numbers, by channel."""
PIXELS_BY_CHANNEL = pa.list_(pa.struct([("channel", pa.string()), ("pixels", pa.int64())]))
RECORD_SCHEMA = pa.schema(
    [
        ("index", pa.int64()),
        ("valid_time", pa.timestamp("ms")),
        ("status", pa.string()),
        ("reasons", pa.list_(pa.string())),
        *((name, PIXELS_BY_CHANNEL) for name in COUNTED),
        ("shards", pa.list_(SHARD_FIELDS)),
        ("statistics", pa.list_(pa.struct(STATISTICS_SCHEMA))),
        ("terms", pa.list_(pa.struct(TERMS_SCHEMA))),
    ]
)
"""A record: one row; that of a forecast has its init_time too."""
_MOMENTS = ["index", "valid_time", "status", "reasons"] + [
    f"statistics.list.element.{name}" for name in STATISTICS_SCHEMA.names if name != "histogram"
]
"""The columns of a record that the constants are made from: a quarter of the time of reading all."""
INIT_TIME = pa.field("init_time", pa.timestamp("s"))
"""The init time of the run that a sample is of."""


@dataclass(frozen=True)
class ShardRow:
    """One shard of the store: its key, size and SHA-256."""

    role: str
    key: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class SampleRecord:
    """One sample's statistics (STATISTICS_SCHEMA), its shards, its faults, and what it was made from.

    `status` is `missing` where one side has no channel at all, `partial` where something else lacks or lies
    outside its physical range; `reasons` say what. `floored` counts the numbers raised to a declared floor, `capped`
    those lowered to a declared cap, `overshot` those that packing had moved beyond the physical range.
    `terms` (TERMS_SCHEMA) are the fields that it was read from, with the state of the files that held them.
    """

    index: int
    valid_time: np.datetime64
    statistics: pa.Table
    status: Status = "valid"
    reasons: list[str] = field(default_factory=list)
    floored: dict[str, int] = field(default_factory=dict)
    capped: dict[str, int] = field(default_factory=dict)
    overshot: dict[str, int] = field(default_factory=dict)
    shards: list[ShardRow] = field(default_factory=list)
    terms: pa.Table = field(default_factory=TERMS_SCHEMA.empty_table)
    init_time: np.datetime64 = NO_RUN

    @property
    def name(self) -> str:
        """The name of the record's file."""
        return record_name(self.valid_time, self.init_time)

    @property
    def label(self) -> str:
        """The name of the sample in messages."""
        return sample_label(self.valid_time, self.init_time)

    def counts(self) -> dict[str, list[dict[str, Any]]]:
        """Return the columns of what is counted by channel."""
        return {
            name: [{"channel": channel, "pixels": pixels} for channel, pixels in sorted(getattr(self, name).items())]
            for name in COUNTED
        }

    def to_bytes(self) -> bytes:
        """Return the record as Parquet: one row of RECORD_SCHEMA."""
        row = {
            "index": self.index,
            "valid_time": self.valid_time.astype("datetime64[s]").astype(object),
            "status": self.status,
            "reasons": self.reasons,
            **self.counts(),
            "shards": [asdict(shard) for shard in self.shards],
        }
        columns = {name: pa.array([value], RECORD_SCHEMA.field(name).type) for name, value in row.items()}
        for name, table in (("statistics", self.statistics), ("terms", self.terms)):
            columns[name] = _as_one_list(table)
        record = pa.table(columns).cast(RECORD_SCHEMA)
        if not np.isnat(self.init_time):
            record = with_init_time(record, self.init_time)
        return parquet_bytes(record)

    @classmethod
    def from_bytes(cls, content: bytes, columns: list[str] | None = None) -> SampleRecord:
        """Return the record that `to_bytes` encoded; of some columns alone, with nothing in place of the others."""
        table = parsed_table(content, columns)
        init_time = table[INIT_TIME.name][0].as_py() if INIT_TIME.name in table.column_names else None
        names = ["index", "valid_time", "status", "reasons", *COUNTED, "shards"]
        names = [name for name in names if name in table.column_names]  # an older corrstore counted less
        row: dict[str, Any] = (
            table.select(names).cast(pa.schema([RECORD_SCHEMA.field(n) for n in names])).to_pylist()[0]
        )
        row["shards"] = [ShardRow(**shard) for shard in row.get("shards", [])]
        for key in COUNTED:
            row[key] = {entry["channel"]: entry["pixels"] for entry in row.get(key, [])}
        row["valid_time"] = np.datetime64(row["valid_time"], "s")
        statistics = pa.Table.from_struct_array(table["statistics"].combine_chunks().values)
        if columns:
            empty = pa.array([[]] * len(statistics), STATISTICS_SCHEMA.field("histogram").type)
            return cls(**row, statistics=completed(statistics.append_column("histogram", empty)))
        terms = pa.Table.from_struct_array(table["terms"].combine_chunks().values)
        run = np.datetime64(init_time or "NaT", "s")
        return cls(**row, init_time=run, statistics=completed(statistics), terms=terms.cast(TERMS_SCHEMA))


def record_name(valid_time: np.datetime64, init_time: np.datetime64 = NO_RUN) -> str:
    """Return the name of the file of a sample's record."""
    return "static.parquet" if np.isnat(valid_time) else f"{sample_key(valid_time, init_time)}.parquet"


def record_of(axes: SampleAxes, index: int) -> str:
    """Return the name of the file of the record of the sample of that index."""
    return record_name(axes.valid_times[index], axes.init_times[index])


def with_init_time(table: pa.Table, init_time: np.datetime64) -> pa.Table:
    """Return the table with the init time in each row."""
    time = pa.scalar(init_time.astype("datetime64[s]").astype(object), INIT_TIME.type)
    return table.append_column(INIT_TIME, pa.repeat(time, len(table)))


def _as_one_list(table: pa.Table) -> pa.ListArray:
    """Return a table's rows as a list array of one element."""
    rows = table.combine_chunks().to_struct_array()
    structs = rows.combine_chunks() if isinstance(rows, pa.ChunkedArray) else rows
    return pa.ListArray.from_arrays(pa.array([0, len(table)], pa.int32()), structs)


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


def read_moments(folder: Folder, place: str) -> Iterator[SampleRecord]:
    """Yield the sample records without shards, terms and the counts of histograms; raises as `read_record`."""
    parse = partial(SampleRecord.from_bytes, columns=_MOMENTS)
    for name in folder.names(place):
        yield read_own(folder, f"{place}/{name}", parse)


def read_reasons(folder: Folder, place: str) -> dict[int, list[str]]:
    """Return the reasons of each record that has some, by the index of its sample; raises as `read_record`."""
    parse = partial(parsed_table, columns=["index", "reasons"])
    rows = (read_own(folder, f"{place}/{name}", parse).to_pylist()[0] for name in folder.names(place))
    return {row["index"]: row["reasons"] for row in rows if row["reasons"]}


def read_record(folder: Folder, key: str) -> SampleRecord:
    """Return one sample record; raises DamagedData where the file is no record."""
    return read_own(folder, key, SampleRecord.from_bytes)
