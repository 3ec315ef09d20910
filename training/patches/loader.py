"""The loader: patches straight from a store, read ahead of the step that uses them.

Reads are tensorstore's (of zarr-python, zarrs and tensorstore the fastest, see benchmarks/loader.py). Its own threads
read and decompress without the GIL, so no worker processes are needed. Where a process of its own is wanted, spawn it:
after a fork those threads are gone and the first read waits for ever.
"""

from __future__ import annotations

import os
import time
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

import numpy as np
import tensorstore as ts
import torch
from numpy.typing import NDArray
from torch import Tensor

from corrstore.datasets.errors import BadInput, DamagedData
from corrstore.datasets.recipe.parts import ROLES, StoredRole
from corrstore.datasets.recipe.periods import parse_period
from corrstore.datasets.storage.key_values import cache_spec
from corrstore.datasets.store.opening import Store
from corrstore.training.patches.patches import Draw, Geometry, Patch, PatchOrder
from corrstore.training.run_config import PRESETS, RunConfig

Span = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Batch:
    """Patches at positions [first, first + len(draws)) of an order, as stored: normalised, in the store's type.

    `input` (batch, channels, rows, columns) are the windows under the patches; `target` (batch, channels, height,
    width). They lie on the CPU, in pinned memory where the loader pins.
    """

    first: int
    draws: list[Draw]
    input: Tensor
    target: Tensor

    @property
    def patches(self) -> list[Patch]:
        """The patches of the batch."""
        return [draw.patch for draw in self.draws]


class Loader:
    """Batches of an order, `prefetch` of them under way ahead of the one in use.

    Only the inner chunks under a patch, and under its window of the input, are read. It counts what it did:
    `patches`, seconds `waited` for reads, bytes of decoded chunks `bytes_read` and of patches `bytes_used`.
    """

    def __init__(self, store: Store, order: PatchOrder, prefetch: int = 2, pin: bool = False) -> None:
        self.store, self.order, self.prefetch, self.pin = store, order, prefetch, pin
        self.geometry = Geometry(store.grid("input"), store.grid("target"))
        self.cost = ReadCost(store, self.geometry)
        self.arrays = {role: _complete(array, store) for role, array in store.arrays.items()}
        self.buffers = BufferPool()
        self._looked_at: set[int] = set()
        self.patches, self.waited, self.bytes_read, self.bytes_used = 0, 0.0, 0, 0

    def batches(self, spans: Iterable[Span]) -> Iterator[Batch]:
        """Yield the batches of these position spans [start, stop); raise DamagedData where a shard cannot be read."""
        spans = iter(spans)
        under_way = deque(self._start_reads(span) for span in islice(spans, self.prefetch))
        while True:
            asked = time.perf_counter()
            under_way.extend(self._start_reads(span) for span in islice(spans, 1))
            if not under_way:
                return
            batch = self._finish_reads(*under_way.popleft())
            self.waited += time.perf_counter() - asked
            yield batch

    def _start_reads(self, span: Span) -> tuple[Batch, list[Any]]:
        draws = self.order.draws(*span)
        if self.store.folder.is_local:  # tensorstore would wait for a pipe for ever, and takes another sample's shard
            for role, sample in product(ROLES, {draw.sample for draw in draws} - self._looked_at):
                self.store.check_shard(role, sample)
            self._looked_at.update(draw.sample for draw in draws)
        windows = [self.geometry.window(draw.patch) for draw in draws]
        batch = Batch(
            span[0],
            draws,
            self._empty("input", len(draws), windows[0]),
            self._empty("target", len(draws), draws[0].patch),
        )
        with ts.Batch() as together:
            reads = [
                self._read("input", draw.sample, window, batch.input[i], together)
                for i, (draw, window) in enumerate(zip(draws, windows, strict=True))
            ] + [
                self._read("target", draw.sample, draw.patch, batch.target[i], together) for i, draw in enumerate(draws)
            ]
        return batch, reads

    def _empty(self, role: StoredRole, count: int, patch: Patch) -> Tensor:
        array = self.arrays[role]
        shape = count, array.shape[-3], patch.height, patch.width
        if self.pin:
            return torch.empty(shape, dtype=getattr(torch, array.dtype.name), pin_memory=True)
        return torch.from_numpy(self.buffers.array(shape, array.dtype.numpy_dtype))

    def _read(self, role: StoredRole, sample: int, patch: Patch, into: Tensor, together: ts.Batch) -> Any:
        place: tuple[int | slice, ...] = self.store.axes.position(sample)
        source = self.arrays[role][(*place, slice(None), *patch.slices)]
        return ts.array(into.numpy(), write=True).write(source, batch=together)

    def _finish_reads(self, batch: Batch, reads: list[Any]) -> Batch:
        for position, read in enumerate(reads):
            try:
                read.result()
            except ValueError as error:
                sample = batch.draws[position % len(batch.draws)].sample
                raise DamagedData(
                    f"sample {sample} ({self.store.axes.label(sample)}) of {self.store.folder.url} cannot be"
                    f" read: {str(error).splitlines()[0]}; run `corrstore verify` on the store"
                ) from None
        self.patches += len(batch.draws)
        for draw in batch.draws:
            read_, used = self.cost.bytes_read_and_used(draw.patch)
            self.bytes_read, self.bytes_used = self.bytes_read + read_, self.bytes_used + used
        return batch


