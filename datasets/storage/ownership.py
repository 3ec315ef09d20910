"""One writer of a folder at a time: a file that is created exclusively says who is at work, and is kept fresh.

Owners are numbered files. Whoever finds the last owner dead creates the next number; only one can. An owner of this
machine is dead when its process is gone; one of another machine, when it has not kept its file fresh for two minutes.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from corrstore.datasets.errors import CorrstoreError, InUse
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.storage.repeating import repeated

_SECONDS_BETWEEN_SIGNS = 20.0
_SECONDS_OF_LEASE = 120.0


@dataclass(frozen=True)
class Owner:
    """The process that writes: its machine, number, start (of the process, then of the work) and last sign of life."""

    machine: str
    host: str
    process: int
    process_start: str
    since: str
    work: str
    fresh: float

    @property
    def is_dead(self) -> bool:
        """True where the process is gone or, on another machine, where it has given no sign for two minutes."""
        if self.machine == _machine():
            return _process_start(self.process) != self.process_start
        return time.time() - self.fresh > _SECONDS_OF_LEASE

    def __str__(self) -> str:
        return f"process {self.process} on {self.host} since {self.since} ({self.work})"


@contextmanager
def one_writer(folder: Folder, place: str, work: str) -> Iterator[None]:
    """Own the folder for the block's time by a file `owner-N.json` below it; raise InUse where another process does.

    `place` is the key of the folder that the file lies in, empty for the folder itself.
    Conditional writes need a local folder, or a file system of fsspec that creates exclusively (`mode="create"`).
    """
    owner, is_new = _this_process(work), not folder.exists(place)
    before = _owners(folder, place)
    _refuse(folder, before)
    key = _key(place, 1 + max(before, default=0))
    if not folder.create(key, _bytes(owner)):
        _refuse(folder, _owners(folder, place))
        raise InUse(f"{folder.url} is being written by another process, which has just begun; {_WAIT}")
    others = {number: each for number, each in _owners(folder, place).items() if _key(place, number) != key}
    try:
        _refuse(folder, {number: each for number, each in others.items() if number not in before})
        for number in before:
            folder.remove(_key(place, number))
        with repeated(partial(_keep_fresh, folder, key, owner), _SECONDS_BETWEEN_SIGNS):
            yield
    finally:
        with suppress(FileNotFoundError):
            folder.remove(key)
        if is_new and folder.is_local:
            with suppress(OSError):  # something was written
                Path(folder.path(place)).rmdir()


_WAIT = "wait until it ends, or stop it, and give the same command again"


def _refuse(folder: Folder, owners: dict[int, Owner | None]) -> None:
    for owner in owners.values():
        if owner is not None and not owner.is_dead:
            raise InUse(f"{folder.url} is being written by {owner}; {_WAIT}")


def _owners(folder: Folder, place: str) -> dict[int, Owner | None]:
    """Return the owners by their number; None for one whose file is damaged or gone, which counts as dead."""
    names = [name for name in folder.names(place) if name.startswith("owner-")]
    found: dict[int, Owner | None] = {}
    for name in names:
        with suppress(ValueError):
            number = int(name.removeprefix("owner-").removesuffix(".json"))
            found[number] = _owner(folder, _key(place, number))
    return found


def _owner(folder: Folder, key: str) -> Owner | None:
    try:
        return Owner(**json.loads(folder.read(key)))
    except (ValueError, TypeError, FileNotFoundError):
        return None


def _keep_fresh(folder: Folder, key: str, owner: Owner) -> None:
    with suppress(OSError, CorrstoreError):
        if folder.exists(key):
            folder.write(key, _bytes(Owner(**{**asdict(owner), "fresh": time.time()})))


def _key(place: str, number: int) -> str:
    return f"{place}/owner-{number}.json".removeprefix("/")


def _bytes(owner: Owner) -> bytes:
    return json.dumps(asdict(owner)).encode()


def _this_process(work: str) -> Owner:
    since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    process = os.getpid()
    return Owner(_machine(), socket.gethostname(), process, _process_start(process), since, work, time.time())


def _machine() -> str:
    """Return what tells machines apart on which a number means another process: the boot, and the container."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    return socket.gethostname()


def _process_start(process: int) -> str:
    """Return when a process of this machine started, in ticks since the boot; empty where there is none."""
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return ""
    return "" if state[0] in "ZX" else state[19]
