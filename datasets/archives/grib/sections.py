"""The sections of a GRIB message, WMO FM 92 GRIB editions 1 and 2, and the fields in them.

A message is walked from section to section by the lengths that they state; data and bitmaps are stepped over.
No length is taken on trust: the sections must fill the message, and `7777` must stand at its end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from corrstore.datasets.errors import DamagedData

Read = Callable[[int, int], bytes]
"""A function of (offset, count) that returns that many bytes, fewer at the end of the file."""

ProblemKind = Literal["truncated", "not_grib", "corrupt", "no_end_marker", "padding", "not_known", "not_read"]

END = b"7777"
_SAME_BITMAP = 254
_GRIB2_SHORTEST = {1: 21, 2: 5, 3: 15, 4: 9, 5: 11, 6: 6, 7: 5}
_GRIB1_LARGE, _GRIB1_LARGE_UNIT = 0x800000, 120


class CorruptMessage(DamagedData):
    """A GRIB message that cannot be used; `kind` and `reason` say why."""

    def __init__(self, name: str, offset: int, kind: ProblemKind, reason: str) -> None:
        super().__init__(f"{name}: GRIB message at byte {offset}: {reason}")
        self.kind: ProblemKind = kind
        self.reason = reason


@dataclass(frozen=True, slots=True)
class FieldSections:
    """One field: the bytes of its describing sections, and (offset, length) of all, by section number.

    Section 0 is the indicator. Of GRIB1's section 4, which is the data, `header` has the first 14 bytes.
    """

    edition: int
    header: dict[int, bytes]
    extents: dict[int, tuple[int, int]]

    @property
    def grid(self) -> bytes:
        """The bytes that define the horizontal grid, without the vertical coordinates of GRIB1."""
        if self.edition == 2:
            return self.header[3]
        if 2 not in self.header:
            return self.header[1][4:7:2]
        section = self.header[2]
        vertical, start = 4 * section[3], section[4] - 1
        return section[5:start] + section[start + vertical :] if vertical else section[5:]


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message and each of its fields."""

    offset: int
    length: int
    fields: list[FieldSections]


def begins_message(start: bytes) -> bool:
    """Return whether `start`, 8 bytes or fewer at a file's end, begins a message of edition 1 or 2."""
    return start[:4] == b"GRIB" and (len(start) < 8 or start[7] in (1, 2))


def message_at(name: str, read: Read, offset: int, size: int) -> Message:
    """Return the message at `offset` of a file of `size` bytes; raises CorruptMessage where it is not whole."""
    indicator = read(offset, 16)
    if not begins_message(indicator):
        reason = f"it begins with {indicator[:8]!r}, expected b'GRIB', a length and edition 1 or 2"
        raise CorruptMessage(name, offset, "not_grib", reason)
    if len(indicator) < 16:
        reason = f"the file ends {len(indicator)} bytes into it: fetch the file again"
        raise CorruptMessage(name, offset, "truncated", reason)
    is_grib2 = indicator[7] == 2
    length = int.from_bytes(indicator[8:]) if is_grib2 else _grib1_length(name, read, offset)
    if offset + length > size:
        missing = offset + length - size
        reason = f"it states {length} bytes, the file ends {missing} bytes before that: fetch the file again"
        raise CorruptMessage(name, offset, "truncated", reason)
    end = offset + length - len(END)
    fields = _grib2_fields(name, read, offset, end) if is_grib2 else [_grib1_field(name, read, offset, end)]
    found = read(end, len(END))
    if found != END:
        reason = f"its {length} bytes end with {found!r}, expected {END!r}: some were lost or overwritten"
        raise CorruptMessage(name, offset, "no_end_marker", reason)
    return Message(offset, length, fields)


def _grib2_fields(name: str, read: Read, offset: int, end: int) -> list[FieldSections]:
    """Return the fields of a GRIB2 message. Sections 2 to 7 may repeat; each holds until its next repetition."""
    header: dict[int, bytes] = {0: read(offset, 16)}
    extents: dict[int, tuple[int, int]] = {}
    fields = []
    position = offset + 16
    while position < end:
        start = read(position, 6)
        length, number = int.from_bytes(start[:4]), start[4]
        if length < _GRIB2_SHORTEST.get(number, end) or position + length > end:
            raise CorruptMessage(name, offset, "corrupt", _misfit(number, position, length, end))
        if number < 6:
            header[number] = read(position, length)
        if not (number == 6 and start[5] == _SAME_BITMAP):
            extents[number] = (position, length)
        position += length
        if number == 7:
            if not {1, 3, 4, 5, 6} <= extents.keys():
                reason = f"data after sections {sorted(extents)[:-1]}, expected 1, 3, 4, 5 and 6 before them"
                raise CorruptMessage(name, offset, "corrupt", reason)
            fields.append(FieldSections(2, dict(header), dict(extents)))
    if not fields:
        raise CorruptMessage(name, offset, "corrupt", "it has no data section")
    return fields


def _grib1_field(name: str, read: Read, offset: int, end: int) -> FieldSections:
    """Return the field of a GRIB1 message. Flags announce sections 2 (grid) and 3 (bitmap); 4 goes to the end."""
    header, extents = {0: read(offset, 8)}, {}
    position = offset + 8
    for number, flag, shortest in ((1, 0, 28), (2, 0x80, 32), (3, 0x40, 6)):
        if flag and not header[1][7] & flag:
            continue
        length = int.from_bytes(read(position, 3))
        if length < shortest or position + length > end:
            raise CorruptMessage(name, offset, "corrupt", _misfit(number, position, length, end))
        if number != 3:
            header[number] = read(position, length)
        extents[number] = (position, length)
        position += length
    if position + 11 > end:
        raise CorruptMessage(name, offset, "corrupt", _misfit(4, position, end - position, end))
    header[4], extents[4] = read(position, 14), (position, end - position)
    return FieldSections(1, header, extents)


def _grib1_length(name: str, read: Read, offset: int) -> int:
    """Return the bytes of a GRIB1 message; a large one states units of 120, and the excess in section 4."""
    length = int.from_bytes(read(offset + 4, 3))
    if length & _GRIB1_LARGE:
        excess = int.from_bytes(_grib1_field(name, read, offset, offset + length).header[4][:3])
        if excess < _GRIB1_LARGE_UNIT:
            return (length & ~_GRIB1_LARGE) * _GRIB1_LARGE_UNIT - excess + len(END)
    return length


def _misfit(number: int, position: int, length: int, end: int) -> str:
    return f"its sections do not fit: number {number} of {length} bytes at byte {position}, it ends at {end}"
