"""The state of the files that samples are made of: size, time of change and SHA-256."""

from __future__ import annotations

import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import google_crc32c
import pyarrow as pa
import pyarrow.compute as pc

from corrstore.datasets.archives.gridded.chunks import LocalGroups, time_of_change
from corrstore.datasets.errors import BadInput, DamagedData
from corrstore.datasets.pairing.sample_plan import PAIRS_SCHEMA
from corrstore.datasets.storage.cache import cache_path, file_key, read_from_cache, write_to_cache
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.ledger import CHECKSUMS, read_own

_READS_AT_ONCE = 16
_SLICE = ("name", "indexers")
_STATE = ("file_bytes", "file_modified", "file_sha256")
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
    """The size in bytes, the time of change (UTC) and the SHA-256 of a file."""

    bytes: int
    modified: datetime
    sha256: str


def files_in_use(files: pa.Table, pairs: pa.Table) -> pa.Table:
    """Return the files and Zarr groups (SOURCES_SCHEMA) that hold the fields of the pairs (PAIRS_SCHEMA)."""
    return files.filter(pc.is_in(files["path"], pc.unique(pairs["path"])))


def known_checksums(folder: Folder) -> set[str]:
    """Return the names of the checksums in a store's ledger."""
    return set(folder.names(CHECKSUMS))


def files_without_checksum(used: pa.Table, known: set[str]) -> tuple[str, ...]:
    """Return the paths of the files of whose present state no checksum is known; no Zarr groups."""
    paths = [row["path"] for row in used.to_pylist() if row["format"] != "zarr"]
    return tuple(path for path in paths if _key(path) not in known and not _cache_path(path).exists())


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


def file_states(used: pa.Table, folder: Folder, known: set[str]) -> dict[str, FileState]:
    """Return the present state of the files in use, by path; those of Zarr groups are told by their chunks.

    Checksums come from the ledger, which has the `known` ones, or this machine's cache, else the files are read.
    """

    def state(path: str) -> FileState:
        key = _key(path)
        sha256 = read_own(folder, f"{CHECKSUMS}/{key}", parsed_checksum) if key in known else cached_checksum(path)
        return FileState(*size_and_time(path), sha256)

    paths = [row["path"] for row in used.to_pylist() if row["format"] != "zarr"]
    with ThreadPoolExecutor(_READS_AT_ONCE) as pool:
        return dict(zip(paths, pool.map(state, paths), strict=True))


def with_present_states(pairs: pa.Table, used: pa.Table, folder: Folder, known: set[str]) -> pa.Table:
    """Return the pairs (PAIRS_SCHEMA) with the present state of what is read for each field.

    That is the file in use or, of a Zarr group, the chunks; it is null for a group in a bucket.
    """
    states, groups = file_states(used, folder, known), LocalGroups()
    place = pc.index_in(pairs["path"], pa.array(states, pa.string())).combine_chunks()
    in_group = pc.and_(pc.is_null(place), pc.is_valid(pairs["path"])).combine_chunks()
    slices = pairs.filter(in_group).select(["path", *_SLICE]).to_pylist()
    of_groups = [None if "://" in row["path"] else groups.state_of(*row.values()) for row in slices]
    for name, fact in zip(_STATE, ("bytes", "modified", "sha256"), strict=True):
        kind = PAIRS_SCHEMA.field(name).type
        of_files = pa.array([getattr(state, fact) for state in states.values()], kind).take(place)
        others = pa.array([state and getattr(state, fact) for state in of_groups], kind)
        column = pc.replace_with_mask(of_files, in_group, others)
        pairs = pairs.set_column(pairs.schema.get_field_index(name), name, column)
    return pairs


def refuse_changed_files(terms: pa.Table) -> None:
    """Raise BadInput where what the terms (TERMS_SCHEMA) name has another size or time of change than planned."""
    planned = terms.filter(pc.is_valid(terms["file_modified"]))
    groups = LocalGroups()
    for row in planned.group_by(["path", "format", "inside", *_SLICE, *_STATE]).aggregate([]).to_pylist():
        size, modified, sha256 = (row[name] for name in _STATE)
        in_group = row["format"] == "zarr" and not row["inside"]
        now = groups.state_of(row["path"], *(row[name] for name in _SLICE)) if in_group else None
        if (now.sha256 != sha256) if now else size_and_time(row["path"]) != (size, modified):
            raise BadInput(
                f"{row['path']} was changed while samples were made of it: {size:,} bytes of"
                f" {modified:%Y-%m-%dT%H:%M:%S}Z are not there any more; give the same command again"
            )


def size_and_time(path: str) -> tuple[int, datetime]:
    """Return the size in bytes and the time of change (UTC) of a file; raises DamagedData where it is gone."""
    try:
        state = Path(path).stat()
    except OSError as error:
        raise _gone(path, error) from None
    return state.st_size, time_of_change(state.st_mtime_ns)


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
