"""The checksums of the files that a store is made from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corrstore.datasets.archives.inventory import SOURCES_SCHEMA
from corrstore.datasets.errors import DamagedData
from corrstore.datasets.recipe.source import SourceSpec
from corrstore.datasets.storage.cache import file_key
from corrstore.datasets.storage.folder import Folder, checksum
from corrstore.datasets.store.ledger import CHECKSUMS

CHECKED_SOURCES_SCHEMA = SOURCES_SCHEMA.append(pa.field("sha256", pa.string()))
_READS_AT_ONCE = 16
_ZARR_METADATA = ("zarr.json", ".zmetadata", ".zgroup")


@dataclass(frozen=True)
class FileChecksum:
    """The SHA-256 of a file in one state: the record of a checksum task."""

    name: str
    sha256: str

    def to_bytes(self) -> bytes:
        """Return the hexadecimal digits."""
        return self.sha256.encode()


def files_in_use(files: pa.Table, pairs: pa.Table) -> pa.Table:
    """Return the files and Zarr groups (SOURCES_SCHEMA) that hold the fields of the pairs (PAIRS_SCHEMA)."""
    taken = [path.partition("!")[0] for path in pc.unique(pairs["path"]).to_pylist() if path]
    return files.filter(pc.is_in(files["path"], pa.array(taken, pa.string())))


def files_without_checksum(taken: pa.Table, folder: Folder) -> tuple[str, ...]:
    """Return the paths of the files whose present state has no checksum in the ledger; no Zarr groups."""
    there = set(folder.names(CHECKSUMS))
    paths = [row["path"] for row in taken.to_pylist() if row["format"] != "zarr"]
    return tuple(path for path in paths if _key(path) not in there)


def file_checksum(path: str) -> FileChecksum:
    """Read a file from end to end and return its checksum; raises DamagedData where it is gone."""
    try:
        with Path(path).open("rb") as file:
            return FileChecksum(_key(path), hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise _gone(path, error) from None


def with_checksums(files: pa.Table, taken: pa.Table, sources: Mapping[str, SourceSpec], folder: Folder) -> pa.Table:
    """Return the files with the SHA-256 of those in use, from the ledger; null for the others.

    Of a Zarr group, `bytes` and `sha256` are those of its metadata object: its chunks are not read for this. Returns
    CHECKED_SOURCES_SCHEMA; raises DamagedData where a file is gone.
    """
    wanted = set(taken["path"].to_pylist())

    def checked(row: dict[str, Any]) -> dict[str, Any]:
        if row["path"] not in wanted:
            return row
        if row["format"] != "zarr":
            return row | {"sha256": folder.read(f"{CHECKSUMS}/{_key(row['path'])}").decode()}
        metadata = _zarr_metadata(Folder(row["path"], sources[row["source"]].storage_options))
        return row | {"bytes": len(metadata), "sha256": checksum(metadata)}

    with ThreadPoolExecutor(_READS_AT_ONCE) as pool:
        return pa.Table.from_pylist(list(pool.map(checked, files.to_pylist())), schema=CHECKED_SOURCES_SCHEMA)


def _key(path: str) -> str:
    try:
        return file_key(Path(path))
    except OSError as error:
        raise _gone(path, error) from None


def _gone(path: str, error: OSError) -> DamagedData:
    return DamagedData(f"{path} was read for the store and cannot be now: {error.strerror}; restore it")


def _zarr_metadata(group: Folder) -> bytes:
    for name in _ZARR_METADATA:
        try:
            return group.read(name)
        except FileNotFoundError:
            continue
    raise DamagedData(f"{group.url} has none of {', '.join(_ZARR_METADATA)} any more; restore it")
