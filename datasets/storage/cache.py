"""What was found out about a file of an archive is kept, by what tells the file from itself after a change."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def file_key(path: Path, version: str = "") -> str:
    """A name for a file in its present state: of its path, size and time of change, and a `version` of the finding."""
    state = path.stat()
    key = f"{path.resolve()}|{state.st_size}|{state.st_mtime_ns}|{version}"
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def cache_path(kind: str, path: Path, suffix: str, version: str = "") -> Path:
    """Where something about a file is kept on this machine."""
    name = file_key(path, version)
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return home / "corrstore" / kind / name[:2] / f"{name}{suffix}"
