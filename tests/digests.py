"""One digest of all that a folder holds."""

from __future__ import annotations

import hashlib
from pathlib import Path

from corrstore.datasets.storage.folder import Folder, checksum


def digest(folder: Path) -> str:
    """The SHA-256 of every object's key and content."""
    whole = hashlib.sha256()
    place = Folder(str(folder))
    for key in place.all_keys():
        whole.update(f"{key} {checksum(place.read(key))}\n".encode())
    return whole.hexdigest()
