"""The writer of synthetic forecasts: CMA-GFS and CMA-MESO in GRIB2, SFF in Zarr."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.periods import format_time
from corrstore.datasets.synthetic.forecasts.cma_files import COLD_START, write_cma_file
from corrstore.datasets.synthetic.forecasts.models import ModelRun
from corrstore.datasets.synthetic.forecasts.sff_files import write_sff_group
from corrstore.datasets.synthetic.forecasts.spec import ForecastSpec, Run

MODELS = ("cma_gfs", "cma_meso", "sff")
_RUNS_OF_A_PROCESS = 4  # for fewer, a process takes longer to start than it saves
README = """
SYNTHETIC FORECASTS

The files below cma_gfs/, cma_meso/ and sff/ are forecasts of the same invented weather, with errors whose bias and
standard deviation are known functions of the lead (datasets/synthetic/forecasts/errors.py). They are in the encoding
and under the file names of CMA's models, and hold no data of these. Each GRIB message says so:
generatingProcessIdentifier 250, or 251 of a cold start, and "operational test products"; each Zarr group in its title.
What the runs lack on purpose is listed in forecast_faults.json.
"""


@dataclass(frozen=True)
class ForecastFault:
    """What a run lacks, or has twice: its kind, the archives, the start of the run, and the leads in hours."""

    kind: str
    archives: tuple[str, ...]
    init_time: str
    leads: tuple[int, ...]

    def __str__(self) -> str:
        leads = ", ".join(map(str, self.leads))
        return f"{self.kind}: the run of {self.init_time} in {', '.join(self.archives)}, leads {leads} h"


@dataclass(frozen=True)
class ForecastArchive:
    """The written forecasts: the files of each model by run and lead, and the faults, as in `forecast_faults.json`."""

    directory: Path
    spec: ForecastSpec
    files: tuple[Path, ...]
    faults: tuple[ForecastFault, ...]


def synthesise_forecasts(
    directory: Path,
    spec: ForecastSpec,
    on_file: Callable[[Path], None] = lambda path: None,
    processes: int = 1,
) -> ForecastArchive:
    """Write the forecasts of that specification below `directory` and return their files and faults.

    `cma_gfs/` and `cma_meso/` hold a file for each run and lead, `sff/` a Zarr group for each run. `on_file` is told
    each once it is complete. What a field is depends on the archive's seed and grid, the run and the lead alone.

    Raises BadInput where `directory` holds forecasts already. Forecasts that cannot be finished are removed.
    """
    for name in MODELS:
        if (directory / name).exists():
            raise BadInput(f"{directory / name} exists; remove it or name another folder for the synthetic forecasts")
    try:
        files = []
        for path in _written(directory, spec, processes):
            on_file(path)
            files.append(path)
    except BaseException:
        for name in MODELS:
            shutil.rmtree(directory / name, ignore_errors=True)
        raise
    faults = _faults(spec)
    with (directory / "README.txt").open("a", encoding="utf-8") as readme:
        readme.write(README)
    text = json.dumps([asdict(fault) for fault in faults], indent=2)
    (directory / "forecast_faults.json").write_text(f"{text}\n", encoding="utf-8")
    return ForecastArchive(directory, spec, tuple(files), faults)


def _written(directory: Path, spec: ForecastSpec, processes: int) -> Iterator[Path]:
    """Write the runs, in parallel where there are several processes, and yield the files in order."""
    runs = spec.written_runs
    workers = min(processes, len(runs) // _RUNS_OF_A_PROCESS)
    if workers < 2:
        for run in runs:
            yield from _write_run(directory, spec, run)
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        for paths in pool.map(_write_run, repeat(directory), repeat(spec), runs):
            yield from paths


def _write_run(directory: Path, spec: ForecastSpec, run: Run) -> list[Path]:
    streams = [("cma_gfs", ""), ("cma_meso", ""), *([("cma_meso", COLD_START)] if run.cold_start else [])]
    of_cma = [ModelRun(spec, model, run.init_time, stream) for model, stream in streams]
    sff = ModelRun(spec, "sff", run.init_time)
    paths, of_sff = [], []
    for lead in run.leads:  # all models at once, because the truth of a few valid times is cached
        paths += [write_cma_file(directory, each, lead) for each in of_cma]
        of_sff.append(sff.fields(lead))
    return [*paths, write_sff_group(directory, sff, run.leads, of_sff)]


def _faults(spec: ForecastSpec) -> tuple[ForecastFault, ...]:
    hours = tuple(spec.interval * n for n in range(1, spec.leads + 1))
    kept = {run.init_time: len(run.leads) for run in spec.written_runs}
    return tuple(
        ForecastFault(
            kind,
            ("cma_meso",) if kind == "cold_start" else MODELS,
            format_time(init_time),
            hours[kept[init_time] :] if kind == "cut_short" else hours,
        )
        for kind, init_time in spec.fault_runs.items()
    )
