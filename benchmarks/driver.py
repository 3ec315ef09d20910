"""A benchmark of the driver of a build: archives of tiny SYNTHETIC fields, of 24 targets, as many as they may become.

The work of the workers is left out: in its place each sample gets the record and the shards of the first one, under
its own name. Each size has a process of its own.

Run: python -m benchmarks.driver [--samples 504 8768] [--folder /tmp/corrstore-driver] [--profile]
"""

from __future__ import annotations

import argparse
import cProfile
import io
import os
import resource
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import patch

import eccodes
import numpy as np
from rich.console import Console
from rich.table import Table

from corrstore.beam_pipelines import build as building
from corrstore.beam_pipelines import verify as verifying
from corrstore.beam_pipelines.spreading.progress import Progress
from corrstore.beam_pipelines.spreading.spread import Runner, Task
from corrstore.catalog.tables.registration import register_store
from corrstore.datasets.archives.grib.handle import message_handle
from corrstore.datasets.recipe.files import load_recipe
from corrstore.datasets.recipe.recipe import Recipe
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.build_record import read_plan
from corrstore.datasets.store.opening import open_store
from corrstore.datasets.store.records import SampleRecord, write_task_record
from corrstore.datasets.synthetic import SyntheticSpec, synthesise
from corrstore.datasets.synthetic.cma_rra import file_name
from corrstore.datasets.synthetic.grib import messages_of

QUIET = Console(file=io.StringIO())
LEVELS = (200, 300, 500, 700, 850, 925)
DAY, HOUR = np.timedelta64(1, "D"), np.timedelta64(1, "h")
FIRST = np.datetime64("1985-01-01T03", "s")
A_DAY = 8  # samples
STEPS = ("build", "nothing to do", "verify", "register")


