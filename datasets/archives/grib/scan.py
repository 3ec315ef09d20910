"""The positions of the messages in a GRIB file, and the bytes between them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from corrstore.datasets.archives.grib.sections import (
    CorruptMessage,
    Message,
    ProblemKind,
    Read,
    begins_message,
    message_at,
)

_PADDING_UNIT = 120
_BULLETIN_STARTS = (b"\x01\r\r\n", b"****", b"####")
_BULLETIN_HEADING = re.compile(rb"[\x00-\x20\dA-Z*#]*[A-Z]{4}\d{0,2} [A-Z]{4} \d{6}( [A-Z]{3})?(\s.*)?", re.DOTALL)
"""The abbreviated heading of a bulletin (WMO-No. 386), TTAAii CCCC YYGGgg BBB, behind counts and control characters."""
_BULLETIN_HEADER = 500
_BULLETIN_END = re.compile(rb"[\r\n\x03]*(NNNN|0{8,10})?[\r\n\x03]*")
_LARGE_GAP = 1 << 20


@dataclass(frozen=True)
class Problem:
    """Bytes of a file that are not a whole, readable message: position, kind and explanation."""

    path: str
    offset: int
    kind: ProblemKind
    text: str

    def __str__(self) -> str:
        return f"{self.path} at byte {self.offset}: {self.kind}: {self.text}"


def messages(name: str, read: Read, size: int) -> Iterator[Message | Problem]:
    """Yield the messages of a file of `size` bytes in their order, and the problems between them.

    After a damaged message the search goes on inside it. Two things may stand between messages: NUL
    bytes up to a multiple of 120, which ECMWF appends, and the headers of WMO bulletins.
    """
    position = 0
    while position < size:
        if not begins_message(read(position, 8)):
            start, position = position, _next_message(read, position, size)
            kind = _gap_kind(read, start, position - start)
            if kind:
                begin = read(start, min(24, position - start))
                text = f"{position - start} bytes that are no GRIB message, beginning with {begin!r}"
                if begin[:4] == b"GRIB":
                    kind, text = "not_read", f"a message of GRIB edition {begin[7]}, expected 1 or 2"
                yield Problem(name, start, kind, text)
            continue
        try:
            message = message_at(name, read, position, size)
        except CorruptMessage as error:
            yield Problem(name, position, error.kind, error.reason)
            position = _next_message(read, position + 4, size)
        else:
            yield message
            position += message.length


def _next_message(read: Read, position: int, size: int) -> int:
    """Return the start of the next message, at `position` or after it; `size` where there is none."""
    count = 256
    while position < size:
        chunk = read(position, count)
        found = chunk.find(b"GRIB")
        while found >= 0 and not begins_message(read(position + found, 8)):
            found = chunk.find(b"GRIB", found + 1)
        if found >= 0:
            return position + found
        position += count - 3
        count = min(2 * count, _LARGE_GAP)
    return size


def _gap_kind(read: Read, start: int, length: int) -> ProblemKind | None:
    """Return `padding` or `not_grib` for the bytes between two messages; None where they are allowed."""
    if length > _LARGE_GAP:
        blocks = (read(at, min(_LARGE_GAP, start + length - at)) for at in range(start, start + length, _LARGE_GAP))
        return "not_grib" if any(block.strip(b"\0") for block in blocks) else "padding"
    gap = read(start, length)
    if not gap.strip(b"\0"):
        return "padding" if length >= _PADDING_UNIT else None
    rest = gap[_BULLETIN_END.match(gap).end() :]  # type: ignore[union-attr]
    is_heading = rest.startswith(_BULLETIN_STARTS) or _BULLETIN_HEADING.fullmatch(rest)
    if not rest or (length <= _BULLETIN_HEADER and is_heading):
        return None
    return "not_grib" if rest.strip() else "padding"
