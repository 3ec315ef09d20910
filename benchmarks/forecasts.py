"""A benchmark of a store of forecasts: a month of CMA-GFS is planned, and a part of it built.

31 runs x 24 leads of 37 input channels over China at 0.25 degree, from SYNTHETIC GRIB2: one lead is synthesised, the
others are copies of it at other dates and leads. Beside it, the script by hand: cfgrib, xarray, `to_zarr`.

Run: python -m benchmarks.forecasts [--runs 31] [--built 2] [--folder /tmp/corrstore-bench-forecasts]
"""

from __future__ import annotations

import argparse
import io
import shutil
import time
import warnings
from pathlib import Path

import cfgrib
import eccodes
import numpy as np
import xarray as xr
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from corrstore.beam_pipelines.build import build
from corrstore.beam_pipelines.plan import plan
from corrstore.beam_pipelines.spreading.spread import Runner
from corrstore.datasets.recipe.files import load_recipe
from corrstore.datasets.recipe.recipe import Recipe, recipe_from
from corrstore.datasets.samples.preparation import prepare
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.synthetic import ForecastSpec, SyntheticSpec
from corrstore.datasets.synthetic.forecasts.cma_files import write_cma_file
from corrstore.datasets.synthetic.forecasts.models import ModelRun

FIRST = np.datetime64("2020-07-01T00", "s")
HOUR, DAY = np.timedelta64(1, "h"), np.timedelta64(1, "D")
LEVELS = (200, 300, 500, 700, 850, 925)
LEADS = range(3, 73, 3)
BY_HAND = 4


def month(folder: Path, runs: int) -> Path:
    """Write that many daily runs of 24 leads, unless they are there."""
    archive = folder / "cma_gfs"
    if archive.exists():
        return archive
    end = FIRST + 2 * DAY
    spec = SyntheticSpec(FIRST, end, frequency=3, north=60.10, west=70.0, shape=(1600, 2400), levels=LEVELS)
    run = ModelRun(ForecastSpec(spec, runs=1, leads=1, every=3, start=FIRST), "cma_gfs", FIRST)
    template = write_cma_file(folder / "template", run, np.timedelta64(3, "h"))
    for number in range(runs):
        for lead in LEADS:
            init = str(FIRST + number * DAY)
            name = f"gmf.gra.{init[:10].replace('-', '')}00{lead:03}.grb2"
            copy_at(template, archive / init[:10] / name, int(init[:10].replace("-", "")), lead)
    return archive


def copy_at(template: Path, copy: Path, date: int, lead: int) -> None:
    """Copy the messages with another date and lead in hours."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    with template.open("rb") as messages, copy.open("wb") as out:
        while (handle := eccodes.codes_grib_new_from_file(messages)) is not None:
            instant = eccodes.codes_get(handle, "stepType") == "instant"
            eccodes.codes_set(handle, "dataDate", date)
            eccodes.codes_set(handle, "stepRange", str(lead) if instant else f"0-{lead}")
            eccodes.codes_write(handle, out)
            eccodes.codes_release(handle)


def recipe_of(archive: Path, runs: int) -> Recipe:
    """Return the recipe of a store of inputs: the paper's 37 channels, constants from the first run."""
    content = load_recipe("china_3km_sff").content
    del content["period"], content["target"]
    last = FIRST + runs * DAY
    return recipe_from(
        {
            **content,
            "forecast": {
                "inits": {"start": str(FIRST), "end": str(last), "hours": [0]},
                "leads": {"first": "3h", "last": "72h"},
            },
            "splits": {"train": {"start": str(FIRST + 3 * HOUR), "end": str(FIRST + DAY)}},
            "sources": {"gfs": {"type": "cma_gfs", "path": str(archive)}},
            "input": {**content["input"], "source": "gfs"},
            "static": [],
            "floors": {"tp": 0},
        }
    )


def by_hand(files: list[Path], output: Path, recipe: Recipe) -> float:
    """Return the seconds in which cfgrib, xarray and `to_zarr` make an interpolated float32 Zarr of these files."""
    warnings.simplefilter("ignore")
    started = time.perf_counter()
    grid = recipe.specs["input"].store_grid
    times = []
    for file in files:
        parts = cfgrib.open_datasets(str(file), backend_kwargs={"indexpath": ""})
        on_grid = [part.interp(latitude=grid.lat, longitude=grid.lon) for part in parts]
        on_grid = [part.drop_vars(set(part.coords) - set(part.dims)) for part in on_grid]
        times.append(
            xr.merge([part.drop_vars(set(part.coords) - set(part.dims)) for part in on_grid], compat="override")
        )
    stack = xr.concat(times, "time").astype("float32").drop_encoding()
    stack.chunk({"time": 1}).to_zarr(output, mode="w", zarr_format=3, consolidated=False)
    return time.perf_counter() - started


def main() -> None:
    """Print what the plan says of the whole month, what a part of it took, and the script by hand."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--runs", type=int, default=31)
    arguments.add_argument("--built", type=int, default=2)
    arguments.add_argument("--folder", type=Path, default=Path("/tmp/corrstore-bench-forecasts"))
    options = arguments.parse_args()
    archive = month(options.folder, options.runs)
    started = time.perf_counter()
    whole = plan(recipe_of(archive, options.runs))
    planning = time.perf_counter() - started
    started_of_core = time.process_time()
    prepare(recipe_of(archive, options.built))
    preparing = time.process_time() - started_of_core
    part = recipe_of(archive, options.built)
    store = options.folder / "store"
    shutil.rmtree(store, ignore_errors=True)
    started, started_of_core = time.perf_counter(), time.process_time()
    samples = build(part, Folder(str(store)), Runner(workers=1), Console(file=io.StringIO())).written
    seconds = (time.perf_counter() - started) / samples
    of_core = (time.process_time() - started_of_core - preparing) / samples
    size = sum(path.stat().st_size for path in (store / "input").rglob("*") if path.is_file()) / samples
    files = sorted(archive.rglob("*.grb2"))[:BY_HAND]
    hand = by_hand(files, options.folder / "by-hand.zarr", part) / len(files)
    title = "37 channels of CMA-GFS over China"
    table = Table("", "samples", "bytes", "s a sample", "of one core", "ratio", title=title)
    planned = whole.hours_of_one_core * 3600 / whole.samples
    table.add_row("the month, as planned", str(whole.samples), decimal(whole.bytes), f"{planned:.2f}", "", "")
    table.add_row("a part, built", str(samples), decimal(int(size * samples)), f"{seconds:.2f}", f"{of_core:.2f}", "1")
    table.add_row("the month by that part", str(whole.samples), decimal(int(size * whole.samples)), "", "", "")
    table.add_row("the script by hand", str(len(files)), "", f"{hand:.2f}", "", f"{hand / seconds:.1f} x corrstore")
    Console(width=120).print(table)
    Console(width=120).print(
        f"planning took {planning:.1f} s; before the first sample a build needs {preparing:.1f} s of one core, which is"
        f" not counted there, whatever is built; a worker needs {decimal(whole.cost.peak_bytes)}"
    )


if __name__ == "__main__":
    main()
