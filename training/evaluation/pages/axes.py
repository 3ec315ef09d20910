"""What charts are made of: lines, axes and ticks."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from corrstore.catalog.drawing.charts import HEIGHT, WIDTH
from corrstore.catalog.drawing.pictures import Tick
from corrstore.catalog.printing.wording import short_number
from corrstore.training.evaluation.predictors.names import CLIMATOLOGY, PERSISTENCE, PREDICTORS

Numbers = NDArray[np.float64]


class Line(NamedTuple):
    """A line of a chart: its name, its path and the path of the band around it; `of` is its class, else its name."""

    name: str
    path: str
    band: str = ""
    of: str = ""

    @property
    def style(self) -> str:
        """The class of the line in a style sheet; baselines take turns at three."""
        if self.of:
            return self.of
        known = (*PREDICTORS, "truth", "reliable", PERSISTENCE, CLIMATOLOGY)
        own = f"baseline{sum(self.name.encode()) % 3}" if self.name not in known else self.name
        return re.sub(r"[^a-z0-9]+", "-", own.lower()).strip("-")


@dataclass(frozen=True)
class Chart:
    """Lines over an axis; `about` says what is on the axes."""

    title: str
    about: str
    lines: list[Line]
    x_ticks: list[Tick]
    y_ticks: list[Tick]


class Axis(NamedTuple):
    """An axis from `low` to `high`, linear or logarithmic."""

    low: float
    high: float
    logarithmic: bool = False

    def at(self, numbers: ArrayLike) -> Numbers:
        """Return the positions of the numbers, 0 to 1; numbers beyond an end are at the end."""
        low, high, places = self.low, self.high, np.clip(np.asarray(numbers, float), self.low, self.high)
        if self.logarithmic:
            low, high, places = np.log(low), np.log(high), np.log(places)
        return np.asarray((places - low) / (high - low))

    def ticks(self, numbers: ArrayLike, text: Callable[[float], str] = short_number) -> list[Tick]:
        """Return ticks at the numbers that lie on the axis."""
        numbers = np.asarray(numbers, float)
        shown = numbers[(numbers >= self.low) & (numbers <= self.high)]
        return [Tick(100 * float(at), text(float(number))) for at, number in zip(self.at(shown), shown, strict=True)]

    @property
    def round_ticks(self) -> list[Tick]:
        """Ticks at a few round numbers."""
        return self.ticks(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(self.low, self.high))


def path(x: Numbers, y: Numbers) -> str:
    """Return the path through points whose coordinates are 0 to 1, from the left and from the bottom."""
    points = zip(np.rint(x * WIDTH).astype(int), np.rint((1 - y) * HEIGHT).astype(int), strict=True)
    return "M" + "L".join(f"{across} {down}" for across, down in points)
