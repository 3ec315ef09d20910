"""A shard: one sample of `input` or `target`, as the one object that a Zarr v3 store keeps it in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import tensorstore as ts
from numpy.typing import NDArray

from datasets.errors import BadInput

Codec = Literal["lz4", "zstd"]
_LEVELS = {"lz4": 5, "zstd": 1}


@dataclass(frozen=True)
class ShardLayout:
    """How one sample [channel, lat, lon] is laid out: the whole of it, in inner chunks of `chunk` x `chunk` pixels.

    The index lies at the start, so that a store can be read where ranges from an object's end are not served.
    """

    shape: tuple[int, int, int]
    dtype: str
    chunk: int
    codec: Codec

    @property
    def inner_chunk(self) -> tuple[int, int, int, int]:
        """The shape of an inner chunk: one time, all channels, a piece of the domain."""
        channels, height, width = self.shape
        return (1, channels, min(self.chunk, height), min(self.chunk, width))

    @property
    def shard_shape(self) -> tuple[int, int, int, int]:
        """The shape of a shard: the sample, rounded up to whole inner chunks."""
        _, channels, high, wide = self.inner_chunk
        return (1, channels, -(-self.shape[1] // high) * high, -(-self.shape[2] // wide) * wide)

    @property
    def blosc(self) -> dict[str, Any]:
        """The configuration of the compressor."""
        return {
            "cname": self.codec,
            "clevel": _LEVELS[self.codec],
            "shuffle": "bitshuffle",
            "typesize": np.dtype(self.dtype).itemsize,
            "blocksize": 0,
        }

    def encode(self, sample: NDArray[Any]) -> bytes:
        """The shard's bytes, a pure function of the numbers [channel, lat, lon]."""
        array, memory = _open(self)
        array[0].write(sample).result()
        return memory.read(_KEY).result().value

    def decode(self, content: bytes) -> NDArray[Any]:
        """The numbers in the shard's bytes; BadInput where they are damaged."""
        array, memory = _open(self)
        memory.write(_KEY, content).result()
        try:
            return array[0].read().result()
        except ValueError as error:
            raise BadInput(f"the shard does not decode: {error}") from None


_KEY = b"c/0/0/0/0"


def _open(layout: ShardLayout) -> tuple[ts.TensorStore, ts.KvStore]:
    """An empty array of one sample, and the memory of its own that its objects are in."""
    little = {"name": "bytes", "configuration": {"endian": "little"}}
    sharding = {
        "chunk_shape": layout.inner_chunk,
        "codecs": [little, {"name": "blosc", "configuration": layout.blosc}],
        "index_codecs": [little, {"name": "crc32c"}],
        "index_location": "start",
    }
    metadata = {
        "shape": (1, *layout.shape),
        "data_type": layout.dtype,
        "fill_value": "NaN",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": layout.shard_shape}},
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
    }
    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "memory"},
        "metadata": metadata,
        "store_data_equal_to_fill_value": True,
        "create": True,
    }
    array = ts.open(spec, context=ts.Context()).result()
    memory = array.kvstore
    assert memory is not None
    return array, memory
