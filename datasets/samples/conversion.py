"""The conversion of a store of layout 2 into the present layout, without its archives.

Layout 2 has no checksums of inner chunks, and its records do not say what a sample was made of: its table of
pairs does.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corrstore.datasets.errors import BadInput, DamagedData
from corrstore.datasets.pairing.sample_plan import PAIRS_SCHEMA, SamplePlan
from corrstore.datasets.statistics.table import completed
from corrstore.datasets.storage.folder import Folder, checksum
from corrstore.datasets.store.ledger import PAIRS, RECORDS, SOURCES
from corrstore.datasets.store.records import SampleRecord, ShardRow, record_name
from corrstore.datasets.store.shard import assembled, with_crc32c

CONVERTED_LAYOUT = 2
_INDEX_ENTRY = 16  # bytes: offset and length of an inner chunk
_CHECKSUM = 4


def old_attributes(old: Folder) -> dict[str, Any]:
    """Return the attributes of a finished store of layout 2; raises BadInput for anything else."""
    try:
        attributes: dict[str, Any] = json.loads(old.read("zarr.json"))["attributes"]["corrstore"]
        version = attributes["layout_version"]
    except (OSError, ValueError, KeyError):
        raise BadInput(f"{old.url} is no finished training store: it has no zarr.json of one") from None
    if version != CONVERTED_LAYOUT:
        raise BadInput(f"{old.url} has layout version {version}; {CONVERTED_LAYOUT} alone can be converted")
    return attributes


def old_pairs(old: Folder) -> pa.Table:
    """Return the pairs of a store of layout 2 as PAIRS_SCHEMA.

    The state of each file is what the old table of sources knows, its size and SHA-256; its time of change is null.
    """
    sources = pq.read_table(pa.BufferReader(old.read(SOURCES))).to_pylist()
    known = {row["path"]: row for row in sources}
    table = pq.read_table(pa.BufferReader(old.read(PAIRS)))
    whole = table["path"].to_pylist()
    parts = [_path_and_inside(path, known) for path in whole]
    valid_time = pc.cast(table["valid_time"], pa.timestamp("s"))
    lead = pc.cast(table["lead_time"], pa.duration("s"))
    columns = {
        **{name: table[name] for name in table.column_names},
        "path": pa.array([path for path, _ in parts], pa.string()),
        "inside": pa.array([inside for _, inside in parts], pa.string()),
        "init_time": pc.subtract(valid_time, lead),
        "file_bytes": pa.array([known[path]["bytes"] if path in known else None for path, _ in parts], pa.int64()),
        "file_sha256": pa.array([known.get(path or "", {}).get("sha256") for path, _ in parts], pa.string()),
    }
    empty = {field.name: pa.nulls(len(table), field.type) for field in PAIRS_SCHEMA if field.name not in columns}
    return pa.table({name: {**columns, **empty}[name] for name in PAIRS_SCHEMA.names}).cast(PAIRS_SCHEMA)


def convert_sample(old: Folder, new: Folder, plan: SamplePlan) -> SampleRecord:
    """Write a sample's shards with a checksum of each inner chunk; return its record.

    Raises DamagedData where a shard of the old store is not what was written.
    """
    key = f"{RECORDS}/{record_name(plan.valid_time)}"
    try:
        table = pq.read_table(pa.BufferReader(old.read(key)))
        about = json.loads(table.schema.metadata[b"corrstore"])
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError):
        raise DamagedData(f"{old.path(key)} is damaged; build the store anew from its archives") from None
    shards = []
    for shard in about["shards"]:
        try:
            content = old.read(shard["key"])
        except FileNotFoundError:
            content = b""
        if checksum(content) != shard["sha256"]:
            path = old.path(shard["key"])
            raise DamagedData(f"{path} is not what was written; build the store anew from its archives")
        converted = shard_with_checksums(content)
        new.write(shard["key"], converted)
        shards.append(ShardRow(shard["role"], shard["key"], len(converted), checksum(converted)))
    return SampleRecord(
        index=about["index"],
        valid_time=plan.valid_time,
        statistics=completed(table.replace_schema_metadata(None)),
        status=about["status"],
        reasons=about["reasons"],
        floored=about["floored"],
        shards=shards,
        terms=plan.terms,
    )


def shard_with_checksums(content: bytes) -> bytes:
    """Return the shard of layout 2 with a CRC-32C after each inner chunk, none of them compressed anew."""
    first = int(np.frombuffer(content, "<u8", 1)[0])
    count = (first - _CHECKSUM) // _INDEX_ENTRY
    index = np.frombuffer(content, "<u8", 2 * count).reshape(count, 2)
    return assembled([with_crc32c(content[offset : offset + length]) for offset, length in index.tolist()])


def _path_and_inside(whole: str | None, known: dict[str, Any]) -> tuple[str | None, str | None]:
    """Return the path of a file, and the name of the file in it that layout 2 wrote behind an exclamation mark."""
    if whole is None or whole in known:
        return whole, None if whole is None else ""
    path, _, inside = whole.partition("!")
    while path not in known and "!" in inside:
        more, _, inside = inside.partition("!")
        path = f"{path}!{more}"
    return path, inside
