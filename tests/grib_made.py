"""GRIB messages that ecCodes makes for a test."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from corrstore.datasets.archives.grib.decode import GribField, read_field
from corrstore.datasets.archives.grib.handle import eccodes
from corrstore.datasets.archives.grib.index import GribIndex, index_ranges


def made(sample="regular_ll_pl_grib2", values=None, **keys) -> bytes:
    """A message: ecCodes' sample, with these keys set in their order, and then these values."""
    return _set(eccodes.codes_grib_new_from_samples(sample), values, keys)


def changed(message: bytes, values=None, **keys) -> bytes:
    """The message with these keys set, and then these values."""
    return _set(eccodes.codes_new_from_message(message), values, keys)


def _set(handle, values, keys) -> bytes:
    try:
        for key, value in keys.items():
            eccodes.codes_set(handle, key, value)
        if values is not None:
            eccodes.codes_set_values(handle, np.asarray(values, np.float64).ravel())
        return eccodes.codes_get_message(handle)
    finally:
        eccodes.codes_release(handle)


def regular(rows: int, columns: int) -> dict[str, float]:
    """The keys of a grid of whole degrees from 50 N, 100 E to the south-east."""
    return {
        "Ni": columns,
        "Nj": rows,
        "latitudeOfFirstGridPointInDegrees": 50.0,
        "longitudeOfFirstGridPointInDegrees": 100.0,
        "latitudeOfLastGridPointInDegrees": 50.0 - (rows - 1),
        "longitudeOfLastGridPointInDegrees": 100.0 + (columns - 1),
        "iDirectionIncrementInDegrees": 1.0,
        "jDirectionIncrementInDegrees": 1.0,
    }


def in_one_message(messages: list[bytes], first_repeated_section: int = 4) -> bytes:
    """One GRIB2 message with the fields of these, whose sections before `first_repeated_section` are shared."""
    together = eccodes.codes_grib_multi_new()
    handles = [eccodes.codes_new_from_message(message) for message in messages]
    try:
        for handle in handles:
            eccodes.codes_grib_multi_append(handle, first_repeated_section, together)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "multi.grib2"
            with path.open("wb") as file:
                eccodes.codes_grib_multi_write(together, file)
            return path.read_bytes()
    finally:
        for handle in handles:
            eccodes.codes_release(handle)
        eccodes.codes_grib_multi_release(together)


@contextmanager
def multi_field_support():
    """ecCodes, all over the process, reads the fields of a message one by one; within the block."""
    eccodes.codes_grib_multi_support_on()
    try:
        yield
    finally:
        eccodes.codes_grib_multi_support_off()


def eccodes_handles(path):
    """A handle of every field of a file, as ecCodes itself finds them."""
    with multi_field_support(), Path(path).open("rb") as file:
        while (handle := eccodes.codes_grib_new_from_file(file)) is not None:
            try:
                yield handle
            finally:
                eccodes.codes_release(handle)


def index_bytes(content: bytes) -> GribIndex:
    """The index of a file that holds these bytes."""
    return index_ranges("archive.grib", lambda offset, count: content[offset : offset + count], len(content))


def decoded(message: bytes, part: int = 0) -> GribField:
    """The field of a message, or of a part of one with many."""
    return read_field(message, 0, len(message), part)


TEMPERATURE = made(values=range(600), **regular(20, 30), bitsPerValue=12, dataDate=20180722, level=850)
"""A message of 20 x 30 points at 850 hPa, of 22 July 2018."""
