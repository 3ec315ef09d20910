"""Folders as tensorstore reads them: on a file system, or in a bucket of Google Cloud Storage or S3."""

from __future__ import annotations

import os
from typing import Any

from corrstore.datasets.errors import BadInput
from corrstore.datasets.storage.folder import Folder

_CACHE = 256 << 20  # bytes of chunks and indices that are kept of a bucket


def key_value_spec(folder: Folder, key: str) -> dict[str, Any]:
    """Return tensorstore's specification of the folder `key` below a folder; BadInput where it knows no such place."""
    if folder.is_local:
        return {"driver": "file", "path": folder.path(f"{key}/")}
    protocol, _, place = folder.path(f"{key}/").partition("://")
    bucket, _, path = place.partition("/")
    if protocol in ("gs", "gcs"):
        return {"driver": "gcs", "bucket": bucket, "path": path}
    if protocol == "s3":
        return {"driver": "s3", "bucket": bucket, "path": path, **_s3_options(folder.storage_options)}
    raise BadInput(
        f"{folder.url}: patches are read from folders, gs://bucket/path and s3://bucket/path; mount or copy it"
    )


def _s3_options(options: dict[str, Any]) -> dict[str, Any]:
    """Return tensorstore's names of the options of s3fs that say which server is asked, and as whom."""
    options = {**options.get("client_kwargs", {}), **options}
    endpoint = (
        options.get("endpoint_url") or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    )
    found: dict[str, Any] = {"endpoint": endpoint} if endpoint else {}
    if options.get("region_name"):
        found["aws_region"] = options["region_name"]
    if options.get("anon"):
        found["aws_credentials"] = {"type": "anonymous"}
    elif options.get("profile"):
        found["aws_credentials"] = {"type": "profile", "profile": options["profile"]}
    elif "AWS_ACCESS_KEY_ID" in os.environ:
        found["aws_credentials"] = {"type": "environment"}
    return found


def cache_spec(folder: Folder) -> dict[str, Any]:
    """Return tensorstore's context of a cache: none on a file system, which has its own; of a bounded size elsewhere.

    A shard's index is then asked for once, not for each patch.
    """
    return {} if folder.is_local else {"cache_pool": {"total_bytes_limit": _CACHE}}
