"""The index of a GRIB file: a row for each field, and a problem for all bytes that are no whole, readable message.

Only headers are read, about a kilobyte for each message however large its data.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from corrstore.datasets.archives.grib.handle import eccodes, said_by_eccodes
from corrstore.datasets.archives.grib.header import field_header, reference_time
from corrstore.datasets.archives.grib.scan import Problem, messages
from corrstore.datasets.archives.grib.sections import FieldSections, ProblemKind, Read
from corrstore.datasets.errors import BadInput, fault_of_file

__all__ = ["INDEX_SCHEMA", "INDEX_VERSION", "GribIndex", "Problem", "index_file", "index_ranges"]

_TIME = pa.timestamp("us", "UTC")

INDEX_SCHEMA = pa.schema(
    {
        "offset": pa.int64(),
        "length": pa.int64(),
        "part": pa.int32(),
        "init_time": _TIME,
        "valid_time": _TIME,
        "window_start": _TIME,
        "edition": pa.int8(),
        "discipline": pa.int16(),
        "category": pa.int16(),
        "number": pa.int16(),
        "table": pa.int16(),
        "parameter": pa.int16(),
        "centre": pa.string(),
        "short_name": pa.string(),
        "level_type": pa.int16(),
        "level": pa.float64(),
        "level_type_2": pa.int16(),
        "level_2": pa.float64(),
        "process": pa.string(),
        "expver": pa.string(),
        "generating_process": pa.int32(),
        "member": pa.int32(),
        "grid_hash": pa.string(),
        "packing": pa.string(),
        "uv_relative_to_grid": pa.bool_(),
    }
)
"""A field is part number `part` of the message of `length` bytes at `offset`.

It is identified by `discipline`, `category`, `number` (GRIB2) or `table`, `parameter` (GRIB1); `short_name`
is for people to read. Level types are WMO's codes (GRIB2 table 4.5, GRIB1 table 3); levels are in Pa, m or K,
as coded where the type has no unit, null where the header gives none. A field whose `process` is not 'instant'
is stated to hold over `window_start` to `valid_time`."""

INDEX_VERSION = 6
"""Another number where the same bytes give other rows or problems: indices that are kept are then taken again."""
_HEAD = 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TIFF = "a TIFF file: write under the source engine: rasterio, with rioxarray installed"
OTHER_FORMATS = {
    b"PK\x03\x04": "a ZIP archive: unzip it and give what is inside",
    b"CDF": "a NetCDF file (classic format)",
    b"\x89HDF\r\n\x1a\n": "a NetCDF-4 or HDF5 file",
    b"\x1f\x8b": "compressed with gzip: decompress it",
    b"(\xb5/\xfd": "compressed with Zstandard: decompress it",
    b'\x04"M\x18': "compressed with LZ4: decompress it",
    b"\x1f\x9d": "compressed with compress: decompress it",
    b"7z\xbc\xaf'\x1c": "a 7z archive: unpack it and give what is inside",
    b"Rar!": "a RAR archive: unpack it and give what is inside",
    b"PK\x05\x06": "an empty ZIP archive",
    b"BUFR": "a BUFR file",
    b"version https://git-lfs": "a pointer of Git LFS and not the file: fetch it with `git lfs pull`",
    b"{": "JSON, as servers answer instead of a file: fetch it again",
    b"II*\0": _TIFF,
    b"MM\0*": _TIFF,
    b"diamond": "a MICAPS text file (diamond): convert it to GRIB or NetCDF",
    b"<!doctype html": "an HTML page, as servers answer instead of a file: fetch it again",
    b"<html": "an HTML page, as servers answer instead of a file: fetch it again",
    b"<?xml": "an XML document, as object stores answer instead of a file: fetch it again",
}


@dataclass(frozen=True)
class GribIndex:
    """The fields of a file (INDEX_SCHEMA) in the file's order, and the problems found in it."""

    messages: pa.Table
    problems: list[Problem]


