"""Folders as tensorstore reads them: on a file system, or in a bucket of Google Cloud Storage."""

from __future__ import annotations

from typing import Any

from corrstore.datasets.errors import BadInput
from corrstore.datasets.storage.folder import Folder

_CACHE = 256 << 20  # bytes of chunks and indices that are kept of a bucket


def key_value_spec(folder: Folder, key: str) -> dict[str, Any]:
    """Return tensorstore's specification of the folder `key` below a folder; BadInput where it knows no such place."""
    if folder.is_local:
        return {"driver": "file", "path": folder.path(f"{key}/")}
    protocol, _, place = folder.path(f"{key}/").partition("://")
    if protocol not in ("gs", "gcs"):
        raise BadInput(f"{folder.url}: patches are read from folders and from gs://bucket/path; mount or copy it")
    bucket, _, path = place.partition("/")
    return {"driver": "gcs", "bucket": bucket, "path": path}


def cache_spec(folder: Folder) -> dict[str, Any]:
    """Return tensorstore's context of a cache: none on a file system, which has its own; of a bounded size elsewhere.

    A shard's index is then asked for once, not for each patch.
    """
    return {} if folder.is_local else {"cache_pool": {"total_bytes_limit": _CACHE}}