class BufferPool:
    """Memory that is used again when no array holds it: fresh pages cost a third of a read's time."""

    def __init__(self) -> None:
        self._free: dict[int, list[NDArray[np.uint8]]] = {}

    def __reduce__(self) -> tuple[type[BufferPool], tuple[()]]:
        return BufferPool, ()

    def array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return an array of any content, whose memory comes back to the pool when the array is collected."""
        size = int(np.prod(shape)) * dtype.itemsize
        free = self._free.setdefault(size, [])
        memory = free.pop() if free else np.empty(size, np.uint8)
        array = memory.view(dtype).reshape(shape)
        weakref.finalize(array, free.append, memory).atexit = False
        return array


def _complete(array: ts.TensorStore, store: Store) -> ts.TensorStore:
    """The array, an absent chunk of which is an error, not NaN."""
    decoders = {"data_copy_concurrency": {"limit": (os.cpu_count() or 1) + 1}}  # one may wait for a file
    strict = {**array.spec().to_json(), "fill_missing_data_reads": False, "recheck_cached_data": "open"}
    context = ts.Context({**decoders, **cache_spec(store.folder)})
    return ts.open(strict, open=True, read=True, context=context).result()


class ReadCost:
    """The bytes that are read for a patch and its window of the input."""

    def __init__(self, store: Store, geometry: Geometry) -> None:
        self.geometry = geometry
        self.layouts = {role: store.plan.shard_layout(role) for role in ROLES}

    def bytes_read_and_used(self, patch: Patch) -> tuple[int, int]:
        """Bytes of the inner chunks that a patch and its window touch, decoded; and of patch and window alone."""
        read = used = 0
        for role, part in zip(ROLES, (self.geometry.window(patch), patch), strict=True):
            layout = self.layouts[role]
            pixel = layout.shape[0] * np.dtype(layout.dtype).itemsize
            _, _, high, wide = layout.inner_chunk
            rows, columns = (
                (part.top + part.height - 1) // high - part.top // high + 1,
                (part.left + part.width - 1) // wide - part.left // wide + 1,
            )
            read += rows * high * columns * wide * pixel
            used += part.height * part.width * pixel
        return read, used


def split_order(store: Store, split: str, config: RunConfig) -> PatchOrder:
    """Return the order in which a run takes the patches of a split, in the train split those of the config's period.

    Raises BadInput where the split is not there, does not hold the period, or has no valid sample.
    """
    intervals = store.recipe.splits.intervals
    if split not in intervals:
        raise BadInput(f"{store.folder.url} has no split {split!r}; its recipe names {', '.join(intervals) or 'none'}")
    wanted = intervals[split]
    if split == "train" and config.period is not None:
        wanted = parse_period(config.period)
        if not intervals[split].holds(wanted):
            raise BadInput(
                f"the period {wanted} is not inside the train split {intervals[split]} of {store.folder.url};"
                " ask for a part of it, or take a store whose train split holds the period"
            )
    inside = wanted.mask(store.times)
    samples = np.flatnonzero(inside & store.valid)
    skipped = int(inside.sum()) - samples.size
    if samples.size == 0:
        raise BadInput(
            f"the split {split!r} of {store.folder.url} has no valid sample in {wanted} ({skipped} are not valid)"
        )
    geometry = Geometry(store.grid("input"), store.grid("target"))
    patch = _patch(geometry, config)
    return PatchOrder(samples, geometry.domain, patch, config.patches_per_sample, config.seed, skipped)


def _patch(geometry: Geometry, config: RunConfig) -> Patch:
    """Return the config's patch at the origin; raise BadInput, with settings that fit, where the grid is smaller."""
    _, _, *grid = geometry.domain
    height, width = config.patch or grid
    if height > grid[0] or width > grid[1]:
        presets = {
            name: settings.get("patch", RunConfig.model_fields["patch"].default) for name, settings in PRESETS.items()
        }
        fits = [
            f"--preset {name} (patch {patch[0]} x {patch[1]})"
            for name, patch in presets.items()
            if patch[0] <= grid[0] and patch[1] <= grid[1]
        ]
        largest = [side - side % config.stride for side in (min(height, grid[0]), min(width, grid[1]))]
        raise BadInput(
            f"patch {height} x {width} does not fit the target grid of {grid[0]} x {grid[1]}; give"
            f" {' or '.join([*fits, f'--set patch=[{largest[0]},{largest[1]}]'])}"
        )
    return Patch(0, 0, height, width)
