"""The manifest: the checksums of every object of a store that is not a shard."""

from __future__ import annotations

import json

from corrstore.datasets.storage.folder import Folder, checksum
from corrstore.datasets.store.ledger import MANIFEST


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