def tiny_archive(folder: Path, samples: int) -> Recipe:
    """Write archives of that many valid times, three hours apart, where there are none; returns their recipe."""
    days = -(-samples // A_DAY)
    if not folder.exists():
        spec = SyntheticSpec(FIRST, FIRST + DAY, north=32.71, west=102.49, shape=(16, 16), margin=2, levels=LEVELS)
        made = synthesise(folder / "day", spec)
        coarse = b"".join(file.read_bytes() for file in made.era5_files)
        fine = [file.read_bytes() for file in made.cma_rra_files]
        coarse_dates, fine_dates = _dates_in(coarse), [_dates_in(each) for each in fine]
        (folder / "era5").mkdir()
        for day in range(days):
            month = str((FIRST + day * DAY).astype("datetime64[M]"))
            with (folder / "era5" / f"{month}.grib").open("ab") as file:
                file.write(_later(coarse, coarse_dates, day))
            for place, (content, dates) in enumerate(zip(fine, fine_dates, strict=True)):
                path = folder / "cma_rra" / file_name(FIRST + day * DAY + 3 * place * HOUR)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(_later(content, dates, day))
    end = FIRST + 3 * samples * HOUR
    return load_recipe(
        "china_3km_sff",
        [
            *(f"sources.{name}.path={folder / name}" for name in ("era5", "cma_rra")),
            f"period={{start: {FIRST}, end: {end}, frequency: 3h}}",
            f"splits={{train: {{start: {FIRST}, end: {end}}}}}",
            "input.grid={north: 32.75, south: 32.25, west: 102.25, east: 103.0, step: 0.25}",
            "target.grid={north: 32.71, south: 32.26, west: 102.49, east: 102.94, step: 0.03}",
            "input.halo=1",
            "store.chunk=16",
        ],
    )


def _dates_in(file: bytes) -> list[tuple[int, np.datetime64, int]]:
    """Return the place of each date in the messages of a file, the date, and the edition that encodes it."""
    places, start = [], 0
    for message in messages_of(file):
        with message_handle(message) as handle:
            edition = eccodes.codes_get(handle, "edition")
            found = [20 if edition == 1 else 28]
            if edition == 2 and eccodes.codes_get(handle, "productDefinitionTemplateNumber") == 8:
                found.append(eccodes.codes_get(handle, "offsetSection4") + 34)
        for place in found:
            if edition == 1:
                year, month, day, century = (*message[place : place + 3], message[32])
                year += 100 * (century - 1)
            else:
                year, month, day = (int.from_bytes(message[place : place + 2]), *message[place + 2 : place + 4])
            places.append((start + place, np.datetime64(f"{year:04d}-{month:02d}-{day:02d}"), edition))
        start += len(message)
    return places


def _later(file: bytes, dates: list[tuple[int, np.datetime64, int]], days: int) -> bytes:
    """Return a file's messages with all dates that many days later."""
    out = bytearray(file)
    for place, date, edition in dates:
        later = (date + days * DAY).astype(object)
        if edition == 1:
            century = (later.year - 1) // 100 + 1
            out[place : place + 3] = bytes((later.year - 100 * (century - 1), later.month, later.day))
            out[place + 12] = century
        else:
            out[place : place + 4] = later.year.to_bytes(2) + bytes((later.month, later.day))
    return bytes(out)


def cpu_seconds() -> float:
    """Return the processor time of this process and of those that it has waited for: other work does not count."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


class Copies:
    """Stands in for the workers: it does the first task of each kind, and copies what that left for all others."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self, task: Task, indices: list[int], folder: Folder, place: str, *_: Runner | Progress) -> None:
        """Leave the records and shards of all samples; the time that takes is not the driver's."""
        started = cpu_seconds()
        if indices:
            first = task(indices[0])
            for index in indices:
                record = first if index == indices[0] else self._copy(task, first, index, folder, place)
                write_task_record(folder, record, place)
        self.seconds += cpu_seconds() - started

    def _copy(self, task: Task, first: object, index: int, folder: Folder, place: str) -> SampleRecord:
        assert isinstance(first, SampleRecord)
        axes = getattr(task, "plan", getattr(task, "recipe", None)).axes
        time = axes.valid_times[index]
        statistics = first.statistics
        if len(statistics):
            times = statistics["valid_time"]
            moved = np.full(len(statistics), time.astype("datetime64[ms]"))
            place_of = statistics.schema.get_field_index("valid_time")
            statistics = statistics.set_column(place_of, "valid_time", [moved.astype(times.type.to_pandas_dtype())])
            statistics = statistics.cast(first.statistics.schema)
        shards = [replace(each, key=task.plan.shard_key(each.role, index)) for each in first.shards]
        for old, new in zip(first.shards, shards, strict=True):
            target = Path(folder.path(new.key))
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                os.link(folder.path(old.key), target)
        terms = read_plan(folder, index).terms if len(first.terms) and place.endswith("records") else first.terms
        return replace(first, index=index, valid_time=time, statistics=statistics, shards=shards, terms=terms)


def measured(folder: Path, samples: int, profile: bool) -> dict[str, tuple[float, float]]:
    """Return the CPU seconds, and the MB of memory above those of the imports, of each step of the driver."""
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    recipe = tiny_archive(folder / "archive", samples)
    store = Folder(str(folder / "store"))
    shutil.rmtree(folder / "store", ignore_errors=True)
    shutil.rmtree(folder / "catalog", ignore_errors=True)
    found: dict[str, tuple[float, float]] = {}
    copies = Copies()

    @contextmanager
    def step(name: str) -> Iterator[None]:
        profiler = cProfile.Profile(time.process_time) if profile else None
        started, copied = cpu_seconds(), copies.seconds
        if profiler:
            profiler.enable()
        yield
        if profiler:
            profiler.disable()
            profiler.dump_stats(folder / f"{name.replace(' ', '-')}.profile")
        seconds = cpu_seconds() - started - (copies.seconds - copied)
        found[name] = (seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)
        print(f"{samples} {name}: {found[name][0]:.2f} s, {found[name][1]:.0f} MB", flush=True)

    runner = Runner(workers=1)
    with patch.object(building, "spread", copies), patch.object(verifying, "spread", copies):
        found["start"] = (0.0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)
        with step("build"):
            building.build(recipe, store, runner, QUIET)
        with step("nothing to do"):
            assert building.build(recipe, store, runner, QUIET).written == 0
        with step("verify"):
            verifying.verify(open_store(store.url), runner, QUIET)
        with step("register"):
            register_store(str(folder / "catalog"), store.url)
    below = list((folder / "store").rglob("*"))
    found["files"] = (sum(path.is_file() for path in below) / samples, sum(path.is_dir() for path in below) / samples)
    return found


def _send(measure: Callable[..., dict[str, tuple[float, float]]], connection: object, *arguments: object) -> None:
    connection.send(measure(*arguments))  # type: ignore[attr-defined]


def main() -> None:
    """Measure each size in a process of its own, and print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--samples", type=int, nargs="+", default=[504, 8768])
    arguments.add_argument("--folder", type=Path, default=Path("/tmp/corrstore-driver"))
    arguments.add_argument("--profile", action="store_true", help="leave profiles beside the archives")
    given = arguments.parse_args()
    table = Table(
        "samples", *STEPS, "ms a sample", "kB a sample", "files", "folders", title="the driver, in CPU seconds"
    )
    for samples in given.samples:
        ours, theirs = get_context("spawn").Pipe()
        process = get_context("spawn").Process(
            target=_send, args=(measured, theirs, given.folder / str(samples), samples, given.profile)
        )
        process.start()
        found = ours.recv()
        process.join()
        whole = sum(found[name][0] for name in STEPS)
        most = max(found[name][1] for name in STEPS) - found["start"][1]
        table.add_row(
            str(samples),
            *(f"{found[name][0]:.1f}" for name in STEPS),
            f"{1000 * whole / samples:.2f}",
            f"{1000 * most / samples:.0f}",
            *(f"{number:.2f}" for number in found["files"]),
        )
    Console().print(table)


if __name__ == "__main__":
    main()
