"""A benchmark of reading 448 x 448 patches of 24 channels: corrstore's loader, zarr-python, zarrs, and xarray.

Run: python -m benchmarks.loader [--folder /tmp/corrstore-loader] [--patches 256]

The store is SYNTHETIC: 40 times of 1600 x 2400, of which 8 have fields of their own (waves and noise) and the others
are links to them. Beside it lies what a user's own script would write: a float32 array a variable, chunks of 256 x 256,
two times. Every reader has a process of its own and reads random patches from the page cache.
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
import zarr
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader, Dataset

from corrstore.datasets.recipe.files import load_recipe
from corrstore.datasets.recipe.parts import ROLES
from corrstore.datasets.samples.probe import peak_bytes
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.layout import StorePlan, stored_normalisation
from corrstore.datasets.store.metadata import metadata_objects
from corrstore.datasets.store.opening import Store, open_store
from corrstore.training.patches.loader import Loader, split_order
from corrstore.training.patches.meter import throughput
from corrstore.training.patches.patches import Draw
from corrstore.training.run_config import run_config

TIMES, OWN_TIMES, SCRIPT_TIMES = 40, 8, 2
BATCH = 4
WARM_UP = 5
STEP_SECONDS = 0.1
CONFIG = run_config("regression", "small", {"micro_batch": BATCH, "batch": BATCH, "patch": (448, 448)})
Reader = Callable[[Path, int], tuple[int, float]]


def write_store(folder: Path) -> None:
    """Write the store, its shards encoded as by the build."""
    span = "{start: 2018-01-01, end: 2018-01-06}"
    recipe = load_recipe("china_3km_sff", [f"period={span[:-1]}, frequency: 3h}}", f"splits={{train: {span}}}"])
    roles = {role: [stored_normalisation("identity", 0.0, 1.0) for _ in recipe.channels[role]] for role in ROLES}
    plan, target = StorePlan(recipe, roles), Folder(str(folder))
    for role, index in itertools.product(ROLES, range(OWN_TIMES)):
        layout = plan.shard_layout(role)
        content = layout.encode(weather(layout.shape, index).astype(layout.dtype))
        for copy in range(index, TIMES, OWN_TIMES):
            if copy == index:
                target.write(plan.shard_key(role, index), content)
            else:
                (folder / plan.shard_key(role, copy)).parent.mkdir(parents=True, exist_ok=True)
                os.link(folder / plan.shard_key(role, index), folder / plan.shard_key(role, copy))
    static = np.zeros((len(recipe.static), *plan.grid("target").shape), np.float32)
    for key, content in metadata_objects(plan, np.ones(TIMES, bool), static, "").items():
        target.write(key, content)


def write_scripts_store(folder: Path, store: Store) -> None:
    """Write a float32 array a variable, as `Dataset.to_zarr` does when only the chunks are given."""
    names = [channel.name for channel in store.plan.channels("target")]
    times = [store.stored("target", index).astype(np.float32) for index in range(SCRIPT_TIMES)]
    fields = {
        name: (("time", "lat", "lon"), np.stack(each))
        for name, each in zip(names, zip(*times, strict=True), strict=True)
    }
    encoding = {name: {"chunks": (1, 256, 256)} for name in names}
    xr.Dataset(fields).to_zarr(folder, zarr_format=3, consolidated=False, encoding=encoding)


def weather(shape: tuple[int, int, int], seed: int) -> np.ndarray:
    """Return waves with noise of a tenth of their size."""
    channels, height, width = shape
    random = np.random.default_rng(seed)
    y, x = np.linspace(0, 20, height, dtype=np.float32)[:, None], np.linspace(0, 30, width, dtype=np.float32)
    fields = np.empty(shape, np.float32)
    for channel in range(channels):
        fields[channel] = np.sin(y + channel + seed) * np.cos(x - channel)
        fields[channel] += 0.1 * random.standard_normal((height, width), dtype=np.float32)
    return fields


def our_loader(folder: Path, patches: int) -> tuple[int, float]:
    """Read input windows and targets by `corrstore.training.patches.loader.Loader`."""
    store = open_store(str(folder / "store"))
    loader = Loader(store, split_order(store, "train", CONFIG), CONFIG.prefetch)
    batches = loader.batches((start, start + BATCH) for start in itertools.count(0, BATCH))
    return timed(itertools.repeat(BATCH), lambda _: next(batches), patches)


def zarr_python(folder: Path, patches: int) -> tuple[int, float]:
    """Read input windows and targets of the same store by zarr-python 3 and its own codecs."""
    store = open_store(str(folder / "store"))
    loader = Loader(store, split_order(store, "train", CONFIG))

    def read(draw: Draw) -> None:
        for role, part in zip(ROLES, (loader.geometry.window(draw.patch), draw.patch), strict=True):
            _ = store.group[role][(draw.sample, slice(None), *part.slices)]  # type: ignore[index]

    return timed(loader.order.draws(0, patches + WARM_UP), read, patches, each=1)


def zarrs(folder: Path, patches: int) -> tuple[int, float]:
    """Read by zarr-python with zarrs as its codec pipeline."""
    zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})
    return zarr_python(folder, patches)


class XarrayPatches(Dataset[Any]):
    """A dataset of random patches of the script's store, read by xarray."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __len__(self) -> int:
        return 10_000

    @cached_property
    def opened(self) -> xr.Dataset:
        """The store, opened once in each worker."""
        return xr.open_zarr(self.folder, consolidated=False)

    def __getitem__(self, index: int) -> torch.Tensor:
        random = np.random.default_rng(index)
        top, left = random.integers(1600 - 448), random.integers(2400 - 448)
        part = self.opened.isel(time=index % SCRIPT_TIMES, lat=slice(top, top + 448), lon=slice(left, left + 448))
        return torch.from_numpy(part.to_array().values)


