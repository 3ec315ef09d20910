"""The specification of synthetic forecasts: which runs there are, and what they lack."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import numpy as np

from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.periods import Times, format_time
from corrstore.datasets.synthetic.spec import RUN_HOURS, SyntheticSpec

FORECAST_FAULTS = ("missing_run", "cut_short", "cold_start")
"""A run that no model has; a run whose later leads are absent; a run of CMA-MESO that has a cold start as well."""
FILE_NAMES = ("cemc", "cmadaas")
GFS_STEPS = (0.25, 0.125)

_HOUR = np.timedelta64(1, "h")


@dataclass(frozen=True)
class Run:
    """One run: its start, its leads, and whether CMA-MESO has it from a cold start as well."""

    init_time: np.datetime64
    leads: tuple[np.timedelta64, ...]
    cold_start: bool = False

    @property
    def files(self) -> int:
        """The number of files, of which a Zarr group counts as one: CMA-GFS's, CMA-MESO's and SFF's."""
        return (3 if self.cold_start else 2) * len(self.leads) + 1


@dataclass(frozen=True)
class ForecastSpec:
    """The specification of the forecasts of three models of the weather of `archive`.

    There are `runs` runs from `start` on, at 00 and 12 UTC, each with `leads` leads that are `every` hours apart, by
    default the hours between two valid times of the archive. By default the last run ends within the archive's period,
    so that the archive holds the truth of every lead. CMA-GFS's points are `gfs_step` degrees apart. The files of CMA
    are named as at CEMC (`gmf.gra.2020070112003.grb2`) or as at CMADaaS (`Z_NAFP_C_BABJ_..._00300.grib2`).

    Raises BadInput, naming the field, what it got and what it expects.
    """

    archive: SyntheticSpec
    runs: int = 2
    leads: int = 3
    every: int | None = None
    start: np.datetime64 | None = None
    gfs_step: float = 0.25
    names: str = "cemc"
    faults: frozenset[str] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        if min(self.runs, self.leads) < 1 or not 1 <= self.interval <= 24:
            raise BadInput(
                f"forecasts of {self.runs} runs and {self.leads} leads, every {self.interval} h; write 1 or more of"
                " each, and 1 to 24 h"
            )
        if (self.init_times[0] - np.datetime64("2000-01-01")) % (RUN_HOURS * _HOUR):
            raise BadInput(f"the first run starts at {format_time(self.init_times[0])}; it must be 00 or 12 UTC")
        if self.start is None and self.init_times[0] + self.interval * _HOUR < self.archive.valid_times[0]:
            raise BadInput(
                f"{self.runs} runs up to {self.interval * self.leads} h do not lie within the archive's period,"
                f" {self.archive.period}; write a later end, or fewer runs or leads"
            )
        if self.gfs_step not in GFS_STEPS:
            raise BadInput(f"gfs_step is {self.gfs_step}; it must be one of {', '.join(map(str, GFS_STEPS))}")
        if self.names not in FILE_NAMES:
            raise BadInput(f"names is {self.names!r}; it must be one of {', '.join(FILE_NAMES)}")
        if unknown := self.faults - set(FORECAST_FAULTS):
            raise BadInput(f"unknown faults of forecasts {sorted(unknown)}; there are {', '.join(FORECAST_FAULTS)}")
        if len(self.faults) > self.runs:
            raise BadInput(f"{len(self.faults)} faults need as many runs, and there are {self.runs}; write more runs")
        if "cut_short" in self.faults and self.leads == 1:
            raise BadInput("a run that is cut short needs 2 leads or more, and there is 1; write more leads")

    @property
    def interval(self) -> int:
        """The hours between two leads, and up to the first."""
        return self.archive.frequency if self.every is None else self.every

    @property
    def init_times(self) -> Times:
        """The starts of all runs, those that are missing too."""
        first = self.start
        if first is None:
            last = self.archive.valid_times[-1] - self.leads * self.interval * _HOUR
            last -= (last - np.datetime64("2000-01-01")) % (RUN_HOURS * _HOUR)
            first = last - (self.runs - 1) * RUN_HOURS * _HOUR
        return (first + np.arange(self.runs) * RUN_HOURS * _HOUR).astype("datetime64[s]")

    @property
    def lead_times(self) -> tuple[np.timedelta64, ...]:
        """The leads of a whole run."""
        return tuple(np.timedelta64(n * self.interval, "h") for n in range(1, self.leads + 1))

    @property
    def fault_runs(self) -> dict[str, np.datetime64]:
        """The start of the run that each fault is chosen for; each fault has a run of its own."""
        order = np.random.default_rng([self.archive.seed, zlib.crc32(b"faults of forecasts")])
        inits = order.permutation(self.init_times)
        return dict(zip((kind for kind in FORECAST_FAULTS if kind in self.faults), inits, strict=False))

    @property
    def written_runs(self) -> tuple[Run, ...]:
        """The runs that are written, with the leads that they have; of a run cut short the first half."""
        at = self.fault_runs
        return tuple(
            Run(
                init_time,
                self.lead_times[: (self.leads + 1) // 2] if init_time == at.get("cut_short") else self.lead_times,
                init_time == at.get("cold_start"),
            )
            for init_time in self.init_times
            if init_time != at.get("missing_run")
        )

    @property
    def files(self) -> int:
        """The number of files of all runs, as `Run.files` counts them."""
        return sum(run.files for run in self.written_runs)
