"""The checksums of the files that a store is made from."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from datasets.errors import BadInput
from datasets.recipe_parts import SourceSpec
from datasets.sources.cache import cache_path
from datasets.sources.inventory import SOURCES_SCHEMA
from datasets.storage import Folder, checksum, write_file_atomically

CHECKED_SOURCES_SCHEMA = SOURCES_SCHEMA.append(pa.field("sha256", pa.string()))
_ZARR_METADATA = ("zarr.json", ".zmetadata", ".zgroup")


def files_taken_from(pairs: pa.Table) -> set[str]:
    """The files and Zarr groups that the fields in the pairs (PAIRS_SCHEMA) lie in."""
    return {path.partition("!")[0] for path in pc.unique(pairs["path"]).to_pylist() if path}


def with_checksums(
    files: pa.Table, taken: set[str], sources: Mapping[str, SourceSpec], advance: Callable[[], None]
) -> pa.Table:
    """The files (SOURCES_SCHEMA) and the SHA-256 of those taken from; null for the others, which need not be read.

    Of a Zarr group, `bytes` and `sha256` are those of its metadata object: its chunks are not read for this. A file is
    read once: its checksum is kept in $XDG_CACHE_HOME/corrstore, by path, size and time of change. `advance` is called
    once for each that is taken from. Returns CHECKED_SOURCES_SCHEMA; raises BadInput where a file is gone.
    """

    def checked(row: dict[str, Any]) -> dict[str, Any]:
        if row["path"] not in taken:
            return row
        if row["format"] == "zarr":
            metadata = _zarr_metadata(Folder(row["path"], sources[row["source"]].storage_options))
            row |= {"bytes": len(metadata), "sha256": checksum(metadata)}
        else:
            row["sha256"] = _sha256(Path(row["path"]))
        advance()
        return row

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return pa.Table.from_pylist(list(pool.map(checked, files.to_pylist())), schema=CHECKED_SOURCES_SCHEMA)


def _sha256(path: Path) -> str:
    try:
        kept = cache_path("sha256", path, ".txt")
        if kept.exists():
            return kept.read_text(encoding="ascii")
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadInput(f"{path} was read for the store and cannot be now: {error.strerror}; restore it") from None
    write_file_atomically(kept, found.encode())
    return found


def _zarr_metadata(group: Folder) -> bytes:
    for name in _ZARR_METADATA:
        try:
            return group.read(name)
        except FileNotFoundError:
            continue
    raise BadInput(f"{group.url} has none of {', '.join(_ZARR_METADATA)} any more; restore it")
