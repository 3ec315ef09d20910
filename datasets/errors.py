"""The errors that a user can act on, each with the exit code of the command that it ends.

An exception outside of this family is an error of corrstore itself, and ends a command with exit code 70.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

_EXHAUSTED = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM, errno.EMFILE, errno.ENFILE}
_OF_MACHINE = {*_EXHAUSTED, errno.ENOENT, errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE, errno.ENOTCONN}


class CorrstoreError(Exception):
    """The base of the family; its text names the place, the key, both values and the fix. Raise a class below it."""

    exit_code: ClassVar[int]


class BadInput(CorrstoreError, ValueError):
    """A recipe, an option, a path or a file is wrong (exit code 2)."""

    exit_code = 2


class DataFallShort(CorrstoreError):
    """More samples lack something than the recipe allows (exit code 1)."""

    exit_code = 1


class DamagedData(CorrstoreError, ValueError):
    """A file of ours or of an archive is damaged or gone; the text names it and the fix (exit code 1)."""

    exit_code = 1


class OutOfResources(CorrstoreError):
    """Disk, memory or a worker process is gone; the same command continues (exit code 75)."""

    exit_code = 75


class Stopped(CorrstoreError):
    """A signal stopped the work; the same command continues (exit code 75)."""

    exit_code = 75


class InUse(CorrstoreError):
    """Another process is writing the store; the same command continues when it has ended (exit code 75)."""

    exit_code = 75


def cannot_write(path: object, error: OSError, size: int | None = None) -> CorrstoreError:
    """Return the error for a file that could not be written, with its path, `size` in bytes and the system's reason.

    OutOfResources where there is no room for it, else BadInput.
    """
    what = f"cannot write {path}" if size is None else f"cannot write {path} ({size:,} bytes)"
    if error.errno in _EXHAUSTED:
        return OutOfResources(f"{what}: {error.strerror}; make room, and give the same command to go on")
    if error.errno in (errno.EISDIR, errno.ENOTDIR, errno.EEXIST):
        return BadInput(f"{what}: {error.strerror}; move away what lies there, and give the same command to go on")
    return BadInput(f"{what}: {error.strerror}; give another folder, or the right to write there")


def system_error(error: OSError | MemoryError) -> CorrstoreError:
    """Return the error for one of the operating system: out of resources, a device that fails, or a wrong path."""
    if isinstance(error, MemoryError):
        return OutOfResources("memory ran out; give the same command with fewer --workers, or on a larger machine")
    what = f"{error.filename or 'a file or standard output'}: {error.strerror or error}"
    if error.errno in _EXHAUSTED:
        return OutOfResources(f"{what}; make room, and give the same command to go on")
    if error.errno == errno.EIO:
        return DamagedData(f"{what}; restore the file from a copy")
    return BadInput(what)


def fault_of_file(error: Exception) -> str:
    """Return what a reader of formats said of a file's content; raises the error again where it is of the machine.

    A whole and readable machine is asked for: a file that is gone, a device or a network that fails, and memory that
    runs out are no faults of a content.
    """
    if isinstance(error, MemoryError | OutOfResources | Stopped | InUse):
        raise error
    if isinstance(error, OSError) and (isinstance(error, ConnectionError | TimeoutError) or error.errno in _OF_MACHINE):
        raise error
    if isinstance(error, CorrstoreError):
        return str(error)
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said:.300}" if said else type(error).__name__


@contextmanager
def writing(path: object) -> Iterator[None]:
    """Raise the error of `cannot_write` where the block cannot write its files at `path`."""
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from None
    except RuntimeError as error:
        if not isinstance(error.__context__, OSError):
            raise
        raise cannot_write(path, error.__context__) from None  # PyTorch hides the error of its file
