"""A benchmark of the build at full size: corrstore, a plain process pool, and the script by hand.

Samples have 1600 x 2400 points and 24 targets, from 16-bit GRIB2.

Run: python -m benchmarks.build [--samples 16] [--folder /tmp/corrstore-bench]
"""

from __future__ import annotations

import argparse
import io
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from benchmarks.by_hand import build_by_hand
from benchmarks.made.full_size import full_size_archive
from corrstore.beam_pipelines.build import build
from corrstore.beam_pipelines.spreading.progress import Progress
from corrstore.beam_pipelines.spreading.spread import Runner, Task, spread
from corrstore.beam_pipelines.tasks import MeasureSample, WriteSample
from corrstore.datasets.grids.regrid import regridder
from corrstore.datasets.pairing.sample_plan import SamplePlan, sample_plans
from corrstore.datasets.recipe.recipe import Recipe
from corrstore.datasets.samples.preparation import prepare
from corrstore.datasets.samples.reading import read_reference
from corrstore.datasets.samples.sample import build_sample
from corrstore.datasets.statistics.counting import residual_statistics, stored_statistics
from corrstore.datasets.statistics.histograms import physical_edges, residual_edges
from corrstore.datasets.storage.folder import Folder, checksum
from corrstore.datasets.store.build_record import write_plans
from corrstore.datasets.store.constants import Constants, constants_from_records
from corrstore.datasets.store.layout import StorePlan
from corrstore.datasets.store.ledger import MEASUREMENTS, RECORDS
from corrstore.datasets.store.records import read_records, write_task_record

Spread = Callable[[Task, list[int], Folder, str], None]
QUIET = Console(file=io.StringIO())
WORKERS = 2


class Peak:
    """The largest resident memory of any child process, sampled ten times a second."""

    def __init__(self) -> None:
        self.bytes = 0
        self._done = threading.Event()

    def __enter__(self) -> Peak:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.1):
            for child in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):
                    self.bytes = max(self.bytes, child.memory_info().rss)


def in_a_pool(task: Task, indices: list[int], folder: Folder, place: str) -> None:
    """Do the task for every index in a plain process pool."""
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        for record in pool.map(task, indices):
            write_task_record(folder, record, place)


def on_beam(task: Task, indices: list[int], folder: Folder, place: str) -> None:
    """Do the task for every index on Beam's embedded runner."""
    spread(task, indices, folder, place, Runner(workers=WORKERS), Progress("", QUIET))


def both_passes(how: Spread, recipe: Recipe, folder: Folder, pairs: pa.Table) -> tuple[float, float, Constants]:
    """Return the seconds of the measuring and of the writing pass, and the constants."""
    indices = list(range(len(recipe.times)))
    write_plans(folder, pairs)
    started = time.perf_counter()
    how(MeasureSample(folder, recipe), indices, folder, MEASUREMENTS)
    measured = time.perf_counter()
    constants = constants_from_records(recipe, read_records(folder, MEASUREMENTS))
    how(WriteSample(folder, StorePlan(recipe, constants.normalisations)), indices, folder, RECORDS)
    return measured - started, time.perf_counter() - measured, constants


