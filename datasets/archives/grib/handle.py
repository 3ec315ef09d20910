"""GRIB messages as ecCodes holds them, and their keys.

The one place that imports ecCodes, and pyproj before it: a program that imports pyproj itself after ecCodes crashes
(see `grids/proj.py`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

import corrstore.datasets.grids.proj  # noqa: F401

# isort: split
import eccodes
import gribapi

from corrstore.datasets.archives.grib.ncep_rotated import with_known_template

__all__ = ["eccodes", "integer_key", "message_handle", "said_by_eccodes", "scaled_key"]

_nowhere = Path(os.devnull).open("w")  # noqa: SIM115 (for as long as the process lives)
gribapi.grib_context_set_logging(_nowhere)


@contextmanager
def said_by_eccodes() -> Iterator[list[str]]:
    """Collect the lines that ecCodes logs in the block, on the way out of it; elsewhere they are left out.

    They would go to the terminal, hundreds for one file. What fails raises an error of its own.
    """
    lines: list[str] = []
    with os.fdopen(os.memfd_create("ecCodes"), "w+b") if hasattr(os, "memfd_create") else TemporaryFile() as log:
        gribapi.grib_context_set_logging(log)
        try:
            yield lines
        finally:
            gribapi.grib_context_set_logging(_nowhere)
            log.seek(0)
            lines += log.read().decode(errors="replace").splitlines()


@contextmanager
def message_handle(message: bytes) -> Iterator[int]:
    """Open an ecCodes handle of a message and release it at the end.

    Raises eccodes.CodesInternalError where the bytes are no message.
    """
    handle = eccodes.codes_new_from_message(with_known_template(message))
    try:
        yield handle
    finally:
        eccodes.codes_release(handle)


def integer_key(handle: int, key: str) -> int | None:
    """Return the value of an integer key; None where the message lacks it or marks it as missing."""
    if not eccodes.codes_is_defined(handle, key):
        return None
    value: int = eccodes.codes_get(handle, key, int)
    return None if value == eccodes.CODES_MISSING_LONG else value


def scaled_key(handle: int, name: str) -> float | None:
    """Return a GRIB2 decimal, `scaledValueOf` * 10 ** -`scaleFactorOf`; None where either is missing."""
    value, factor = integer_key(handle, f"scaledValueOf{name}"), integer_key(handle, f"scaleFactorOf{name}")
    if value is None or factor is None:
        return None
    return value / 10.0**factor if factor > 0 else value * 10.0**-factor
