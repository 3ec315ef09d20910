"""A distinct field of an archive: what its files say of it, over all its times, levels and members."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corrstore.datasets.archives.references import FieldReference
from corrstore.datasets.recipe.periods import format_time

_GRIB1_LEVEL_TYPES = {1: "surface", 105: "height above ground", 109: "hybrid", 102: "mean sea level", 112: "soil layer"}
_LEVEL_TYPES = {
    **{1: "surface", 8: "top of the atmosphere", 10: "entire atmosphere", 100: "pressure", 101: "mean sea level"},
    **{102: "height above sea level", 103: "height above ground", 105: "hybrid", 106: "depth below land"},
}
_PROCESSES = {
    **{"accum": "sum", "avg": "average", "max": "maximum", "min": "minimum", "diff": "difference"},
    **{"avgua": "average of analyses", "avgfc": "average of forecasts", "avgia": "average of analyses"},
}
_PRESSURE = 100
_SHOWN = 12


@dataclass
class HeldField:
    """The messages, or the variable, that differ in nothing but level, member, run and time.

    `numbers` are those of GRIB; `levels` are in Pa where the level type is 100, else as the files have them; `process`
    is empty of a variable that states none; `window` is its length in seconds, None where there is none or no file
    tells it. `times`, `runs` and `leads` (seconds) ascend; `grid` is told by its coordinates, `unread` says why one is
    not read. `levels_in` are the units of levels that are no pressures; `unnamed` has the dimensions, of several
    positions, that the table does not name.
    """

    format: str
    numbers: dict[str, int]
    name: str
    units: str | None = None
    level_type: int | None = None
    process: str = "instant"
    window: int | None = None
    centre: str | None = None
    expver: str | None = None
    grid: str = ""
    count: int = 0
    levels: list[float] = field(default_factory=list)
    members: list[int] = field(default_factory=list)
    times: NDArray[Any] = field(default_factory=lambda: np.empty(0, "M8[s]"))
    runs: NDArray[Any] = field(default_factory=lambda: np.empty(0, "M8[s]"))
    levels_in: str = ""
    unread: str = ""
    unnamed: dict[str, int] = field(default_factory=dict)
    leads: NDArray[Any] = field(default_factory=lambda: np.empty(0, np.int64))
    first: FieldReference | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells this field from others."""
        told = (self.format, *self.numbers.items(), self.name, self.units, self.level_type)
        return (*told, self.process, self.window, self.centre, self.expver, self.grid)

    def merge(self, other: HeldField) -> None:
        """Add what other files hold of the same field."""
        self.count += other.count
        for name in ("levels", "members"):
            setattr(self, name, sorted({*getattr(self, name), *getattr(other, name)}))
        for name in ("times", "runs", "leads"):
            setattr(self, name, np.union1d(getattr(self, name), getattr(other, name)))

    @property
    def level_type_text(self) -> str:
        """The level type in words and in WMO's code; nothing where the files state none."""
        if self.level_type is None:
            return ""
        names = {**_LEVEL_TYPES, **_GRIB1_LEVEL_TYPES} if self.format == "grib1" else _LEVEL_TYPES
        return f"level type {self.level_type}" + (f" ({names[self.level_type]})" if self.level_type in names else "")

    def level_texts(self) -> list[str]:
        """The levels with their units: pressures in hPa and Pa."""
        if self.level_type != _PRESSURE:
            return [f"{level:g}" for level in self.levels]
        return [f"{level / 100:g} hPa ({level:g} Pa)" for level in sorted(self.levels, reverse=True)]

    @property
    def numbers_text(self) -> str:
        """The format and the numbers, such as `GRIB1, table 128, parameter 167`."""
        return ", ".join([self.format.upper(), *(f"{name} {value}" for name, value in self.numbers.items())])

    @property
    def process_text(self) -> str:
        """The statistical process and its window, such as `max over 1h`."""
        words = f"{self.process} ({_PROCESSES[self.process]})" if self.process in _PROCESSES else self.process
        return f"{words} over {self.window / 3600:g}h" if self.window else words

    def holes(self) -> list[str]:
        """Return the times that lack between the first and the last, at the step that most have: `FROM to TO`."""
        if len(self.times) < 3:
            return []
        steps = np.diff(self.times)
        values, counts = np.unique(steps, return_counts=True)
        usual = values[counts.argmax()]
        wide = np.flatnonzero(steps >= 2 * usual)
        return [f"{format_time(self.times[at] + usual)} to {format_time(self.times[at + 1] - usual)}" for at in wide]

    def as_dict(self) -> dict[str, Any]:
        """Return the field as plain values, for JSON."""
        return {
            **{"format": self.format, **self.numbers, "name": self.name, "units": self.units},
            **{"level_type": self.level_type, "levels": self.levels, "process": self.process, "window": self.window},
            **{
                "centre": self.centre,
                "expver": self.expver,
                "members": self.members,
                "fields": self.count,
                "grid": self.grid,
            },
            "times": time_span(self.times),
            "runs": time_span(self.runs),
            "leads": [int(self.leads[0]), int(self.leads[-1])] if len(self.leads) else [],
            "holes": self.holes(),
        }


def time_span(times: NDArray[Any]) -> dict[str, Any]:
    """Return the first and the last of ascending times, and their number."""
    if not len(times):
        return {"count": 0}
    return {"first": format_time(times[0]), "last": format_time(times[-1]), "count": len(times)}


def shown(texts: list[str]) -> str:
    """Return the texts with commas between them; of many, the first and how many more there are."""
    more = len(texts) - _SHOWN
    return ", ".join(texts[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