def split_of_one_sample(plan: StorePlan, sample_plan: SamplePlan) -> dict[str, float]:
    """Return the seconds of each step of one sample's second pass, in this process; the best of three."""
    seconds: dict[str, float] = {}

    def best_of_three(name: str, step: Callable[[], Any]) -> Any:
        times = []
        for _ in range(3):
            started = time.perf_counter()
            result = step()
            times.append(time.perf_counter() - started)
        seconds[name] = min(times)
        return result

    recipe = plan.recipe
    wanted = {(spec.source, name) for spec in recipe.specs.values() for name in spec.channels}
    terms = [term for key in wanted for term in sample_plan.fields[key]]
    raw = best_of_three("decode", lambda: [read_reference(term.reference, {}) for term in terms])
    fine = [(values, grid) for values, grid in raw if grid.shape[0] > 1000]
    coarse = [(values, grid) for values, grid in raw if grid.shape[0] < 1000]
    targets = len(recipe.channel_names("target"))

    def regrid() -> None:
        for values, grid in fine[:targets]:
            regridder(grid, plan.grid("target"))(values)
        for values, grid in coarse:
            regridder(grid, plan.grid("input"))(values)

    best_of_three("regrid", regrid)
    sample = build_sample(plan, sample_plan)
    physical = [
        each.decode_float32(field)
        for each, field in zip(plan.normalisations["target"], sample.stored["target"], strict=True)
    ]

    def normalise() -> None:
        for position, channel in enumerate(plan.channels("target")):
            normalisation, out = plan.normalisations["target"][position], sample.stored["target"][position]
            normalisation.encode(physical[position], recipe.store.dtype, out=out)
            stored_statistics(out, normalisation, physical_edges(channel.variable))
            if channel.name in recipe.channel_names("input"):
                index = recipe.channel_names("input").index(channel.name)
                low = plan.normalisations["input"][index].decode_float32(sample.stored["input"][index])
                up = regridder(plan.grid("input"), plan.grid("target"))(low)
                residual_statistics(out, normalisation, up, residual_edges(channel.variable))

    best_of_three("normalise and count", normalise)
    content = best_of_three("compress", lambda: plan.shard_layout("target").encode(sample.stored["target"]))

    def write() -> None:
        checksum(content)
        Folder("/tmp/corrstore-bench-write").write("shard", content)

    best_of_three("checksum and write", write)
    shutil.rmtree("/tmp/corrstore-bench-write")
    return seconds


def main() -> None:
    """Build the archive once, then measure everything in one run."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--samples", type=int, default=16)
    arguments.add_argument("--by-hand-samples", type=int, default=4)
    arguments.add_argument("--folder", type=Path, default=Path("/tmp/corrstore-bench"))
    options = arguments.parse_args()
    recipe = full_size_archive(options.folder / "archive", options.samples)
    preparation = prepare(recipe)
    samples = len(recipe.times)

    with Peak() as pool_peak:
        pool = both_passes(in_a_pool, recipe, Folder(str(options.folder / "pool")), preparation.pairs)
    shutil.rmtree(options.folder / "pool")
    with Peak() as beam_peak:
        beam = both_passes(on_beam, recipe, Folder(str(options.folder / "beam")), preparation.pairs)
    plan = StorePlan(recipe, beam[2].normalisations)
    sample_plan = next(each for each in sample_plans(preparation.pairs) if each.index == 0)
    split = split_of_one_sample(plan, sample_plan)
    shutil.rmtree(options.folder / "beam")
    started = time.perf_counter()
    build(recipe, Folder(str(options.folder / "store")), Runner(workers=WORKERS), QUIET)
    whole = (time.perf_counter() - started) / samples
    size = sum(path.stat().st_size for path in (options.folder / "store" / "target").rglob("*") if path.is_file())
    shutil.rmtree(options.folder / "store")
    files = sorted((options.folder / "archive" / "cma_rra").rglob("*.grib2"))[: options.by_hand_samples]
    by_hand = build_by_hand(files, options.folder / "by-hand.zarr", [200, 300, 500, 700, 850, 925]) / len(files)
    shutil.rmtree(options.folder / "by-hand.zarr")

    out = Console()
    table = Table("one sample on one core", "s", title="where the time goes", title_justify="left")
    for step, seconds in split.items():
        table.add_row(step, f"{seconds:.2f}")
    out.print(table)
    table = Table("", "s a sample", "ratio", title=f"{samples} samples, {WORKERS} processes", title_justify="left")
    pool_s, beam_s = (sum(each[:2]) / samples for each in (pool, beam))
    table.add_row("plain process pool, both passes", f"{pool_s:.2f}", "1")
    table.add_row("Beam, both passes", f"{beam_s:.2f}", f"{beam_s / pool_s:.2f} x the pool")
    table.add_row("corrstore build, everything", f"{whole:.2f}", "1")
    table.add_row(f"the script by hand ({len(files)} samples)", f"{by_hand:.2f}", f"{by_hand / whole:.1f} x corrstore")
    out.print(table)
    out.print(f"passes on Beam: measuring {beam[0] / samples:.2f} s, writing {beam[1] / samples:.2f} s a sample")
    out.print(
        f"peak memory of a worker: {beam_peak.bytes / 1e9:.2f} GB on Beam, {pool_peak.bytes / 1e9:.2f} GB in the pool"
    )
    out.print(f"size of a target shard: {size / samples / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
