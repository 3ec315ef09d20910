"""The files of an archive: which there are, and what each is by its first bytes."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from corrstore.datasets.archives.grib.index import OTHER_FORMATS, Problem
from corrstore.datasets.errors import BadInput, fault_of_file
from corrstore.datasets.storage.containers import container_kind, first_bytes, heads
from corrstore.datasets.storage.listing import ZARR_MARKERS, files_below, is_zarr

READ = ("grib", "netcdf", "zarr")
_PREFIX = 16 << 10
"""The most bytes that a program writes before the first message: HARMONIE some thousand."""
_MESSAGE = re.compile(rb"GRIB.{3}[\x01\x02]", re.DOTALL)
_SIGNATURES = {b"GRIB": "grib", b"CDF": "netcdf", b"\x89HDF": "netcdf"}


@dataclass(frozen=True)
class ArchiveFile:
    """A file, or a Zarr group: `inside` is its name in the container at `path`, else empty.

    `format` is one of READ, `engine NAME` for what an engine of xarray opens, or says what the file is instead.
    """

    path: str
    inside: str
    format: str

    @property
    def engine(self) -> str | None:
        """The engine of xarray that the recipe names for the file; None where corrstore reads it."""
        return self.format.removeprefix("engine ") if self.format.startswith("engine ") else None

    @property
    def is_gridded(self) -> bool:
        """True where the file has variables with names."""
        return self.format in ("netcdf", "zarr") or self.engine is not None

    def __str__(self) -> str:
        return f"{self.path}, {self.inside}" if self.inside else self.path


def archive_paths(where: str, root: str, patterns: list[str]) -> list[Path]:
    """Return the files and Zarr groups below a path; the path itself where it is a file.

    `where` is the key of the path, for messages. Raises BadInput where there is none.
    """
    folder = Path(root)
    if "://" in root:
        raise BadInput(f"{where} {root}: GRIB and NetCDF are read from mounted folders; mount it")
    if not (folder.is_dir() or folder.is_file()):
        set_it = f" or --set {where}=FOLDER" if where.startswith("sources.") else ""
        why = "is a pipe or a device" if folder.exists() else "does not exist"
        raise BadInput(f"{where} {folder} {why}; correct it{set_it}")
    if folder.is_file():
        return [folder]
    found = files_below(folder, patterns)
    if not found:
        raise BadInput(f"{where} {folder} holds no file that matches {', '.join(patterns)}{_others(where, folder)}")
    return found


def _others(where: str, folder: Path) -> str:
    """Return what a folder holds in place of files that match, with the line that takes the most of them."""
    others = files_below(folder, ["**/*"])
    if not others:
        return ", nor any other"
    counts = Counter(path.suffix for path in others).most_common(4)
    told = ", ".join(f"{count} *{suffix}" if suffix else f"{count} without a suffix" for suffix, count in counts)
    line = f'; write {where.removesuffix(".path")}.files: ["**/*{counts[0][0]}"]' if "." in where else ""
    return f"; it has {told}, such as {_told(others[0].relative_to(folder))}{line}"


def _told(path: Path) -> str:
    """Return a path as text that any file can hold: names need not be UTF-8."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def files_at(path: Path, engine: str | None = None) -> tuple[list[ArchiveFile], list[Problem]]:
    """Return the file or Zarr group at a path, or the files in it where it is a container, and what is not read.

    An `engine` of xarray opens whatever is there.
    """
    if str(path) != _told(path):
        return [], [Problem(_told(path), 0, "not_read", "its name is not UTF-8; rename it")]
    if engine is not None:
        return [ArchiveFile(str(path), "", f"engine {engine}")], []
    try:
        if path.is_dir():
            return [ArchiveFile(str(path), "", "zarr")], []
        if path.exists() and not path.is_file():
            return [], [Problem(str(path), 0, "not_read", "it is a pipe or a device; give a file")]
        with path.open("rb") as file:
            head = first_bytes(file)
            behind = head + file.read(_PREFIX)
    except OSError as error:
        leads = f"is a link to {path.readlink()}: " if path.is_symlink() else ""
        return [], [Problem(str(path), 0, "not_read", f"{leads}{error.strerror}; correct it")]
    container = container_kind(head)
    if container is None:
        format = _format(head)
        if format not in READ and _MESSAGE.search(behind):
            format = "grib"
        found = [ArchiveFile(str(path), "", format)]
    else:
        try:
            found = _files_in(str(path), heads(str(path), container))
        except Exception as error:
            return [], [problem_of(str(path), error)]
    problems = [Problem(str(file), 0, "not_grib", file.format) for file in found]
    return found, [problem for file, problem in zip(found, problems, strict=True) if file.format not in READ]


def problem_of(path: str, error: Exception) -> Problem:
    """Return a file's error as a problem: damaged, or sound and of a kind that is not read."""
    return Problem(path, 0, "not_read" if isinstance(error, BadInput) else "corrupt", fault_of_file(error))


def _files_in(path: str, found: dict[str, bytes]) -> list[ArchiveFile]:
    """Return the files of a container, each Zarr group as one."""
    groups = {str(PurePosixPath(name).parent) for name in found if PurePosixPath(name).name in ZARR_MARKERS}
    outer = [
        group for group in sorted(groups) if not any(_is_below(group, other) for other in groups if other != group)
    ]
    files = [name for name in sorted(found) if not any(_is_below(name, group) for group in outer)]
    return [
        *(ArchiveFile(path, group, "zarr") for group in outer),
        *(ArchiveFile(path, name, _format(found[name])) for name in files),
    ]


def _is_below(name: str, folder: str) -> bool:
    return folder == "." or name.startswith(f"{folder}/")


def _format(head: bytes) -> str:
    """Return the format that the first bytes show; the suffix may be wrong."""
    for signature, format in _SIGNATURES.items():
        if head.startswith(signature):
            return format
    if b"GRIB" in head:  # behind a WMO bulletin header
        return "grib"
    if head and not head.strip(b"\0"):
        return "nothing but NUL bytes, as a transfer leaves that was cut: fetch it again"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    known = next((text for each, text in OTHER_FORMATS.items() if start.startswith(each.lower())), None)
    return known or (f"begins with {head[:16]!r}, neither GRIB nor NetCDF" if head else "empty file")


def size_of(path: Path) -> int:
    """Return the bytes of a file; none of a Zarr group, and of a link that leads nowhere."""
    return path.stat().st_size if path.is_file() else 0


__all__ = ["ArchiveFile", "archive_paths", "files_at", "is_zarr", "problem_of", "size_of"]