def xarray_dataloader(folder: Path, patches: int, workers: int = 0) -> tuple[int, float]:
    """Read the script's store by xarray in a torch DataLoader; a quarter of the patches."""
    source = XarrayPatches(folder / "script.zarr")
    loading = DataLoader(source, BATCH, num_workers=workers, multiprocessing_context="spawn" if workers else None)
    batches = iter(loading)
    return timed(itertools.repeat(BATCH), lambda _: next(batches), patches // 4)


def timed(items: Any, read: Callable[[Any], object], patches: int, each: int = BATCH) -> tuple[int, float]:
    """Return patches and seconds after some unmeasured reads; `each` read gives that many patches."""
    items = iter(items)
    for _ in range(WARM_UP):
        read(next(items))
    started = time.perf_counter()
    for _ in range(0, patches, each):
        read(next(items))
    return patches, time.perf_counter() - started


def in_a_process(answers: Any, reader: Reader, folder: Path, patches: int) -> None:
    """Put the patches a second and the peak memory in MB of this process on the queue."""
    count, seconds = reader(folder, patches)
    answers.put((count / seconds, peak_bytes() / 1e6))


def measured(reader: Reader, folder: Path, patches: int) -> tuple[float, float]:
    """Return a reader's result, measured in a spawned process of its own."""
    context = get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=in_a_process, args=(answers, reader, folder, patches))
    process.start()
    answer = answers.get()
    process.join()
    return answer


def stall(folder: Path) -> None:
    """Print the time of an accelerator's step, which leaves the CPU idle, with the loader and without."""
    store = open_store(str(folder / "store"))
    loader = Loader(store, split_order(store, "train", CONFIG), CONFIG.prefetch)

    def step(batches: Iterator[Any]) -> None:
        next(batches)
        time.sleep(STEP_SECONDS)

    spans = ((start, start + BATCH) for start in itertools.count(0, BATCH))
    found = throughput(loader, spans, step, per_step=1, steps=30)
    Console().print(f"\na step of {STEP_SECONDS * 1000:.0f} ms for {BATCH} patches")
    for name, fact in found.facts.items():
        Console().print(f"  {name:<28} {fact}", highlight=False)


def main() -> None:
    """Write the stores that do not exist yet, measure, and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--folder", type=Path, default=Path("/tmp/corrstore-loader"))
    arguments.add_argument("--patches", type=int, default=256)
    given = arguments.parse_args()
    if not (given.folder / "store" / "zarr.json").exists():
        write_store(given.folder / "store")
    if not (given.folder / "script.zarr").exists():
        write_scripts_store(given.folder / "script.zarr", open_store(str(given.folder / "store")))
    readers = {
        "corrstore (tensorstore)": our_loader,
        "zarr-python": zarr_python,
        "zarr-python with zarrs": zarrs,
        "xarray + DataLoader, the script's store": xarray_dataloader,
        "the same with 2 workers": partial(xarray_dataloader, workers=2),
    }
    rates = {name: measured(reader, given.folder, given.patches) for name, reader in readers.items()}
    ours = next(iter(rates.values()))[0]
    table = Table("reader", "patches/s", "corrstore is faster", "peak MB of a process")
    for name, (rate, peak) in rates.items():
        table.add_row(name, f"{rate:.2f}", f"{ours / rate:.1f} x", f"{peak:.0f}")
    Console().print(table)
    stall(given.folder)


if __name__ == "__main__":
    main()
