"""The decoding of one field of a GRIB file: its values on its grid."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from corrstore.datasets.archives.grib.grid import scanned_grid
from corrstore.datasets.archives.grib.handle import eccodes, integer_key, message_handle
from corrstore.datasets.archives.grib.sections import END, CorruptMessage, FieldSections, Read, message_at
from corrstore.datasets.errors import BadInput, CorrstoreError
from corrstore.datasets.grids.grid import Grid

_MOST_POINTS, _MOST_POINTS_IN_A_BYTE = 1 << 27, 64  # a field of zeros has no bits at all
_DECODED_AS_FLOAT64 = {"grid_jpeg", "grid_png", "grid_ieee"}
"""Packings that ecCodes does not decode to float32."""
_WITHOUT_STEP = {"grid_ieee", "grid_simple_log_preprocessing"}
"""Packings whose numbers do not lie evenly apart."""


@dataclass(frozen=True, eq=False)
class GribField:
    """The values of a field on its grid, float32 [row, column], NaN where missing: north first, west first."""

    values: NDArray[np.float32]
    grid: Grid


def read_field(source: str | Path | bytes, offset: int, length: int, part: int = 0) -> GribField:
    """Return field number `part` of the GRIB message of `length` bytes at `offset`.

    `source` is the path of the file, or the message itself. Wind components stay as they are encoded, relative to
    the grid or to the earth. Raises CorruptMessage where the message is not whole or cannot be decoded,
    DamagedData where its grid contradicts itself, BadInput where that is of a kind that is not read, and OSError
    where the file cannot be.
    """
    name, alone, section = _message_of_one_field(source, offset, length, part)
    with _decoded(name, offset, alone) as handle:
        _refuse_size(name, offset, handle, length)
        scanned = scanned_grid(handle, section)
        values = _values(handle)
    rows, columns = scanned.grid.shape
    if values.size != rows * columns:
        reason = f"it has {values.size} values, expected {rows} x {columns}, which is its grid"
        raise CorruptMessage(name, offset, "corrupt", reason)
    return GribField(scanned.oriented(values), scanned.grid)


def read_grid(source: str | Path | bytes, offset: int, length: int, part: int = 0) -> Grid:
    """Return the grid of the field that `read_field` would return, without its values. Raises as `read_field` does."""
    name, alone, section = _message_of_one_field(source, offset, length, part)
    with _decoded(name, offset, alone) as handle:
        _refuse_size(name, offset, handle, length)
        return scanned_grid(handle, section).grid


def read_packing_step(source: str | Path | bytes, offset: int, length: int, part: int = 0) -> float:
    """Return the distance of two neighbouring numbers that the field's packing can hold; 0 where that is float32's.

    It is 2^E 10^-D: FM 92 GRIB, regulation 92.9.4, for simple packing and what is built on it. Raises as `read_field`.
    """
    name, alone, _ = _message_of_one_field(source, offset, length, part)
    with _decoded(name, offset, alone) as handle:
        if eccodes.codes_get(handle, "packingType") in _WITHOUT_STEP:
            return 0.0
        binary, decimal = (integer_key(handle, f"{kind}ScaleFactor") or 0 for kind in ("binary", "decimal"))
    return float(2.0**binary * 10.0**-decimal)


def mars_keys(source: str | Path | bytes, offset: int, length: int, part: int = 0) -> dict[str, str]:
    """Return the keys by which ECMWF tells a field from others: stream, type, class and more. Raises as `read_field`.

    A message of other centres has fewer of them.
    """
    name, alone, _ = _message_of_one_field(source, offset, length, part)
    keys: dict[str, str] = {}
    with _decoded(name, offset, alone) as handle:
        iterator = eccodes.codes_keys_iterator_new(handle, "mars")
        while eccodes.codes_keys_iterator_next(iterator):
            key = eccodes.codes_keys_iterator_get_name(iterator)
            keys[key] = str(eccodes.codes_get_string(handle, key))
        eccodes.codes_keys_iterator_delete(iterator)
    return keys


@contextmanager
def _decoded(name: str, offset: int, message: bytes) -> Iterator[int]:
    """Yield ecCodes' handle of a message; an error of the block names the file and the message's place in it."""
    try:
        with message_handle(message) as handle:
            yield handle
    except (eccodes.FunctionNotImplementedError, eccodes.FunctionalityNotEnabledError) as error:
        reason = f"this ecCodes does not decode its packing: {error}; ask for another packing, as simple"
        raise CorruptMessage(name, offset, "not_read", reason) from error
    except eccodes.CodesInternalError as error:
        raise CorruptMessage(name, offset, "corrupt", f"ecCodes cannot decode it: {error}") from error
    except CorruptMessage:
        raise
    except CorrstoreError as error:
        raise type(error)(f"{name}: GRIB message at byte {offset}: {error}") from error


def _message_of_one_field(source: str | Path | bytes, offset: int, length: int, part: int) -> tuple[str, bytes, bytes]:
    """Return the name of the source, a message that holds the field alone, and its grid section."""
    if isinstance(source, bytes):
        name, message = "message in memory", source
    else:
        name, message = str(source), _read(source, offset, length)

    def read(at: int, count: int) -> bytes:
        return message[at - offset : at - offset + count]

    found = message_at(name, read, offset, offset + len(message))
    if found.length != length:
        reason = f"it states {found.length} bytes, expected {length}: the file is not the one that was indexed"
        raise CorruptMessage(name, offset, "corrupt", reason)
    if part >= len(found.fields):
        raise BadInput(
            f"{name}: GRIB message at byte {offset}: it has {len(found.fields)} fields, expected part {part} too"
        )
    field = found.fields[part]
    return name, message if len(found.fields) == 1 else _single_field_message(read, field), field.grid


def _refuse_size(name: str, offset: int, handle: int, length: int) -> None:
    """Raise CorruptMessage where a header claims more points than its message can hold, before they are allocated."""
    most = max(_MOST_POINTS, _MOST_POINTS_IN_A_BYTE * length)
    sides = [integer_key(handle, key) or 1 for key in ("Ni", "Nj")]
    claimed = max(sides[0] * sides[1], integer_key(handle, "numberOfDataPoints") or 1)
    if claimed > most:
        reason = f"it claims {claimed:,} points, expected at most {most:,} in {length:,} bytes"
        raise CorruptMessage(name, offset, "corrupt", reason)


def _read(path: str | Path, offset: int, length: int) -> bytes:
    with Path(path).open("rb", buffering=0) as file:
        return os.pread(file.fileno(), length, offset)


def _single_field_message(read: Read, field: FieldSections) -> bytes:
    """Return a GRIB2 message that holds this field alone."""
    body = b"".join(read(*field.extents[number]) for number in sorted(field.extents)) + END
    return field.header[0][:8] + (16 + len(body)).to_bytes(8) + body


def _values(handle: int) -> NDArray[np.float32]:
    """Return the values in scanning order. ecCodes writes its missing value, here NaN, where the bitmap says so."""
    eccodes.codes_set(handle, "missingValue", float("nan"))
    if eccodes.codes_get(handle, "packingType") in _DECODED_AS_FLOAT64:
        values: NDArray[np.float64] = eccodes.codes_get_array(handle, "values", np.float64)
        return values.astype(np.float32)
    single: NDArray[np.float32] = eccodes.codes_get_array(handle, "values", np.float32)
    return single
