"""GRIB messages as ecCodes holds them, and their keys.

The one place that imports ecCodes, since it has to come after pyproj: ecCodes' wheels load a PROJ of their own for
the whole process, and a pyproj that is loaded later calls into it and crashes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyproj  # noqa: F401

# isort: split
import eccodes

__all__ = ["eccodes", "integer", "opened", "scaled"]


@contextmanager
def opened(message: bytes) -> Iterator[int]:
    """An ecCodes handle of a message, released at the end; eccodes.CodesInternalError where there is none."""
    handle = eccodes.codes_new_from_message(message)
    try:
        yield handle
    finally:
        eccodes.codes_release(handle)


def integer(handle: int, key: str) -> int | None:
    """The value of an integer key; None where the message does not have it, or says that it is missing."""
    if not eccodes.codes_is_defined(handle, key):
        return None
    value: int = eccodes.codes_get(handle, key, int)
    return None if value == eccodes.CODES_MISSING_LONG else value


def scaled(handle: int, name: str) -> float | None:
    """A GRIB2 decimal: `scaledValueOf` times ten to the minus `scaleFactorOf`; None where either is missing."""
    value, factor = integer(handle, f"scaledValueOf{name}"), integer(handle, f"scaleFactorOf{name}")
    if value is None or factor is None:
        return None
    return value / 10.0**factor if factor > 0 else value * 10.0**-factor
