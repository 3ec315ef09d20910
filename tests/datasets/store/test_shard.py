"""A shard's bytes, read back by libraries that know nothing of how they were written."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corrstore.datasets.errors import DamagedData
from corrstore.datasets.store.shard import ShardLayout


@settings(max_examples=60, deadline=None)
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


@pytest.mark.parametrize("place", [3, 150, 600])
def test_damage_is_an_error(place):
    layout = ShardLayout((2, 40, 40), "float16", 16, "lz4")
    content = bytearray(layout.encode(np.random.default_rng(0).normal(size=(2, 40, 40)).astype(np.float16)))
    content[place] ^= 0xFF
    if place == 3:  # in the index, which has a checksum; the chunks' own is the ledger's SHA-256
        with pytest.raises(DamagedData, match="does not decode"):
            layout.decode(bytes(content))
    with pytest.raises(DamagedData):
        layout.decode(bytes(content[: len(content) // 2]))
