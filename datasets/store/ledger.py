"""The ledger: what a store keeps beside its arrays, so that work resumes and every number has a source."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from corrstore.datasets.errors import BadInput
from corrstore.datasets.pairing.pairs import PAIRS_SCHEMA, SamplePlan, sample_plans
from corrstore.datasets.recipe.periods import format_time
from corrstore.datasets.recipe.recipe import Recipe, recipe_from
from corrstore.datasets.statistics.blocks import STATISTICS_SCHEMA
from corrstore.datasets.statistics.histograms import physical_edges, residual_edges
from corrstore.datasets.storage.folder import Folder, checksum
from corrstore.datasets.store.constants import Constants, stored_normalisation
from corrstore.datasets.store.layout import LEDGER, ROLES, StorePlan
from corrstore.datasets.store.records import Record

RECORDS, MEASUREMENTS = f"{LEDGER}/records", f"{LEDGER}/measurements"
CHECKSUMS = f"{LEDGER}/checksums"
PAIRS, BUILD = f"{LEDGER}/pairs.parquet", f"{LEDGER}/build.json"
MANIFEST = f"{LEDGER}/manifest.json"
VERDICT, UNFINISHED = f"{LEDGER}/verdict.json", f"{LEDGER}/unfinished"
STATISTICS, SHARDS = f"{LEDGER}/statistics.parquet", f"{LEDGER}/shards.parquet"
SAMPLES, SOURCES = f"{LEDGER}/samples.parquet", f"{LEDGER}/sources.parquet"
HISTOGRAMS, REPORT = f"{LEDGER}/histograms.parquet", f"{LEDGER}/report.json"
_SAMPLES_IN_ROW_GROUP = 32

SAMPLES_SCHEMA = pa.schema(
    [
        ("index", pa.int64()),
        ("valid_time", pa.timestamp("s")),
        ("status", pa.string()),
        ("reasons", pa.list_(pa.string())),
        ("floored", pa.list_(pa.struct([("channel", pa.string()), ("pixels", pa.int64())]))),
    ]
)
SHARDS_SCHEMA = pa.schema(
    [
        ("index", pa.int64()),
        ("role", pa.string()),
        ("key", pa.string()),
        ("bytes", pa.int64()),
        ("sha256", pa.string()),
    ]
)
HISTOGRAMS_SCHEMA = pa.schema([("role", pa.string()), ("channel", pa.string()), ("edges", pa.list_(pa.float64()))])


def parquet_bytes(table: pa.Table, rows_in_group: int | None = None) -> bytes:
    """The table as the bytes of a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", row_group_size=rows_in_group)
    return sink.getvalue().to_pybytes()


