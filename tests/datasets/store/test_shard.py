"""A shard's bytes, read back by libraries that know nothing of how they were written."""

from __future__ import annotations

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import MemoryStore

from corrstore.datasets.errors import DamagedData
from corrstore.datasets.store.shard import ShardLayout

LAYOUT = ShardLayout((2, 40, 40), "float16", 16, "lz4")
SAMPLE = np.random.default_rng(0).normal(size=(2, 40, 40)).astype(np.float16)
CONTENT = LAYOUT.encode(SAMPLE)


@settings(max_examples=60)
@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 50), st.integers(1, 50)),
    dtype=st.sampled_from(["float16", "float32"]),
    chunk=st.integers(8, 24),
    codec=st.sampled_from(["lz4", "zstd"]),
    seed=st.integers(0, 99),
)
def test_tensorstore_reads_what_was_written(shape, dtype, chunk, codec, seed):
    rng = np.random.default_rng(seed)
    sample = rng.normal(size=shape).astype(dtype)
    sample[rng.random(shape) < 0.1] = np.nan
    layout = ShardLayout(shape, dtype, chunk, codec)
    content = layout.encode(sample)
    np.testing.assert_array_equal(layout.decode(content), sample)
    assert layout.encode(sample.copy()) == content


def test_a_sample_of_nothing_is_written_all_the_same():
    layout = ShardLayout((2, 40, 40), "float16", 16, "lz4")
    content = layout.encode(np.full((2, 40, 40), np.nan, np.float16))
    lengths = np.frombuffer(content, "<u8", 2 * 9).reshape(9, 2)[:, 1]
    assert (lengths > 0).all()


def test_a_shard_that_is_cut_short_is_an_error():
    with pytest.raises(DamagedData):
        LAYOUT.decode(CONTENT[: len(CONTENT) // 2])


def read_by_zarr(content: bytes) -> np.ndarray:
    """The sample, read by zarr-python from a store of one shard in memory."""
    memory: dict = {}
    array = zarr.create_array(
        MemoryStore(memory),
        shape=(1, *LAYOUT.shape),
        dtype=LAYOUT.dtype,
        chunks=LAYOUT.inner_chunk,
        shards={"shape": LAYOUT.shard_shape, "index_location": "start"},
        compressors=[BloscCodec(**LAYOUT.blosc), Crc32cCodec()],
        fill_value=np.nan,
    )
    memory["c/0/0/0/0"] = default_buffer_prototype().buffer.from_bytes(content)
    return array[0]


@settings(max_examples=300)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), reader=st.sampled_from(["tensorstore", "zarr"]))
def test_a_flipped_bit_is_an_error_in_every_reader(place, bit, reader):
    content = bytearray(CONTENT)
    content[int(place * len(content))] ^= 1 << bit
    with pytest.raises((DamagedData, ValueError)):
        if reader == "tensorstore":
            LAYOUT.decode(bytes(content))
        else:
            read_by_zarr(bytes(content))


def test_zarr_reads_what_was_written():
    np.testing.assert_array_equal(read_by_zarr(CONTENT), SAMPLE)
