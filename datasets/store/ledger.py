"""The ledger: the keys of the files that a store keeps beside its arrays, and the manifest of their checksums.

They let a build continue, and give every number of the store a source.
"""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from corrstore.datasets.errors import DamagedData
from corrstore.datasets.storage.folder import Folder, checksum

LEDGER = "ledger"

HISTORY = f"{LEDGER}/history.json"

RECORDS, MEASUREMENTS = f"{LEDGER}/records", f"{LEDGER}/measurements"
CHECKSUMS, PLANS = f"{LEDGER}/checksums", f"{LEDGER}/plans"
STATIC = f"{LEDGER}/static.parquet"
PAIRS, BUILD = f"{LEDGER}/pairs.parquet", f"{LEDGER}/build.json"
MANIFEST = f"{LEDGER}/manifest.json"
VERDICT, UNFINISHED = f"{LEDGER}/verdict.json", f"{LEDGER}/unfinished"
STATISTICS, SHARDS = f"{LEDGER}/statistics.parquet", f"{LEDGER}/shards.parquet"
SAMPLES, SOURCES = f"{LEDGER}/samples.parquet", f"{LEDGER}/sources.parquet"
HISTOGRAMS, REPORT = f"{LEDGER}/histograms.parquet", f"{LEDGER}/report.json"
SAMPLES_IN_ROW_GROUP = 32


def parquet_bytes(table: pa.Table, rows_in_group: int | None = None) -> bytes:
    """Return the table as the bytes of a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", row_group_size=rows_in_group)
    return sink.getvalue().to_pybytes()


def read_json(folder: Folder, key: str) -> Any:
    """Return the content of a JSON file of the store; raises DamagedData where it is none."""
    try:
        return json.loads(folder.read(key))
    except ValueError:
        raise DamagedData(
            f"{folder.path(key)} is damaged: it is not JSON; restore it from a copy, or build into another folder"
        ) from None


def write_manifest(folder: Folder, objects: dict[str, bytes]) -> None:
    """Write the checksums of the objects that are not shards: metadata, coordinates, static fields, tables."""
    folder.write(MANIFEST, json.dumps({key: checksum(content) for key, content in sorted(objects.items())}).encode())


def damaged_objects(folder: Folder) -> list[str]:
    """Return the keys of the manifest whose objects are absent or have another checksum.

    A manifest that is absent or damaged is the only one named.
    """
    if not folder.exists(MANIFEST):
        return [MANIFEST]
    try:
        manifest: dict[str, str] = json.loads(folder.read(MANIFEST))
    except ValueError:
        return [MANIFEST]
    return [key for key, sha256 in manifest.items() if not folder.exists(key) or checksum(folder.read(key)) != sha256]
