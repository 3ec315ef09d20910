"""Failures of tasks as data: a worker leaves a file for each, from which the driver raises the error again."""

from __future__ import annotations

import json
from contextlib import suppress

from corrstore.datasets.errors import CorrstoreError, system_error
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.ledger import read_json


def write_failure(folder: Folder, place: str, index: int, error: CorrstoreError | OSError | MemoryError) -> None:
    """Leave the class and all lines of the error of task `index` in `place`; nothing where the disk is full."""
    known = error if isinstance(error, CorrstoreError) else system_error(error)
    (name,) = (name for name, each in _classes().items() if isinstance(known, each))
    with suppress(CorrstoreError):
        folder.write(f"{place}/{index:09d}.json", json.dumps({"class": name, "message": str(known)}).encode())


def raise_failure(folder: Folder, place: str) -> None:
    """Raise the error of the first task that left one in `place`, and OutOfResources where none can be left there."""
    for name in folder.names(place):
        failure = read_json(folder, f"{place}/{name}")
        raise _classes()[failure["class"]](failure["message"])
    folder.write(f"{place}/is-there-room", bytes(4096))


def forget_failures(folder: Folder, place: str) -> None:
    """Remove what tasks left in `place`."""
    if folder.exists(place):
        folder.remove(place)


def _classes() -> dict[str, type[CorrstoreError]]:
    return {each.__name__: each for each in CorrstoreError.__subclasses__()}
