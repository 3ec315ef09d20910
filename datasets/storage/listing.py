"""The files below a folder that match patterns; folders that are linked to are followed once."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from corrstore.datasets.errors import BadInput
from corrstore.datasets.storage.containers import SUFFIXES

ZARR_MARKERS = ("zarr.json", ".zgroup", ".zmetadata")
_MOST_WILDCARDS = 10
_PARTS = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def is_zarr(folder: str | Path) -> bool:
    """Tell whether a folder is a Zarr group."""
    return any((Path(folder) / marker).exists() for marker in ZARR_MARKERS)


def files_below(folder: Path, patterns: list[str]) -> list[Path]:
    """Return the files and Zarr groups that match a glob pattern, sorted.

    A file inside which a match may be counts too: one named like a match and `.xz`, `.gz`, ..., and where a pattern
    looks into all folders, every ZIP and tar archive. So do links that lead nowhere.
    """
    own = "|".join(_as_regex(pattern) for pattern in patterns)
    packed = "|".join(map(re.escape, SUFFIXES))
    anywhere = "|.*\\.(?:zip|tgz|tar(?:\\.[a-z0-9]+)?)" if any(pattern.startswith("**") for pattern in patterns) else ""
    wanted = re.compile(f"(?:{own})(?:{packed})?{anywhere}", re.DOTALL)
    return sorted(path for path in _walk(folder) if wanted.fullmatch(path.relative_to(folder).as_posix()))


def refuse_pattern(pattern: str) -> None:
    """Raise BadInput for a glob pattern that leaves its folder, or is none, or would take long to match."""
    if not pattern or pattern.startswith("/") or "://" in pattern or ".." in pattern.split("/") or "\0" in pattern:
        raise BadInput(
            f"files: {pattern.split('://')[0][:80]!r} leaves the folder; write a pattern below path, such as **/*.grib2"
        )
    try:
        re.compile(_as_regex(pattern))
        wildcards = len(re.findall(r"\*+|\?|\[", pattern))
    except re.error as error:
        raise BadInput(f"files: {pattern[:80]!r} is no glob pattern: {error}") from None
    if wildcards > _MOST_WILDCARDS:
        raise BadInput(f"files: {pattern[:80]!r} has {wildcards} wildcards, expected at most {_MOST_WILDCARDS}")


def _walk(root: Path) -> Iterator[Path]:
    """Yield the files and Zarr groups below a folder, those of its own folders before those of linked ones."""
    seen: set[tuple[int, int]] = set()
    folders, linked = deque([root]), deque[Path]()
    while folders or linked:
        folder = folders.popleft() if folders else linked.popleft()
        state = folder.stat()
        if (state.st_dev, state.st_ino) in seen:
            continue
        seen.add((state.st_dev, state.st_ino))
        with os.scandir(folder) as entries:
            for entry in entries:
                path = folder / entry.name
                if not _leads_to_folder(entry):
                    if entry.is_symlink() or entry.is_file():
                        yield path
                elif is_zarr(path):
                    yield path
                else:
                    (linked if entry.is_symlink() else folders).append(path)


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder, or a link to one; one that leads to itself leads nowhere."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _as_regex(pattern: str) -> str:
    pieces = re.split(r"(\*\*/|\*\*|\*|\?|\[!?[^\]]+\])", pattern)
    return "".join(_PARTS.get(piece) or _as_set(piece) for piece in pieces)


def _as_set(piece: str) -> str:
    return piece.replace("[!", "[^") if piece.startswith("[") and piece.endswith("]") else re.escape(piece)
