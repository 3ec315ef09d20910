"""The errors that a user can act on, each with the exit code of the command that it ends."""

from __future__ import annotations

import errno

_EXHAUSTED = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM, errno.EMFILE, errno.ENFILE}


class CorrstoreError(ValueError):
    """An error that a user can act on; its text names the place, the key, both values and the fix."""

    exit_code = 2


class BadInput(CorrstoreError):
    """The recipe, an option, a path or a file is wrong (exit code 2)."""


class OutOfResources(CorrstoreError):
    """Disk, memory or a worker process is gone; the same command continues (exit code 75)."""

    exit_code = 75


class Stopped(CorrstoreError):
    """A signal stopped the work; the same command continues (exit code 75)."""

    exit_code = 75


def cannot_write(path: object, error: OSError, size: int | None = None) -> CorrstoreError:
    """Return the error for a file that could not be written, with its path, `size` in bytes and the system's reason.

    OutOfResources where there is no room for it, else BadInput.
    """
    what = f"cannot write {path}" if size is None else f"cannot write {path} ({size:,} bytes)"
    if error.errno in _EXHAUSTED:
        return OutOfResources(f"{what}: {error.strerror}; make room, and give the same command to go on")
    return BadInput(f"{what}: {error.strerror}; give another folder, or the right to write there")
