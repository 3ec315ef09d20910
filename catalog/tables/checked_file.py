"""A Parquet file that holds the CRC-32C of its footer and of each group of rows, so that a reader checks what it reads.

Only the footer and the groups that are wanted are read. Checksums of pages would leave out the pages' headers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import IO

import google_crc32c
import pyarrow as pa
import pyarrow.parquet as pq

_KEY, _MARK = b"checksums", b"crc32c of this footer with zeros here, and of each group of rows: "
_DIGITS = 8
_TAIL = 1 << 16  # bytes that are read at once: most files are smaller


def metadata_for(groups: int) -> dict[str, str]:
    """Return the metadata that a writer adds to a file of so many groups of rows: the place of the checksums."""
    return {_KEY.decode(): _blank(groups).decode()}


def with_checksums(content: bytes) -> bytes:
    """Return the bytes of a Parquet file, written with `metadata_for`, with its checksums."""
    footer, metadata = _footer(content)
    sums = b"".join(_crc(content[start:stop]) for start, stop in _spans(metadata))
    blank = _blank(metadata.num_row_groups)
    filled = footer.replace(blank, blank[: len(_MARK) + _DIGITS] + sums)
    filled = filled.replace(_MARK + b"0" * _DIGITS, _MARK + _crc(filled))
    return content.replace(footer, filled)


@dataclass(frozen=True)
class CheckedFile:
    """A file with checksums, or an older one without. A wrong checksum is a ValueError, as are most other faults."""

    file: IO[bytes]

    @cached_property
    def _size(self) -> int:
        return self.file.seek(0, 2)

    @cached_property
    def _tail(self) -> bytes:
        tail = self._read(max(0, self._size - _TAIL), self._size)
        length = int.from_bytes(tail[-8:-4], "little") + 8
        return tail if length <= len(tail) else self._read(max(0, self._size - length), self._size)

    @cached_property
    def metadata(self) -> pq.FileMetaData:
        """The metadata of the file."""
        footer, metadata = _footer(self._tail)
        start, mark, rest = footer.rpartition(_MARK)
        if mark and _crc(start + mark + b"0" * _DIGITS + rest[_DIGITS:]) != rest[:_DIGITS]:
            raise ValueError("its footer has another CRC-32C than it states")
        return metadata

    def opened(self, groups: list[int], as_dictionary: list[str]) -> pq.ParquetFile:
        """Return the file to read these groups of rows from, all of them checked; texts to be read as dictionaries."""
        metadata = self.metadata
        sums = (metadata.metadata or {}).get(_KEY, b"").removeprefix(_MARK)
        spans = list(_spans(metadata))
        whole = bytearray(self._size)  # what is not read costs nothing
        for group in groups:
            start, stop = spans[group]
            content = self._read(start, stop)
            place = _DIGITS * (group + 1)
            if sums and _crc(content) != sums[place : place + _DIGITS]:
                raise ValueError(f"rows {group + 1} of {len(spans)} have another CRC-32C than the file states")
            whole[start:stop] = content
        return pq.ParquetFile(pa.BufferReader(whole), metadata=metadata, read_dictionary=as_dictionary)

    def _read(self, start: int, stop: int) -> bytes:
        before = self._size - len(self.__dict__.get("_tail", b""))
        if start >= before:
            return self._tail[start - before : stop - before]
        self.file.seek(start)
        return self.file.read(stop - start)


def _blank(groups: int) -> bytes:
    return _MARK + b"0" * _DIGITS * (groups + 1)


def _crc(content: bytes) -> bytes:
    return b"%08x" % google_crc32c.value(content)


def _footer(content: bytes) -> tuple[bytes, pq.FileMetaData]:
    """Return the bytes of the footer at the end of a file, and what they say."""
    length = int.from_bytes(content[-8:-4], "little")
    if content[-4:] != b"PAR1" or not 0 < length <= len(content) - 8:
        raise ValueError("it does not end as a Parquet file does")
    footer = content[-8 - length : -8]
    return footer, pq.read_metadata(pa.BufferReader(b"PAR1" + footer + content[-8:]))


def _spans(metadata: pq.FileMetaData) -> Iterator[tuple[int, int]]:
    """Yield the first byte of each group of rows, and the one behind its last."""
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        columns = [group.column(column) for column in range(group.num_columns)]
        starts = [
            each.data_page_offset if each.dictionary_page_offset is None else each.dictionary_page_offset
            for each in columns
        ]
        yield min(starts), max(start + each.total_compressed_size for start, each in zip(starts, columns, strict=True))