def index_file(path: str | Path, size: int | None = None) -> GribIndex:
    """Return the index of a local GRIB file; of a damaged file, all that can be read.

    `size` is how many bytes the file should have, where a listing tells: another number is a problem, though
    the file may end with a whole message. Raises BadInput for what is not GRIB, and says what it is.
    """
    try:
        with Path(path).open("rb", buffering=0) as file:
            descriptor = file.fileno()
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
            actual = os.fstat(descriptor).st_size
            index = index_ranges(str(path), lambda offset, count: os.pread(descriptor, count, offset), actual)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error
    if size is None or size == actual:
        return index
    kind: ProblemKind = "truncated" if actual < size else "corrupt"
    text = f"the file has {actual} bytes, expected {size}: fetch it again"
    return GribIndex(index.messages, [*index.problems, Problem(str(path), min(actual, size), kind, text)])


def index_ranges(name: str, read_at: Read, size: int) -> GribIndex:
    """Return the index of `size` bytes that `read_at(offset, count)` fetches, for example from an object store."""
    read = _ReadAhead(read_at)
    _refuse_other_formats(name, read(0, _HEAD))
    rows: list[tuple[Any, ...]] = []
    problems: list[Problem] = []
    with said_by_eccodes() as said:
        for found in messages(name, read, size):
            if isinstance(found, Problem):
                problems.append(found)
                continue
            for part, field in enumerate(found.fields):
                try:
                    rows.append((found.offset, found.length, part, *_described(field)))
                    problems += _of_unknown_process(name, found.offset, rows[-1])
                except Exception as error:
                    problems.append(_not_understood(name, found.offset, part, field, error))
    if said:
        text = f"ecCodes logged {len(said)} {'lines' if said[1:] else 'line'}, the first one: {said[0].strip()}"
        problems.append(Problem(name, 0, "not_known", text))
    if not rows and {problem.kind for problem in problems} <= {"not_grib", "padding"}:
        raise BadInput(f"{name}: not a GRIB file: it begins with {read(0, 16)!r}, and GRIB is nowhere in it")
    columns = zip(*rows, strict=True) if rows else [[]] * len(INDEX_SCHEMA)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, INDEX_SCHEMA, strict=True)]
    return GribIndex(pa.Table.from_arrays(arrays, schema=INDEX_SCHEMA), problems)


def _not_understood(name: str, offset: int, part: int, field: FieldSections, error: Exception) -> Problem:
    """Return the problem of a field whose sections fit, and whose header is not understood or contradicts itself."""
    reason = f"field {part}: {fault_of_file(error)}"
    if isinstance(error, BadInput):
        return Problem(name, offset, "not_read", reason)
    if field.edition == 1 or not isinstance(error, eccodes.CodesInternalError):
        return Problem(name, offset, "corrupt", reason)
    places = (("grid", 3, 12), ("product", 4, 7), ("packing", 5, 9))
    templates = ", ".join(
        f"{what} {section}.{int.from_bytes(field.header[section][at : at + 2])}" for what, section, at in places
    )
    text = f"field {part}: ecCodes does not understand its header ({templates}): {error}"
    return Problem(name, offset, "not_read", text)


def _of_unknown_process(name: str, offset: int, row: tuple[Any, ...]) -> list[Problem]:
    """Return what to tell of a field whose statistical process has a number and no name."""
    process = row[INDEX_SCHEMA.get_field_index("process")]
    if not process.isdigit():
        return []
    text = f'statistical process {process} is not known; a table can select it by process: "{process}"'
    return [Problem(name, offset, "not_known", text)]


class _ReadAhead:
    """A reader of a kilobyte at a time: the end of a message comes with the header of the next."""

    def __init__(self, read_at: Read) -> None:
        self._read_at, self._start, self._buffer = read_at, 0, b""

    def __call__(self, offset: int, count: int) -> bytes:
        begin = offset - self._start
        if begin < 0 or begin + count > len(self._buffer):
            self._buffer = self._read_at(offset, max(count, _HEAD))
            self._start, begin = offset, 0
        return self._buffer[begin : begin + count]


def _described(field: FieldSections) -> tuple[Any, ...]:
    """Return the columns of INDEX_SCHEMA from `init_time` on."""
    header = field_header(field)
    init = (reference_time(field) - _EPOCH) // _MICROSECOND
    window_start = None if header.start is None else init + header.start * 1_000_000
    return init, init + header.end * 1_000_000, window_start, *header[:-2]


def _refuse_other_formats(name: str, head: bytes) -> None:
    if not head:
        raise BadInput(f"{name}: an empty file, expected GRIB: fetch it again")
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for signature, text in OTHER_FORMATS.items():
        if start.startswith(signature.lower()):
            raise BadInput(f"{name}: expected GRIB, got {text}")
