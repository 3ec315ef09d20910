"""The state of an archive: a digest of its files' names, sizes and times, by which it is seen to be the same."""

from __future__ import annotations

import hashlib
import os
from stat import S_ISREG

from corrstore.datasets.archives.contents.files import archive_paths, is_zarr
from corrstore.datasets.archives.grib.index import INDEX_SCHEMA, INDEX_VERSION
from corrstore.datasets.archives.table import load_table
from corrstore.datasets.recipe.source import SourceSpec
from corrstore.datasets.variables.table import Variables


def archive_state(name: str, spec: SourceSpec, variables: Variables) -> str | None:
    """Return the state of a source's archive; None where times tell nothing: in a bucket, and of Zarr groups.

    No file is opened; a link that leads nowhere counts by its name. Raises BadInput where there is no file.
    """
    path = str(spec.path)
    if "://" in path or is_zarr(path):
        return None
    digest = hashlib.sha256(f"{INDEX_VERSION} {INDEX_SCHEMA}".encode())
    for file in archive_paths(f"sources.{name}.path", path, spec.files or load_table(spec.type, variables).files):
        digest.update(os.fsencode(file))
        try:
            state = file.stat()
        except OSError as error:
            digest.update(f"|{error.strerror}\n".encode())
            continue
        if not S_ISREG(state.st_mode):
            return None
        times = f"{state.st_mtime_ns}|{state.st_ctime_ns}"
        digest.update(f"|{state.st_size}|{times}|{state.st_ino}\n".encode())
    return digest.hexdigest()
