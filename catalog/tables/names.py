"""The names of registrations: the store, a number that grows, and a few digits of chance.

Files of a registration are never changed. A store that is registered again gets the next number; the greatest name of
a store is the one that counts. So a list of names tells what a catalog holds, and nobody needs a lock.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterable
from pathlib import Path

from corrstore.datasets.storage.folder import Folder

_NAME = re.compile(r"^([0-9a-f]{16})-(\d{8})-[0-9a-f]{8}$")
SUFFIX = ".parquet"


def store_id(name: str, location: str) -> str:
    """Return the id of a store: 16 digits of a hash of its name and its location."""
    return hashlib.sha256(f"{name}\0{location}".encode()).hexdigest()[:16]


def location_of(folder: Folder) -> str:
    """Return the location of a folder: its absolute path or its URL."""
    return str(Path(folder.url).resolve()) if folder.is_local else folder.url.rstrip("/")


def next_name(store: str, names: Iterable[str]) -> str:
    """A name for a new registration of the store, greater than those of it that there are."""
    numbers = [int(name.split("-")[1]) for name in names if store_of(name) == store]
    return f"{store}-{max(numbers, default=0) + 1:08d}-{uuid.uuid4().hex[:8]}"


def store_of(name: str) -> str:
    """The store that the registration is of."""
    return name.partition("-")[0]


def newest(names: Iterable[str]) -> list[str]:
    """The greatest name of each store, sorted."""
    return sorted({store_of(name): name for name in sorted(names)}.values())


def names_of_files(files: Iterable[str]) -> list[str]:
    """The registrations that the files are of; other files are passed over."""
    stems = (file.removesuffix(SUFFIX) for file in files if file.endswith(SUFFIX))
    return [stem for stem in stems if _NAME.match(stem)]
