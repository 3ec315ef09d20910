"""GRIB messages made by ecCodes from a template and the keys that differ between messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from corrstore.datasets.archives.grib.handle import eccodes, message_handle

Key = int | float | str | None
SYNTHETIC_PROCESS = 250
_MISSING_VALUE = 9.999e20


@dataclass(frozen=True)
class SyntheticMessage:
    """One encoded field and its name in this archive: a channel, or a name of the archive's own."""

    name: str
    data: bytes


@dataclass(frozen=True)
class Template:
    """The keys that messages share; `sample` is one of ecCodes' samples, a key of None is set to missing."""

    sample: str
    keys: Mapping[str, Key]

    def message(self, name: str, keys: Mapping[str, Key], values: NDArray[np.floating]) -> SyntheticMessage:
        """Return a message with these keys and values, in the template's packing, 16 bits to the field's range."""
        handle = eccodes.codes_grib_new_from_samples(self.sample)
        try:
            _set_keys(handle, {**self.keys, **keys, "bitsPerValue": 16})
            eccodes.codes_set_values(handle, values.ravel().astype(np.float64))
            return SyntheticMessage(name, eccodes.codes_get_message(handle))
        finally:
            eccodes.codes_release(handle)


def messages_of(file: bytes) -> Iterator[bytes]:
    """Yield the messages of a whole GRIB file."""
    while file:
        with message_handle(file) as handle:
            size = int(eccodes.codes_get(handle, "totalLength"))
        yield file[:size]
        file = file[size:]


def values_of(message: SyntheticMessage) -> NDArray[np.float64]:
    """Return the decoded values, one-dimensional."""
    with message_handle(message.data) as handle:
        return np.asarray(eccodes.codes_get_values(handle), dtype=np.float64)


def data_section(message: SyntheticMessage) -> int:
    """Return the byte at which a GRIB2 message's data section begins."""
    with message_handle(message.data) as handle:
        return int(eccodes.codes_get(handle, "offsetSection7"))


def changed(message: SyntheticMessage, keys: Mapping[str, Key], values: NDArray[np.float64]) -> SyntheticMessage:
    """Return the message with other keys and values; a bitmap marks NaN as missing."""
    with message_handle(message.data) as handle:
        _set_keys(handle, keys)
        if np.isnan(values).any():
            _set_keys(handle, {"bitmapPresent": 1, "missingValue": _MISSING_VALUE})
        eccodes.codes_set_values(handle, np.nan_to_num(values, nan=_MISSING_VALUE))
        return SyntheticMessage(message.name, eccodes.codes_get_message(handle))


def _set_keys(handle: int, keys: Mapping[str, Key]) -> None:
    for key, value in keys.items():
        if value is None:
            eccodes.codes_set_missing(handle, key)
        else:
            eccodes.codes_set(handle, key, value)
