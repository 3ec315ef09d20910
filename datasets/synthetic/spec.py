"""The specification of a synthetic archive."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.periods import Interval, Times, format_time

FAULT_KINDS = ("truncated", "missing_hour", "corrupt_message", "expver_mix", "bitmap")
PACKINGS = ("grid_simple", "grid_ccsds", "grid_jpeg")
RUN_HOURS = 12
FINE_STEP = 30_000
"""The step of the fine grid in micro-degrees."""

_HOUR = np.timedelta64(1, "h")
_CORNER_OF_CMA_RRA = (60_100_000, 70_000_000)


@dataclass(frozen=True)
class SyntheticSpec:
    """The specification of an archive with the valid times `start`, `start` + `frequency` hours, ... before `end`.

    The target grid has `shape` (lat, lon) points 0.03 degrees apart from its north-west corner (`north`, `west`), a
    point of CMA's 3 km grid (lat = 60.10 - 0.03 i, lon = 70 + 0.03 j); the fine files hold `margin` points more on
    each side, the coarse ones 1.5 degrees or more. `levels` are in hPa. `packing` is that of the fine files.

    CMA's rain is a run's total, and the runs start at 00 and 12 UTC: the 3 h before `start` can be told from the
    archive alone only where `start` is the first valid time of a run, such as 03 or 15 UTC.

    Raises BadInput, naming the field, what it got and what it expects.
    """

    start: np.datetime64
    end: np.datetime64
    seed: int = 0
    frequency: int = 3
    north: float = 32.71
    west: float = 102.49
    shape: tuple[int, int] = (160, 240)
    margin: int = 12
    levels: tuple[int, ...] = (500, 850)
    faults: frozenset[str] = field(default_factory=frozenset)
    packing: str = "grid_simple"

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise BadInput(f"seed is {self.seed}; it must be 0 or more")
        if self.frequency < 1 or RUN_HOURS % self.frequency:
            raise BadInput(f"frequency is {self.frequency} h; it must divide the {RUN_HOURS} h between two runs")
        times = len(self.valid_times)
        for name in ("start", "end"):
            if (getattr(self, name) - np.datetime64("2000-01-01")) % (self.frequency * _HOUR):
                got = format_time(getattr(self, name))
                raise BadInput(f"{name} is {got}; it must be a multiple of {self.frequency} h after 00 UTC")
        self._check_corner()
        if min(self.shape) < 16 or self.margin < 0:
            raise BadInput(f"shape is {self.shape} and margin {self.margin}; write 16 x 16 or more, and 0 or more")
        if not self.levels or min(self.levels) < 100 or max(self.levels) > 1000:
            raise BadInput(f"levels are {self.levels}; write one or more between 100 and 1000 hPa")
        if unknown := self.faults - set(FAULT_KINDS):
            raise BadInput(f"unknown faults {sorted(unknown)}; there are {', '.join(FAULT_KINDS)}")
        if self.faults and times <= len(self.faults):
            raise BadInput(
                f"{len(self.faults)} faults need {len(self.faults) + 1} valid times and {self.period} has {times};"
                " write a later end"
            )
        if self.packing not in PACKINGS:
            raise BadInput(f"packing is {self.packing!r}; it must be one of {', '.join(PACKINGS)}")

    def _check_corner(self) -> None:
        for name, origin in zip(("north", "west"), _CORNER_OF_CMA_RRA, strict=True):
            degrees = getattr(self, name)
            if (round(degrees * 1e6) - origin) % FINE_STEP:
                nearest = (origin + round((degrees * 1e6 - origin) / FINE_STEP) * FINE_STEP) / 1e6
                raise BadInput(f"{name} is {degrees}, between two points of CMA's grid; the nearest is {nearest:.2f}")

    @property
    def period(self) -> Interval:
        """The half-open period of the valid times."""
        return Interval(self.start, self.end)

    @property
    def valid_times(self) -> Times:
        """The valid times of the fine files."""
        return self.period.times(self.frequency * _HOUR)

    @property
    def hours(self) -> Times:
        """The hours that end the windows of precipitation; the first of them lie before `start`."""
        first, last = self.valid_times[[0, -1]]
        return np.arange(first - (self.frequency - 1) * _HOUR, last + _HOUR, _HOUR)

    @property
    def files(self) -> int:
        """The number of GRIB files: one for each valid time and for each month of the hours."""
        return len(self.valid_times) + len(np.unique(self.hours.astype("datetime64[M]")))
