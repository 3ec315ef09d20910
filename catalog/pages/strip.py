"""The strip: samples in time, one row a day, a month or a year."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np

from corrstore.catalog.drawing.pictures import Tick
from corrstore.catalog.pages.coverage import Coverage, Names
from corrstore.catalog.printing.wording import time
from corrstore.datasets.recipe.periods import Times

_MOST_CELLS = 100


class Stretch(NamedTuple):
    """Neighbouring samples of one kind in a row, in per cent from the left."""

    left: float
    width: float
    kind: str
    title: str


class StripRow(NamedTuple):
    """A day, a month or a year: its stretches of one status, and those of one split."""

    label: str
    statuses: list[Stretch]
    splits: list[Stretch]

    @property
    def split_names(self) -> str:
        """The splits of the row, in their order."""
        return ", ".join(dict.fromkeys(stretch.kind for stretch in self.splits))


@dataclass(frozen=True)
class Strip:
    """The rows, what their axis is, and the width of a sample in per cent, None where it is too thin to be seen."""

    rows: list[StripRow]
    axis: str
    ticks: list[Tick]
    cell: float | None


class _Unit(NamedTuple):
    """What a row spans at most, by NumPy's name and in seconds, and the ticks on it."""

    name: str
    seconds: int
    most_rows: float
    axis: str
    ticks: list[Tick]


_DAY = 86400
_UNITS = (
    _Unit("D", _DAY, 45, "hour, UTC", [Tick(100 * hour / 24, f"{hour:02d}") for hour in range(0, 24, 3)]),
    _Unit("M", 31 * _DAY, 60, "day of the month", [Tick(100 * (d - 1) / 31, str(d)) for d in (1, 6, 11, 16, 21, 26)]),
    _Unit(
        "Y",
        366 * _DAY,
        np.inf,
        "month",
        [Tick(100 * day / 366, name) for day, name in ((0, "Jan"), (91, "Apr"), (182, "Jul"), (274, "Oct"))],
    ),
)


def strip(times: Times, frequency: np.timedelta64, covered: Coverage) -> Strip:
    """The strip of samples at these times, each `frequency` wide; days, months or years, whichever are not too many."""
    unit = next(unit for unit in _UNITS if len(np.unique(times.astype(f"datetime64[{unit.name}]"))) <= unit.most_rows)
    width = 100 * float(frequency / np.timedelta64(unit.seconds, "s"))
    rows = list(_rows(times, width, unit, covered))
    return Strip(rows, unit.axis, unit.ticks, width if width * _MOST_CELLS >= 100 else None)


def _rows(times: Times, width: float, unit: _Unit, covered: Coverage) -> Iterator[StripRow]:
    starts = times.astype(f"datetime64[{unit.name}]")
    left = 100 * (times - starts.astype("datetime64[s]")) / np.timedelta64(unit.seconds, "s")
    for start in np.unique(starts):
        inside = np.flatnonzero(starts == start)
        both = (
            [
                Stretch(
                    float(left[first]),
                    float(left[last] - left[first]) + width,
                    kind,
                    f"{kind}: {time(times[first])}" + (f" to {time(times[last])}" if last > first else ""),
                )
                for kind, first, last in _runs(kinds, inside)
            ]
            for kinds in (covered.statuses, covered.split_names)
        )
        yield StripRow(str(start), *both)


def _runs(kinds: Names, inside: np.ndarray) -> Iterator[tuple[str, int, int]]:
    for kind, members in groupby(inside.tolist(), lambda index: kinds[index]):
        indices = list(members)
        yield str(kind), indices[0], indices[-1]
