"""GRIB messages as ecCodes holds them, and their keys.

The one place that imports ecCodes, and pyproj before it: a program that imports pyproj itself after ecCodes crashes
(see `grids/proj.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import corrstore.datasets.grids.proj  # noqa: F401

# isort: split
import eccodes

from corrstore.datasets.archives.grib.ncep_rotated import with_known_template

__all__ = ["eccodes", "integer_key", "message_handle", "scaled_key"]


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
