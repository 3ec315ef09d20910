"""One digest of all that a folder holds."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from packaging.version import Version

from corrstore.datasets.storage.folder import Folder, checksum

needs_numpy_2_3 = pytest.mark.skipif(
    Version(np.__version__) < Version("2.3"),
    reason="numpy before 2.3 sums float32 in another order: SYNTHETIC archives differ in the last digit",
)


def digest(folder: Path, *without: str) -> str:
    """The SHA-256 of every object's key and content, but for the keys that are named."""
    whole = hashlib.sha256()
    place = Folder(str(folder))
    for key in (each for each in place.all_keys() if each not in without):
        whole.update(f"{key} {checksum(place.read(key))}\n".encode())
    return whole.hexdigest()