def write_pairs(folder: Folder, pairs: pa.Table) -> None:
    """Keep the pairs, a few samples a row group, so that a worker reads its own sample's rows alone."""
    samples = max(1, len(set(pairs["index"].to_pylist())))
    rows = _SAMPLES_IN_ROW_GROUP * -(-len(pairs) // samples)
    folder.write(PAIRS, parquet_bytes(pairs, max(rows, 1)))


def read_pairs(folder: Folder, filters: list[tuple[str, str, int]] | None = None) -> pa.Table:
    """The pairs (PAIRS_SCHEMA), or those rows of them that the filters keep."""
    with folder.open(PAIRS) as file:
        return pq.read_table(file, filters=filters).cast(PAIRS_SCHEMA)


def read_sample_plan(folder: Folder, index: int) -> SamplePlan | None:
    """The plan of one sample (-1: the static fields), None where the pairs do not have it."""
    return next(sample_plans(read_pairs(folder, [("index", "==", index)])), None)


@dataclass(frozen=True)
class Begun:
    """A build that was begun: its recipe, the rules by which its archives are read and, once frozen, the constants."""

    recipe: Recipe
    rules: dict[str, Any]
    constants: Constants | None = None


def write_begun(folder: Folder, begun: Begun) -> None:
    """Keep what the next start of the build has to know."""
    frozen = begun.constants
    content: dict[str, Any] = {"recipe": begun.recipe.content, "rules": begun.rules, "constants": None}
    if frozen is not None:
        content["constants"] = {"notes": frozen.notes}
        for role in ROLES:
            content["constants"][role] = [
                [each.transform.name, each.mean, each.std] for each in frozen.normalisations[role]
            ]
    folder.write(BUILD, json.dumps(content, indent=1).encode())


def read_begun(folder: Folder) -> Begun | None:
    """The build that was begun here, None where none was."""
    if not folder.exists(BUILD):
        return None
    try:
        content = json.loads(folder.read(BUILD))
    except ValueError:
        raise BadInput(
            f"{folder.path(BUILD)} is damaged; restore it from a copy, or build into another folder"
        ) from None
    recipe = recipe_from(content["recipe"], folder.path(BUILD))
    frozen = content["constants"]
    if frozen is None:
        return Begun(recipe, content["rules"])
    normalisations = {role: [stored_normalisation(*each) for each in frozen[role]] for role in ROLES}
    return Begun(recipe, content["rules"], Constants(normalisations, frozen["notes"]))


def read_records(folder: Folder, place: str = RECORDS) -> Iterator[Record]:
    """The records in the order of time, one at a time."""
    for name in folder.names(place):
        yield Record.from_bytes(folder.read(f"{place}/{name}"))


class Left(Protocol):
    """What a worker leaves of its work, such as a Record: a name, and bytes."""

    @property
    def name(self) -> str:
        """The name of its file."""

    def to_bytes(self) -> bytes:
        """Its content."""


def write_record(folder: Folder, record: Left, place: str = RECORDS) -> None:
    """Leave what there is to know of a piece of work that is done."""
    folder.write(f"{place}/{record.name}", record.to_bytes())


@dataclass(frozen=True)
class Consolidated:
    """What the records say together: samples by status, the indices of the valid ones, the reasons of the others."""

    statuses: dict[str, int]
    valid: list[int]
    reasons: dict[str, list[str]]
    floored: dict[str, int]


def consolidate(folder: Folder) -> Consolidated:
    """Write the tables of statistics, shards and samples from the records, in the order of time, a few at a time."""
    statuses: dict[str, int] = {}
    valid: list[int] = []
    reasons: dict[str, list[str]] = {}
    floored: dict[str, int] = {}
    tables = {STATISTICS: STATISTICS_SCHEMA, SHARDS: SHARDS_SCHEMA, SAMPLES: SAMPLES_SCHEMA}
    sinks = {key: pa.BufferOutputStream() for key in tables}
    writers = {key: pq.ParquetWriter(sinks[key], schema, compression="zstd") for key, schema in tables.items()}
    for batch in _batches(read_records(folder)):
        for record in batch:
            statuses[record.status] = statuses.get(record.status, 0) + 1
            if record.status == "valid":
                valid.append(record.index)
            else:
                reasons[format_time(record.valid_time)] = record.reasons
            for channel, pixels in record.floored.items():
                floored[channel] = floored.get(channel, 0) + pixels
        writers[STATISTICS].write_table(pa.concat_tables([record.statistics for record in batch]).combine_chunks())
        writers[SHARDS].write_table(_shards_table(batch))
        writers[SAMPLES].write_table(_samples_table(batch))
    for key, writer in writers.items():
        writer.close()
        folder.write(key, sinks[key].getvalue().to_pybytes())
    return Consolidated(statuses, valid, reasons, floored)


def write_manifest(folder: Folder, objects: dict[str, bytes]) -> None:
    """Keep the checksums of what is no shard: metadata, coordinates, static fields, tables."""
    folder.write(MANIFEST, json.dumps({key: checksum(content) for key, content in sorted(objects.items())}).encode())


def damaged_objects(folder: Folder) -> list[str]:
    """The keys of the manifest whose objects are not there, or not what was written."""
    if not folder.exists(MANIFEST):
        return [MANIFEST]
    manifest: dict[str, str] = json.loads(folder.read(MANIFEST))
    return [key for key, sha256 in manifest.items() if not folder.exists(key) or checksum(folder.read(key)) != sha256]


def histograms_table(plan: StorePlan) -> pa.Table:
    """The edges of the histogram of each role's and the residual's channels."""
    rows = [
        {"role": role, "channel": channel.name, "edges": physical_edges(channel.variable)}
        for role in ROLES
        for channel in plan.channels(role)
    ] + [
        {"role": "residual", "channel": channel.name, "edges": residual_edges(channel.variable)}
        for channel in plan.channels("target")
        if channel.name in plan.recipe.input.channels
    ]
    return pa.Table.from_pylist(rows, schema=HISTOGRAMS_SCHEMA)


def _batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    batch: list[Record] = []
    for record in records:
        batch.append(record)
        if len(batch) == _SAMPLES_IN_ROW_GROUP:
            yield batch
            batch = []
    if batch:
        yield batch


def _shards_table(batch: list[Record]) -> pa.Table:
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


def _samples_table(batch: list[Record]) -> pa.Table:
    rows: list[dict[str, Any]] = [
        {
            "index": record.index,
            "valid_time": record.valid_time.astype(object),
            "status": record.status,
            "reasons": record.reasons,
            "floored": [{"channel": name, "pixels": count} for name, count in sorted(record.floored.items())],
        }
        for record in batch
    ]
    return pa.Table.from_pylist(rows, schema=SAMPLES_SCHEMA)
