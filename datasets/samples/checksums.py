"""The state of the files that samples are made of: size, time of change and SHA-256."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import google_crc32c
import pyarrow as pa
import pyarrow.compute as pc

from corrstore.datasets.errors import BadInput, DamagedData
from corrstore.datasets.pairing.sample_plan import PAIRS_SCHEMA
from corrstore.datasets.recipe.source import SourceSpec
from corrstore.datasets.storage.cache import cache_path, file_key, read_from_cache, write_to_cache
from corrstore.datasets.storage.folder import Folder, checksum
from corrstore.datasets.store.ledger import CHECKSUMS, read_own

_READS_AT_ONCE = 16
_ZARR_METADATA = ("zarr.json", ".zmetadata", ".zgroup")
_EPOCH = datetime(1970, 1, 1)
_CHECKSUM = re.compile("[0-9a-f]{64}([0-9a-f]{8})?")


@dataclass(frozen=True)
class FileChecksum:
    """The SHA-256 of a file in one state: the record of a checksum task."""

    name: str
    sha256: str

    def to_bytes(self) -> bytes:
        """Return the hexadecimal digits, and those of their CRC-32C."""
        return f"{self.sha256}{_crc(self.sha256)}".encode()


def parsed_checksum(content: bytes) -> str:
    """Return the SHA-256 that `FileChecksum.to_bytes` encoded, also without its CRC; ValueError for anything else."""
    text = content.decode("ascii")
    if not _CHECKSUM.fullmatch(text) or text[64:] not in ("", _crc(text[:64])):
        raise ValueError("it is no SHA-256 followed by its CRC-32C")
    return text[:64]


def _crc(sha256: str) -> str:
    return f"{google_crc32c.value(sha256.encode()):08x}"


@dataclass(frozen=True)
class FileState:
    """The size in bytes, the time of change (UTC; None for a Zarr group) and the SHA-256 of a file."""

    bytes: int
    modified: datetime | None
    sha256: str


def files_in_use(files: pa.Table, pairs: pa.Table) -> pa.Table:
    """Return the files and Zarr groups (SOURCES_SCHEMA) that hold the fields of the pairs (PAIRS_SCHEMA)."""
    return files.filter(pc.is_in(files["path"], pc.unique(pairs["path"])))


def files_without_checksum(used: pa.Table, folder: Folder) -> tuple[str, ...]:
    """Return the paths of the files of whose present state no checksum is known; no Zarr groups."""
    there = set(folder.names(CHECKSUMS))
    paths = [row["path"] for row in used.to_pylist() if row["format"] != "zarr"]
    return tuple(path for path in paths if _key(path) not in there and not _cache_path(path).exists())


def file_checksum(path: str) -> FileChecksum:
    """Read a file from end to end and return its checksum; raises DamagedData where it is gone."""
    try:
        key = _key(path)
        with Path(path).open("rb") as file:
            return FileChecksum(key, hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise _gone(path, error) from None


def cached_checksum(path: str) -> str:
    """Return the SHA-256 of a file, from this machine's cache where its present state is there."""
    place = _cache_path(path)
    known = read_from_cache(place)
    if known is not None:
        return known.decode()
    sha256 = file_checksum(path).sha256
    write_to_cache(place, sha256.encode())
    return sha256


def restore_checksums(used: pa.Table, folder: Folder, names: set[str]) -> set[str]:
    """Write the named checksums of the ledger again from the files in use; returns those that no file has now."""
    for row in used.to_pylist():
        if names and row["format"] != "zarr" and (key := _key(row["path"])) in names:
            folder.write(f"{CHECKSUMS}/{key}", file_checksum(row["path"]).to_bytes())
            names = names - {key}
    return names


def file_states(used: pa.Table, sources: Mapping[str, SourceSpec], folder: Folder) -> dict[str, FileState]:
    """Return the present state of the files and Zarr groups in use, by path.

    Checksums come from the ledger or this machine's cache where they are known, else the files are read. Of a Zarr
    group the state is that of its metadata object: its chunks are not read for this.
    """
    there = set(folder.names(CHECKSUMS))

    def state(row: dict[str, str]) -> FileState:
        path = row["path"]
        if row["format"] == "zarr":
            metadata = _zarr_metadata(Folder(path, sources[row["source"]].storage_options))
            return FileState(len(metadata), None, checksum(metadata))
        key = _key(path)
        sha256 = read_own(folder, f"{CHECKSUMS}/{key}", parsed_checksum) if key in there else cached_checksum(path)
        return FileState(*size_and_time(path), sha256)

    rows = used.to_pylist()
    with ThreadPoolExecutor(_READS_AT_ONCE) as pool:
        return dict(zip((row["path"] for row in rows), pool.map(state, rows), strict=True))


def with_present_states(pairs: pa.Table, used: pa.Table, sources: Mapping[str, SourceSpec], folder: Folder) -> pa.Table:
    """Return the pairs (PAIRS_SCHEMA) with the present state of the file in use that holds each field."""
    states = file_states(used, sources, folder)
    known = [states.get(path) for path in pairs["path"].to_pylist()]
    columns = {
        "file_bytes": [state and state.bytes for state in known],
        "file_modified": [state and state.modified for state in known],
        "file_sha256": [state and state.sha256 for state in known],
    }
    for name, values in columns.items():
        pairs = pairs.set_column(
            pairs.schema.get_field_index(name), name, pa.array(values, PAIRS_SCHEMA.field(name).type)
        )
    return pairs


def refuse_changed_files(terms: pa.Table) -> None:
    """Raise BadInput where a file of the terms (TERMS_SCHEMA) has another size or time of change than planned."""
    planned = terms.select(["path", "file_bytes", "file_modified"]).to_pylist()
    for path, size, modified in {(row["path"], row["file_bytes"], row["file_modified"]) for row in planned}:
        if modified is not None and size_and_time(path) != (size, modified):
            raise BadInput(
                f"{path} was changed while samples were made of it: {size:,} bytes of {modified:%Y-%m-%dT%H:%M:%S}Z"
                " are not there any more; give the same command again"
            )


def size_and_time(path: str) -> tuple[int, datetime]:
    """Return the size in bytes and the time of change (UTC) of a file; raises DamagedData where it is gone."""
    try:
        state = Path(path).stat()
    except OSError as error:
        raise _gone(path, error) from None
    return state.st_size, _EPOCH + timedelta(microseconds=state.st_mtime_ns // 1000)


def _key(path: str) -> str:
    try:
        return file_key(Path(path))
    except OSError as error:
        raise _gone(path, error) from None


def _cache_path(path: str) -> Path:
    try:
        return cache_path("sha256", Path(path), "")
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
