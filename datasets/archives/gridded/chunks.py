"""The chunks of a Zarr group that hold a slice of a variable, and the state that their objects are in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import zarr

from corrstore.datasets.errors import DamagedData, fault_of_file

_EPOCH = datetime(1970, 1, 1)


class ChunksState(NamedTuple):
    """The bytes of a slice's chunks, the last time at which one of them was changed (UTC), and a SHA-256.

    The SHA-256 is of the array's metadata, but for its shape, which grows, and of the key, size and time of change of
    each chunk: the chunks themselves are not read.
    """

    bytes: int
    modified: datetime
    sha256: str


class LocalGroups:
    """Zarr groups on a mounted file system, of which the metadata of each array is read once."""

    def __init__(self) -> None:
        self._arrays: dict[tuple[str, str], tuple[zarr.Array[Any], list[str], bytes]] = {}

    def state_of(self, path: str, name: str, indexers: str) -> ChunksState:
        """Return the state of the chunks that hold the slice of a variable at these positions, as JSON, by dimension.

        A chunk that is not there, because it holds nothing but the fill value, is one of no bytes. Raises DamagedData
        where the variable is not there.
        """
        array, dimensions, metadata = self._array(path, name)
        digest, size, modified = hashlib.sha256(metadata), 0, 0
        for key in _chunk_keys(array, dimensions, json.loads(indexers)):
            try:
                state = Path(path, name, key).stat()
            except FileNotFoundError:
                digest.update(f"{key} absent\n".encode())
                continue
            size, modified = size + state.st_size, max(modified, state.st_mtime_ns)
            digest.update(f"{key} {state.st_size} {state.st_mtime_ns}\n".encode())
        return ChunksState(size, time_of_change(modified), digest.hexdigest())

    def _array(self, path: str, name: str) -> tuple[zarr.Array[Any], list[str], bytes]:
        if (path, name) not in self._arrays:
            try:
                array = zarr.open_array(path, path=name, mode="r")
            except Exception as error:
                reason = fault_of_file(error)
                raise DamagedData(f"{name} of {path} was read for the store and cannot be now: {reason}") from None
            metadata: dict[str, Any] = dict(array.metadata.to_dict())
            dimensions: Any = metadata.get("dimension_names") or array.attrs.get("_ARRAY_DIMENSIONS") or []
            kept = {key: value for key, value in metadata.items() if key != "shape"}
            text = json.dumps(kept, sort_keys=True, default=str).encode()
            self._arrays[path, name] = array, [str(each) for each in dimensions], text
        return self._arrays[path, name]


def time_of_change(nanoseconds: int) -> datetime:
    """Return the time (UTC, whole microseconds) of so many nanoseconds since 1970, as `stat` tells it."""
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)


def _chunk_keys(array: zarr.Array[Any], dimensions: list[str], indexers: dict[str, int | None]) -> Iterator[str]:
    """Yield the keys below the array of the chunks, or shards, that hold a slice."""
    places = []
    for dimension, length, side in zip(dimensions, array.shape, array.shards or array.chunks, strict=True):
        position = indexers.get(dimension)
        places.append(range(-(-length // side)) if position is None else [position // side])
    return (array.metadata.encode_chunk_key(place) for place in product(*places))
