"""Containers: the files inside a ZIP or tar archive, or behind gzip, bzip2 or xz, whatever the container is called."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO

from corrstore.datasets.errors import BadInput, DamagedData
from corrstore.datasets.storage.cache import file_key

SUFFIXES = (".gz", ".bz2", ".xz", ".zip", ".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".zst", ".Z", ".lz4", ".7z", ".rar")
"""Suffixes that a container adds to the name of what is in it, those that are told and not read among them."""
HEAD, _BLOCK = 512, 1 << 20
_LEAST_PADDING, _MOST_PADDING = 256, 64 << 20
_SIGNATURES = {b"PK\x03\x04": "zip", b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz"}
_OPEN: dict[str, Callable[[IO[bytes], str], IO[bytes]]] = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}  # type: ignore[dict-item]
_MOST_BYTES, _LARGEST_RATIO = 1 << 30, 100  # of what is in a container: bytes, or times its own bytes
_MOST_FILES = 100_000
_DAMAGED = (EOFError, zlib.error, lzma.LZMAError, tarfile.ReadError, zipfile.BadZipFile, gzip.BadGzipFile)


def container_kind(head: bytes) -> str | None:
    """Return `zip`, `tar`, `gzip`, `bzip2` or `xz` for the first HEAD bytes of a container, else None."""
    if head[257:262] == b"ustar":
        return "tar"
    return next((kind for signature, kind in _SIGNATURES.items() if head.startswith(signature)), None)


def first_bytes(file: IO[bytes]) -> bytes:
    """Return the first HEAD bytes of a file; behind NUL bytes that a transfer filled it with, those that follow.

    Of a file of NUL alone, or of more padding than any transfer leaves, some of them.
    """
    padding, part = b"", file.read(HEAD)
    if part[:_LEAST_PADDING].strip(b"\0"):
        return part
    for _ in range(_MOST_PADDING // _BLOCK):
        if not part or part.strip(b"\0"):
            break
        padding, part = part, file.read(_BLOCK)
    return (part.lstrip(b"\0") + file.read(HEAD))[:HEAD] or padding[-HEAD:]


def heads(path: str, kind: str) -> dict[str, bytes]:
    """Return the first bytes, as of `first_bytes`, of each file in a container of that kind, by the file's name in it.

    Raises DamagedData where the container is damaged, BadInput where it is encrypted.
    """
    with _errors(path, kind):
        found = {name: first_bytes(file) for name, file in islice(_files(path, kind), _MOST_FILES + 1)}
    if len(found) > _MOST_FILES:
        raise BadInput(f"{path} holds more than {_MOST_FILES:,} files; unpack it, and give what is in it")
    return found


def unpacked(path: str, inside: str) -> Path:
    """Return a local copy of a file in a container; the path itself where `inside` is empty.

    The copy stays for as long as the folder of `unpacked_folder` is referred to.
    """
    return Path(unpacked_folder(path).name) / inside if inside else Path(path)


def unpacked_folder(path: str) -> tempfile.TemporaryDirectory[str]:
    """Return the temporary folder that all files of a container are copied to; the last ones are kept."""
    return _unpacked(path, file_key(Path(path)))


@lru_cache(maxsize=64)
def _unpacked(path: str, _state: str) -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory(prefix="corrstore-")
    with Path(path).open("rb") as file:
        kind = container_kind(first_bytes(file))
    if kind is None:
        raise DamagedData(f"{path} is no container any more; give the same command again")
    left = max(_MOST_BYTES, _LARGEST_RATIO * Path(path).stat().st_size)
    with _errors(path, kind):
        for name, source in _files(path, kind):
            copy = Path(folder.name) / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            with copy.open("wb") as target:
                left = _copied(path, source, target, left)
    return folder


def _copied(path: str, source: IO[bytes], target: IO[bytes], left: int) -> int:
    """Copy a file and return how many bytes more the container may hold; raises DamagedData for too many."""
    while part := source.read(_BLOCK):
        left -= len(part)
        if left < 0:
            raise DamagedData(
                f"{path} holds more than {_LARGEST_RATIO} times its own bytes, as no archive of fields does; unpack it"
                " yourself, and give what is in it"
            )
        target.write(part)
    return left


def _files(path: str, kind: str) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield the name and the content of each file in a container; of a container in it, what is in that."""
    with Path(path).open("rb") as file:
        for name, content in _members(path, Path(path).name, file, kind):
            inner = container_kind(content.read(HEAD))
            content.seek(0)
            if inner is None:
                yield name, content
            else:
                for deeper, found in _members(path, name, content, inner):
                    yield f"{name}/{PurePosixPath(deeper).name if inner not in ('zip', 'tar') else deeper}", found


def _members(path: str, own_name: str, file: IO[bytes], kind: str) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield the name and the content of each file in an open container of that name."""
    if kind == "zip":
        with zipfile.ZipFile(file) as archive:
            for name in sorted(archive.namelist()):
                if not name.endswith("/"):
                    with archive.open(name) as member_file:
                        yield _inside(path, name), member_file
    elif kind == "tar" or _is_tar(file):
        with tarfile.open(fileobj=file, mode="r:*") as tar:
            for member in tar:
                found = tar.extractfile(member) if member.isreg() else None
                if found is not None:
                    yield _inside(path, member.name), found
    else:
        whole = PurePosixPath(own_name)
        with _OPEN[kind](file, "rb") as content:
            yield whole.stem if whole.suffix in SUFFIXES else whole.name, content


def _is_tar(file: IO[bytes]) -> bool:
    """Return whether what is compressed in a file is a tar archive with files; the file is at its start again."""
    try:
        with tarfile.open(fileobj=file, mode="r:*") as tar:
            return tar.next() is not None
    except tarfile.TarError:
        return False
    finally:
        file.seek(0)


def _inside(path: str, name: str) -> str:
    if name.startswith("/") or ".." in PurePosixPath(name).parts:
        raise BadInput(f"{path}: its file {name} would lie outside of it; pack it again with relative names")
    return name.removeprefix("./")


@contextmanager
def _errors(path: str, kind: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        raise DamagedData(f"{path} is a damaged {kind} file: {error}; fetch it again") from None
    except (RuntimeError, NotImplementedError) as error:  # encrypted, or a method that Python does not have
        raise BadInput(f"{path}: {kind}: {error}; unpack it, and give what is in it") from None
