"""The header of one GRIB field: parameter, level, statistical process, times, member and packing.

ecCodes reads it, once for all fields whose headers differ in nothing but the reference time and the scaling
of the data: that takes a millisecond, and an archive repeats the same few hundred headers day after day.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from corrstore.datasets.archives.grib.handle import eccodes, integer_key, message_handle
from corrstore.datasets.archives.grib.levels import grib1_levels, grib2_levels
from corrstore.datasets.archives.grib.sections import END, FieldSections
from corrstore.datasets.errors import BadInput, DamagedData

_NO_BITMAP, _NO_DATA = b"\0\0\0\x06\x06\xff", b"\0\0\0\x05\x07"
_PLACEHOLDER_DATE = (2000).to_bytes(2) + bytes([1, 1, 0, 0, 0])
_GRIB1_PLACEHOLDER_DATE, _GRIB1_CENTURY = bytes([100, 1, 1, 0, 0]), bytes([20])
_END_OF_WINDOW = {8: 34, 9: 47, 10: 35, 11: 37, 12: 36}
"""The byte of section 4 at which the date of a window's end begins, by product definition template; the number of
time ranges follows it. ecCodes computes the end of a single range from its length, not from this date."""

_GRIB1_COMPLEX = 0x50
_ALONG_GRID = 0x08
"""Winds along the axes of the grid: GRIB2 flag table 3.3, GRIB1 table 7. ecCodes' own key, `uvRelativeToGrid`, is not
there in polar stereographic grids."""
_CALENDAR_UNITS = {3: "months", 4: "years", 5: "decades", 6: "30 years", 7: "centuries"}
_SEASONAL_ENSEMBLES = {12, 15, 16, 18}
"""ECMWF's local definitions of GRIB1 in which number 0 of 0 is a member; in others it means no ensemble."""


class FieldHeader(NamedTuple):
    """The content of a header except its reference time: the columns of the index, and the field's step.

    `start` and `end` are seconds after the reference time; `start` is None of an instantaneous field.
    """

    edition: int
    discipline: int | None
    category: int | None
    number: int | None
    table: int | None
    parameter: int | None
    centre: str
    short_name: str
    level_type: int | None
    level: float | None
    level_type_2: int | None
    level_2: float | None
    process: str
    expver: str | None
    generating_process: int | None
    member: int | None
    grid_hash: str
    packing: str
    uv_relative_to_grid: bool
    start: int | None
    end: int


def reference_time(field: FieldSections) -> datetime:
    """Return the reference time (init_time) of a field, UTC; raises DamagedData where the date does not exist."""
    section = field.header[1]
    if field.edition == 2:
        year, rest = int.from_bytes(section[12:14]), section[14:19]
    else:
        year, rest = (section[24] - 1) * 100 + section[12], section[13:17]
    try:
        return datetime(year, *rest, tzinfo=UTC)  # type: ignore[misc]
    except ValueError as error:
        raise DamagedData(f"its reference time is {[year, *rest]}: {error}") from error


def field_header(field: FieldSections) -> FieldHeader:
    """Return the content of a field's header.

    Raises BadInput or eccodes.CodesInternalError where the header contradicts itself, and BadInput for a packing that
    ecCodes does not know.
    """
    header = _decoded_header(_grib2_timeless(field) if field.edition == 2 else _grib1_timeless(field), field.grid)
    if header.packing == "unknown":
        template = f"template 5.{int.from_bytes(field.header[5][9:11])}" if field.edition == 2 else "flags of GRIB1"
        raise BadInput(f"it is packed by {template}, which ecCodes does not know; ask for another packing, as simple")
    return header


def _grib2_timeless(field: FieldSections) -> bytes:
    """Return the field's header as a message that is equal for all reference times and scalings of the data."""
    section = field.header
    identity = section[1][:12] + _PLACEHOLDER_DATE + section[1][19:]
    product = section[4]
    date = _END_OF_WINDOW.get(int.from_bytes(product[7:9]))
    if date and product[date + 7 : date + 8] == b"\x01":
        product = product[:date] + _PLACEHOLDER_DATE + product[date + 7 :]
    packing = section[5][:11] + bytes(len(section[5]) - 11)
    body = identity + section.get(2, b"") + section[3] + product + packing + _NO_BITMAP + _NO_DATA + END
    return section[0][:8] + (16 + len(body)).to_bytes(8) + body


