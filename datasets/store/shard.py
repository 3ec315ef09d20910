"""The shard: one sample of `input` or `target` as one object of a Zarr v3 store.

The shard is written chunk by chunk, so that a sample is in memory once. tensorstore, which is independent of this
writer, reads it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, product
from typing import Any, Literal

import google_crc32c
import numpy as np
import tensorstore as ts
from numcodecs import blosc
from numpy.typing import NDArray

from corrstore.datasets.errors import DamagedData

Codec = Literal["lz4", "zstd"]
_LEVELS = {"lz4": 5, "zstd": 1}
_KEY = b"c/0/0/0/0"

blosc.use_threads = False  # workers already use all cores, one sample each


def with_crc32c(content: bytes) -> bytes:
    """Return the bytes followed by their CRC-32C, little endian: the Zarr v3 codec `crc32c`."""
    return content + google_crc32c.value(content).to_bytes(4, "little")


def assembled(chunks: list[bytes]) -> bytes:
    """Return the shard of these encoded inner chunks.

    Zarr v3, codec `sharding_indexed`: the index (offset and length of each inner chunk, uint64), its CRC-32C, then
    the chunks in the order of the index.
    """
    lengths = [len(chunk) for chunk in chunks]
    offsets = accumulate(lengths[:-1], initial=16 * len(chunks) + 4)
    index = np.array(list(zip(offsets, lengths, strict=True)), "<u8").tobytes()
    return b"".join([with_crc32c(index), *chunks])


@dataclass(frozen=True)
class ShardLayout:
    """The layout of a shard: one whole sample [channel, lat, lon], in inner chunks of `chunk` x `chunk` pixels.

    The index lies at the start, so that a store can be read where ranges from an object's end are not served.
    """

    shape: tuple[int, int, int]
    dtype: str
    chunk: int
    codec: Codec

    @property
    def inner_chunk(self) -> tuple[int, int, int, int]:
        """The shape of an inner chunk: one time, all channels, a part of the domain."""
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
        """Return the bytes of the shard of a sample [channel, lat, lon]; empty chunks are written too.

        The bytes depend on the values alone. Every inner chunk ends with its CRC-32C, so that a reader refuses a
        chunk of which a bit has changed.
        """
        return assembled([with_crc32c(self._compress(piece)) for piece in self._pieces(sample)])

    def decode(self, content: bytes) -> NDArray[Any]:
        """Return the values in the shard's bytes; raises DamagedData where they are damaged."""
        array = ts.open(self._spec(), context=ts.Context()).result()
        assert array.kvstore is not None
        array.kvstore.write(_KEY, content).result()
        try:
            return array[0].read().result()
        except ValueError as error:
            raise DamagedData(f"the shard does not decode: {error}") from None

    def _pieces(self, sample: NDArray[Any]) -> Iterator[NDArray[Any]]:
        """Yield the inner chunks, row by row; those at the lower and right edges are filled up with NaN."""
        _, channels, high, wide = self.inner_chunk
        for top, left in product(range(0, self.shape[1], high), range(0, self.shape[2], wide)):
            piece = sample[:, top : top + high, left : left + wide]
            if piece.shape != (channels, high, wide):
                whole = np.full((channels, high, wide), np.nan, self.dtype)
                whole[:, : piece.shape[1], : piece.shape[2]] = piece
                piece = whole
            yield np.ascontiguousarray(piece, np.dtype(self.dtype).newbyteorder("<"))

    def _compress(self, piece: NDArray[Any]) -> bytes:
        return blosc.compress(piece, self.codec.encode(), _LEVELS[self.codec], blosc.BITSHUFFLE, 0)

    def _spec(self) -> dict[str, Any]:
        """Return the tensorstore spec of an array of one sample in memory."""
        little = {"name": "bytes", "configuration": {"endian": "little"}}
        sharding = {
            "chunk_shape": self.inner_chunk,
            "codecs": [little, {"name": "blosc", "configuration": self.blosc}, {"name": "crc32c"}],
            "index_codecs": [little, {"name": "crc32c"}],
            "index_location": "start",
        }
        metadata = {
            "shape": (1, *self.shape),
            "data_type": self.dtype,
            "fill_value": "NaN",
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": self.shard_shape}},
            "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        }
        return {"driver": "zarr3", "kvstore": {"driver": "memory"}, "metadata": metadata, "create": True}
