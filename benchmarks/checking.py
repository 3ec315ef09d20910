"""A benchmark of checking: the CRC-32C of chunks in writing a sample, reading patches, and reading a forecast's fields.

Run: python -m benchmarks.checking [--side 800] [--repeats 15]

Everything is done with checksums and without, by turns, in this process, and the processor's time of the best turns is
compared: other work on the machine changes it little. The fields are SYNTHETIC: waves and noise, 24 channels.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorstore as ts
import zarr
from numcodecs import blosc
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.storage import MemoryStore

from benchmarks.loader import weather
from corrstore.datasets.storage.folder import checksum
from corrstore.datasets.store.shard import ShardLayout, assembled

CHANNELS, PATCH, PATCHES = 24, 448, 8
Step = Callable[[], object]


def seconds(step: Step) -> float:
    """Return the processor's time of a step, of all threads."""
    begin = time.process_time()
    step()
    return time.process_time() - begin


def compared(checked: Step, plain: Step, repeats: int) -> tuple[float, float]:
    """Return the seconds of both, each the best of its turns."""
    for step in (checked, plain):
        step()
    turns = [(seconds(checked), seconds(plain)) for _ in range(repeats)]
    first, second = zip(*turns, strict=True)
    return min(first), min(second)


def encoded_plainly(layout: ShardLayout, sample: NDArray[Any]) -> bytes:
    """Return the shard without checksums of its chunks."""
    return assembled([layout._compress(piece) for piece in layout._pieces(sample)])


def opened(layout: ShardLayout, content: bytes, checked: bool) -> ts.TensorStore:
    """Return the array of one sample in memory, to be read with checksums or without."""
    spec = layout._spec()
    codecs = spec["metadata"]["codecs"][0]["configuration"]["codecs"]
    spec["metadata"]["codecs"][0]["configuration"]["codecs"] = codecs if checked else codecs[:-1]
    array = ts.open(spec, context=ts.Context()).result()
    array.kvstore.write(b"c/0/0/0/0", content).result()  # type: ignore[union-attr]
    return array


def patches_of(array: ts.TensorStore, side: int) -> Step:
    """Return the reading of random patches, the same ones each time."""
    random = np.random.default_rng(0)
    places = random.integers(0, side - PATCH, (PATCHES, 2))

    def read() -> None:
        for top, left in places:
            array[0, :, top : top + PATCH, left : left + PATCH].read().result()

    return read


def field_of(field: NDArray[np.float32], checked: bool) -> Step:
    """Return the reading of a field as forecasts have it: one chunk of float32."""
    compressors = [BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle"), *([Crc32cCodec()] if checked else [])]
    array = zarr.create_array(
        MemoryStore(), shape=field.shape, chunks=field.shape, dtype="float32", compressors=compressors
    )
    array[:] = field
    return lambda: array[:]


def main() -> None:
    """Compare, and print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--side", type=int, default=800, help="points of a side of the domain")
    arguments.add_argument("--repeats", type=int, default=15)
    given = arguments.parse_args()
    shape = (CHANNELS, given.side, given.side)
    layout, sample = ShardLayout(shape, "float16", 80, "lz4"), weather(shape, 0).astype(np.float16)
    whole, plain = layout.encode(sample), encoded_plainly(layout, sample)
    blosc.use_threads = False
    rows = {
        "writing: compress and assemble": (lambda: layout.encode(sample), lambda: encoded_plainly(layout, sample)),
        "writing: the shard's SHA-256 too": (
            lambda: checksum(layout.encode(sample)),
            lambda: encoded_plainly(layout, sample),
        ),
        f"reading patches of {PATCH} x {PATCH}": (
            patches_of(opened(layout, whole, True), given.side),
            patches_of(opened(layout, plain, False), given.side),
        ),
        "reading a field of a forecast": (
            field_of(sample[0].astype(np.float32), True),
            field_of(sample[0].astype(np.float32), False),
        ),
    }
    table = Table("", "checked, ms", "not, ms", "ratio", title="the processor's time", title_justify="left")
    for name, (checked, unchecked) in rows.items():
        one, other = compared(checked, unchecked, given.repeats)
        table.add_row(name, f"{1000 * one:.1f}", f"{1000 * other:.1f}", f"{one / other:.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