def _grib1_timeless(field: FieldSections) -> bytes:
    """Return the same for GRIB1 as `_grib2_timeless` for GRIB2."""
    section = field.header
    product = bytearray(section[1])
    product[7] &= ~0x40
    product[12:17], product[24:25] = _GRIB1_PLACEHOLDER_DATE, _GRIB1_CENTURY
    flags = section[4][3] & 0xF0
    more_flags = section[4][13:] if flags & _GRIB1_COMPLEX else b"\0"
    packing = bytes([0, 0, 14, flags]) + bytes(9) + more_flags
    body = bytes(product) + section.get(2, b"") + packing + END
    return b"GRIB" + (8 + len(body)).to_bytes(3) + b"\x01" + body


@lru_cache(maxsize=1 << 14)
def _decoded_header(message: bytes, grid: bytes) -> FieldHeader:
    edition = message[7]
    with message_handle(message) as handle:
        level, level_2 = grib2_levels(handle) if edition == 2 else grib1_levels(*message[17:20])
        process = _process(handle)
        short_name = eccodes.codes_get(handle, "shortName")
        has_expver = eccodes.codes_is_defined(handle, "expver")
        start, end = _step(handle)
        return FieldHeader(
            edition=edition,
            discipline=integer_key(handle, "discipline"),
            category=integer_key(handle, "parameterCategory"),
            number=integer_key(handle, "parameterNumber"),
            table=integer_key(handle, "table2Version"),
            parameter=integer_key(handle, "indicatorOfParameter"),
            centre=eccodes.codes_get(handle, "centre"),
            short_name=short_name,
            level_type=level.kind,
            level=level.value,
            level_type_2=level_2.kind,
            level_2=level_2.value,
            process=process,
            expver=eccodes.codes_get(handle, "expver") if has_expver else None,
            generating_process=integer_key(handle, "generatingProcessIdentifier"),
            member=_member(handle, edition),
            grid_hash=blake2b(bytes([edition]) + grid, digest_size=8).hexdigest(),
            packing=eccodes.codes_get(handle, "packingType"),
            uv_relative_to_grid=bool((integer_key(handle, "resolutionAndComponentFlags") or 0) & _ALONG_GRID),
            start=None if process == "instant" else start,
            end=end,
        )


def _process(handle: int) -> str:
    """Return ecCodes' name of the statistical process, such as `accum`; its number where the process has no name.

    A product over an interval whose process is not stated (255) is not an instant, as ecCodes has it.
    """
    try:
        name: str = eccodes.codes_get(handle, "stepType")
    except eccodes.KeyValueNotFoundError:
        name = ""
    of_interval = integer_key(handle, "edition") == 2 and eccodes.codes_is_defined(
        handle, "typeOfStatisticalProcessing"
    )
    if of_interval and name in ("", "instant", "missing"):
        return str(eccodes.codes_get(handle, "typeOfStatisticalProcessing", int))
    return name


def _member(handle: int, edition: int) -> int | None:
    number = integer_key(handle, "number")
    if edition == 1 and number == 0 and not integer_key(handle, "totalNumber"):
        return 0 if integer_key(handle, "localDefinitionNumber") in _SEASONAL_ENSEMBLES else None
    return number


def _step(handle: int) -> tuple[int, int]:
    """Return the first and last second of the field's step after the reference time; changes the handle."""
    unit = integer_key(handle, "indicatorOfUnitOfTimeRange")
    if unit in _CALENDAR_UNITS:
        raise BadInput(f"its step is in {_CALENDAR_UNITS[unit]}, expected seconds, minutes, hours or days")
    eccodes.codes_set(handle, "stepUnits", "s")
    return eccodes.codes_get(handle, "startStep", int), eccodes.codes_get(handle, "endStep", int)
