"""What was found out about a file of an archive is kept for the next time."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def cache_path(kind: str, path: Path, suffix: str, version: str = "") -> Path:
    """Where something about a file is kept: by the file's path, size and time of change, and the `version` of it."""
    state = path.stat()
    key = f"{path.resolve()}|{state.st_size}|{state.st_mtime_ns}|{version}"
    name = hashlib.sha256(key.encode()).hexdigest()[:32]
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return home / "corrstore" / kind / name[:2] / f"{name}{suffix}"
