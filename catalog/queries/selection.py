"""Regions, frequencies, months and hours that a user selects by, read from short texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.periods import Interval, Times, parse_duration

_MOST_STEPS = 2_000_000


def parse_frequency(text: str) -> int:
    """Return the seconds that a text such as 3h stands for; raise BadInput where it is no duration, or none at all."""
    seconds = int(parse_duration(text).astype(np.int64))
    if seconds == 0:
        raise BadInput(f"frequency {text!r} is no time at all; write it as 30min, 3h or 1d")
    return seconds


def parse_numbers(option: str, text: str) -> list[int]:
    """Return the whole numbers in a text such as 6,7,8; raise BadInput, which names the option, for other texts."""
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise BadInput(f"{option} {text!r} is no list of whole numbers; write it as 6,7,8") from None


class Region(NamedTuple):
    """A box in degrees; `east` is more than `west`, and at most a circle away."""

    west: float
    south: float
    east: float
    north: float


def parse_region(text: str | Sequence[float]) -> Region:
    """Return the region that WEST,SOUTH,EAST,NORTH in degrees stands for; raise BadInput for other texts."""
    try:
        west, south, east, north = (float(part) for part in (text.split(",") if isinstance(text, str) else text))
    except ValueError:
        raise BadInput(f"region {text!r} is not WEST,SOUTH,EAST,NORTH in degrees, such as 100,20,120,40") from None
    if not (-90 <= south < north <= 90 and -360 <= west <= 360 and -360 <= east <= 360 and east != west):
        raise BadInput(
            f"region {text!r} has south {south:g}, north {north:g}, west {west:g}, east {east:g};"
            " write WEST,SOUTH,EAST,NORTH in degrees, south below north"
        )
    return Region(west, south, east if east > west else east + 360, north)


def refuse_too_many(steps: int, period: object) -> None:
    """Raise BadInput where a period has more steps than are worth looking at one by one."""
    if steps > _MOST_STEPS:
        raise BadInput(
            f"period {period} has {steps:,} steps, at most {_MOST_STEPS:,} are looked at; ask for a shorter one"
        )


class Selection(NamedTuple):
    """Times in a period, in one of the `months` (1 to 12) and at one of the `hours` (0 to 23), UTC.

    None and empty sequences choose everything. `mask` raises BadInput for a month or an hour that does not exist.
    """

    period: Interval | None = None
    months: tuple[int, ...] = ()
    hours: tuple[int, ...] = ()

    def mask(self, times: Times) -> NDArray[np.bool_]:
        """Return a mask of the times that are selected."""
        _check("month", self.months, 1, 12)
        _check("hour", self.hours, 0, 23)
        chosen = np.ones(len(times), bool) if self.period is None else self.period.mask(times)
        if self.months:
            chosen &= np.isin(times.astype("datetime64[M]").astype(np.int64) % 12 + 1, self.months)
        if self.hours:
            chosen &= np.isin(times.astype("datetime64[h]").astype(np.int64) % 24, self.hours)
        return chosen


def _check(what: str, numbers: Sequence[int], low: int, high: int) -> None:
    for number in numbers:
        if not low <= number <= high:
            raise BadInput(f"{what} {number} does not exist; expected {low} to {high}")
