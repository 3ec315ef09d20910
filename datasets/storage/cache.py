"""The cache of this machine: findings about an archive's files, kept by path, size and times of change."""

from __future__ import annotations

import hashlib
import os
import sys
from functools import cache
from pathlib import Path

from corrstore.datasets.errors import CorrstoreError
from corrstore.datasets.storage.folder import write_file_atomically

_FORM = " with a checksum before it"


def file_key(path: Path, version: str = "") -> str:
    """Return a name for a file in its present state: of its path, size, times and the finding's `version`.

    The time of change of the inode is among them: a copy may keep the size and the time of modification.
    """
    state = path.stat()
    key = f"{path.resolve()}|{state.st_size}|{state.st_mtime_ns}|{state.st_ctime_ns}|{state.st_ino}|{version}"
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def cache_path(kind: str, path: Path, suffix: str, version: str = "") -> Path:
    """Return the place of a finding about a file: below `$XDG_CACHE_HOME/corrstore`, else `~/.cache/corrstore`."""
    name = file_key(path, f"{version}{_FORM}")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    return home / "corrstore" / kind / name[:2] / f"{name}{suffix}"


def write_to_cache(path: Path, content: bytes) -> bool:
    """Keep a finding at the place that `cache_path` returned; False where the cache cannot be written."""
    try:
        write_file_atomically(path, hashlib.sha256(content).digest() + content)
    except CorrstoreError:
        return False
    return True


def read_from_cache(path: Path) -> bytes | None:
    """Return the finding at the place that `cache_path` returned; None where there is none, or it is damaged."""
    try:
        if not path.is_file():  # a pipe would be waited for
            return None
        found = path.read_bytes()
    except OSError:
        return None
    checksum, content = found[:32], found[32:]
    return content if hashlib.sha256(content).digest() == checksum else None


@cache
def tell_unwritable(folder: Path) -> None:
    """Say once on standard error that the cache's folder cannot be written, and what to do."""
    print(
        f"corrstore: the cache in {folder} cannot be written, so each run reads every file's headers again;"
        " set XDG_CACHE_HOME to a folder that can be written",
        file=sys.stderr,
    )
