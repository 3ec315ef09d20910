"""The writer of a synthetic archive: monthly ERA5 files, one CMA-RRA file per valid time, and their faults."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np

from corrstore.datasets.errors import BadInput, writing
from corrstore.datasets.grids.fields import FieldArray
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.storage.ownership import one_writer
from corrstore.datasets.synthetic.cma_rra import CmaRra, file_name, init_time_of
from corrstore.datasets.synthetic.domain import domain_of
from corrstore.datasets.synthetic.era5 import Era5
from corrstore.datasets.synthetic.faults import Fault, FaultMaker
from corrstore.datasets.synthetic.grib import SyntheticMessage
from corrstore.datasets.synthetic.spec import RUN_HOURS, SyntheticSpec
from corrstore.datasets.synthetic.weather.weather import Weather

_HOUR = np.timedelta64(1, "h")
ARCHIVES = ("era5", "cma_rra")
_POINTS_OF_A_PROCESS = 100_000  # for fewer, a process takes longer to start than it saves
README = """SYNTHETIC DATA

The files in this folder are GRIB files of weather that never happened over a land that does not exist. They were
made by corrstore (datasets/synthetic) to try and to test it, in the encoding of ECMWF's ERA5 (era5/) and of CMA's
3 km reanalysis (cma_rra/), and hold no data of either. Each message says so: generatingProcessIdentifier 250, and
"operational test products" in cma_rra/. Faults made on purpose are listed in faults.json.
"""


@dataclass(frozen=True)
class SyntheticArchive:
    """A written archive: its files in the order of their first valid time, and its faults, as in `faults.json`."""

    directory: Path
    spec: SyntheticSpec
    era5_files: tuple[Path, ...]
    cma_rra_files: tuple[Path, ...]
    faults: tuple[Fault, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """All GRIB files."""
        return self.era5_files + self.cma_rra_files


@contextmanager
def made_whole(directory: Path, names: tuple[str, ...]) -> Iterator[None]:
    """Let the block make folders of these names; what a process that was killed has left of them is removed first.

    Folders that are there otherwise are left alone. Raises InUse where another process makes them.
    """
    mark, folders = directory / "unfinished", [directory / name for name in names]
    with one_writer(Folder(str(directory)), "", "makes SYNTHETIC archives"), writing(directory):
        for folder in folders if mark.exists() else ():
            shutil.rmtree(folder, ignore_errors=True)
        if any(folder.exists() for folder in folders):
            yield
            return
        mark.write_text("these archives are being made, or their making was stopped\n", encoding="utf-8")
        try:
            yield
        finally:
            mark.unlink()


class HourlyMessages(NamedTuple):
    """The messages of one hour of the coarse archive and, at a valid time, those of the fine file."""

    hour: np.datetime64
    coarse: list[SyntheticMessage]
    fine: list[SyntheticMessage]


def synthesise(
    directory: Path,
    spec: SyntheticSpec,
    on_file: Callable[[Path], None] = lambda path: None,
    processes: int = 1,
) -> SyntheticArchive:
    """Write the archive of that specification below `directory` and return its files and faults.

    `era5/` holds for each valid time the instantaneous fields and tp of each of the `spec.frequency` hours that end
    there, of which the first ones may lie before `spec.start`; `cma_rra/` a file per valid time. `on_file` is told
    each file once it is complete. What a field is depends on the seed, the grid and its valid time alone, not on the
    number of `processes`; in its last digit also on numpy, which before 2.3 sums float32 in another order.

    Raises BadInput where `directory` holds an archive already. One that cannot be finished is removed.
    """
    for name in ARCHIVES:
        if (directory / name).exists():
            raise BadInput(f"{directory / name} exists; remove it or name another folder for the synthetic archive")
    try:
        return _write(directory, spec, on_file, processes)
    except BaseException:
        for name in ARCHIVES:
            shutil.rmtree(directory / name, ignore_errors=True)
        raise


def _write(directory: Path, spec: SyntheticSpec, on_file: Callable[[Path], None], processes: int) -> SyntheticArchive:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "README.txt").write_text(README, encoding="utf-8")
    fault_maker = FaultMaker(spec)
    coarse_files: dict[str, Path] = {}
    fine_files: dict[str, Path] = {}
    for hour, coarse, fine in _messages(spec, processes):
        month = f"era5/era5_synthetic_{str(hour.astype('datetime64[M]')).replace('-', '')}.grib"
        coarse_files[month] = _append(directory / month, fault_maker.damage_hour(month, hour, coarse))
        if fine:
            name = f"cma_rra/{file_name(hour)}"
            fine_files[name] = _append(directory / name, fault_maker.damage_fine(name, hour, fine))
            on_file(fine_files[name])
    for path in coarse_files.values():
        on_file(path)
    faults = json.dumps([asdict(fault) for fault in fault_maker.done], indent=2)
    (directory / "faults.json").write_text(f"{faults}\n", encoding="utf-8")
    return SyntheticArchive(
        directory, spec, tuple(coarse_files.values()), tuple(fine_files.values()), tuple(fault_maker.done)
    )


def _append(path: Path, messages: list[SyntheticMessage]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.writelines(message.data for message in messages)
    return path


def _messages(spec: SyntheticSpec, processes: int) -> Iterator[HourlyMessages]:
    """Yield the messages of every hour, in order; independent runs are made in parallel."""
    last = init_time_of(spec.hours[-1])
    runs = np.arange(init_time_of(spec.valid_times[0]), last + _HOUR, RUN_HOURS * _HOUR)
    workers = min(processes, len(runs) * math.prod(spec.shape) // _POINTS_OF_A_PROCESS)
    if workers < 2:
        for run in runs:
            yield from _run(spec, run)
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        for hours in pool.map(_run, repeat(spec), runs):
            yield from hours


def _run(spec: SyntheticSpec, init_time: np.datetime64) -> list[HourlyMessages]:
    """Return the messages of the hours that one run of the fine model forecasts."""
    weather, era5, cma_rra = _weather_and_encoders(spec)
    first = spec.valid_times[0]
    made = []
    for hour, amount, total, peak_rate in _rain(weather, spec, init_time):
        coarse: list[SyntheticMessage] = []
        fine: list[SyntheticMessage] = []
        if hour in spec.valid_times:
            moment = weather.at(hour)
            highest = np.maximum(peak_rate, moment.rate)
            surface = {**moment.surface(), "rain": total, "refc_max": moment.reflectivity_of(highest)}
            coarse += era5.on_surface(surface, hour)
            fine += cma_rra.on_surface(surface, hour)
            for level in spec.levels:
                fields = moment.on_level(level)
                coarse += era5.on_level(fields, level, hour)
                fine += cma_rra.on_level(fields, level, hour)
            fine += cma_rra.invariants(weather.land, hour)
            coarse += era5.invariants(weather.land, hour) if hour == first else []
        if hour >= spec.hours[0]:
            coarse.append(era5.precipitation(amount, hour))
            made.append(HourlyMessages(hour, coarse, fine))
    return made


@lru_cache(maxsize=1)
def _weather_and_encoders(spec: SyntheticSpec) -> tuple[Weather, Era5, CmaRra]:
    """Return the weather and the encoders of the two archives."""
    domain = domain_of(spec)
    return Weather(spec.seed, domain), Era5(spec.seed, domain), CmaRra(domain, spec.frequency, spec.packing)


def _rain(
    weather: Weather, spec: SyntheticSpec, init_time: np.datetime64
) -> Iterator[tuple[np.datetime64, FieldArray, FieldArray, FieldArray]]:
    """Yield hour by hour of a run: the rain, the run's total, the highest rate since the run's last output.

    A run's total is the sum of the very hourly amounts of which the coarse side has the box means.
    """
    total = peak = np.zeros_like(weather.land.height)
    for elapsed in range(1, RUN_HOURS + 1):
        hour = init_time + elapsed * _HOUR
        if hour > spec.hours[-1]:
            return
        amount, highest = weather.rain_over_hour(hour)
        total = total + amount
        peak = highest if (elapsed - 1) % spec.frequency == 0 else np.maximum(peak, highest)
        yield hour, amount, total, peak
