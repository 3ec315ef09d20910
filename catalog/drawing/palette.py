"""The colours of fields: which scale a variable has, and how numbers become colours on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_rgb
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from corrstore.datasets.variables.variable import Variable

Colours = NDArray[np.uint8]

_LEVELS = 60
_TICKS = 5
_WHITE = "#ffffff"
_RAIN_STEPS = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)
_REFLECTIVITY_STEPS = tuple(float(step) for step in range(0, 80, 5))
_REFLECTIVITY_COLOURS = (  # from 5 dBZ on, as on the composites of the US National Weather Service
    "#04e9e7",
    "#019ff4",
    "#0300f4",
    "#02fd02",
    "#01c501",
    "#008e00",
    "#fdf802",
    "#e5bc00",
    "#fd9500",
    "#fd0000",
    "#d40000",
    "#bc0000",
    "#f800fd",
    "#9854c6",
)
_SEQUENTIAL = {
    "plain": ("viridis", 0.0, 1.0),
    "temperature": ("inferno", 0.08, 0.97),
    "moisture": ("YlGnBu", 0.02, 0.98),
    "terrain": ("gist_earth", 0.36, 0.98),
    "mask": ("gist_earth", 0.2, 0.8),
}
_RESIDUAL = {"plain": "RdBu_r", "moisture": "BrBG"}


@dataclass(frozen=True)
class Scale:
    """Colours of the intervals between ascending edges.

    `edges` [n + 1]; `colours` [n + 2, RGB], of the numbers below the edges, of each interval, and of those above;
    `ticks` are numbers between the first and the last edge. The intervals are drawn equally wide on a colour bar.
    """

    edges: NDArray[np.float64]
    colours: Colours
    ticks: tuple[float, ...]

    def codes(self, field: NDArray[np.floating]) -> NDArray[np.uint8]:
        """The index into `colours` of each number; n + 2 where it is NaN."""
        codes = np.searchsorted(self.edges, field, "right")
        codes[field == self.edges[-1]] = self.edges.size - 1
        codes[np.isnan(field)] = self.edges.size + 1
        return codes.astype(np.uint8)

    def position(self, value: float) -> float:
        """Return the position of the value on the colour bar, 0 to 1."""
        return float(np.interp(value, self.edges, np.linspace(0.0, 1.0, self.edges.size)))


def field_scale(variable: Variable, low: float, high: float) -> Scale:
    """The scale of the variable's fields whose numbers lie, but for a few, between `low` and `high`."""
    if variable.palette == "reflectivity":
        return _stepped(_REFLECTIVITY_STEPS, _rgb([_WHITE, *_REFLECTIVITY_COLOURS]), high)
    if variable.palette == "rain":
        blues = _sampled("YlGnBu", 0.1, 1.0, len(_RAIN_STEPS) - 2)
        return _stepped(_RAIN_STEPS, np.vstack([_rgb([_WHITE]), blues]), high)
    if variable.palette == "wind":
        return _symmetric("PuOr_r", max(abs(low), abs(high)))
    return _even(low, high, *_SEQUENTIAL[variable.palette])


def residual_scale(variable: Variable, largest: float) -> Scale:
    """The scale of a residual, symmetric about zero: red (moisture: green) where the target is above the input."""
    return _symmetric(_RESIDUAL[variable.residual_palette], largest)


def _symmetric(colormap: str, largest: float) -> Scale:
    return _even(-largest, largest, colormap, 0.04, 0.96)


def _even(low: float, high: float, colormap: str, first: float, last: float) -> Scale:
    if not low < high:
        low, high = low - max(abs(low), 1.0) * 1e-3, high + max(abs(high), 1.0) * 1e-3
    ticks = MaxNLocator(_TICKS, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    colours = _sampled(colormap, first, last, _LEVELS)
    return Scale(
        np.linspace(low, high, _LEVELS + 1),
        np.vstack([colours[:1], colours, colours[-1:]]),
        tuple(float(tick) for tick in ticks if low <= tick <= high),
    )


def _stepped(steps: tuple[float, ...], colours: Colours, high: float) -> Scale:
    """The first steps, up to one that is not below `high`; five at least."""
    count = max(5, min(len(steps) - 1, sum(step < high for step in steps)))
    edges = steps[: count + 1]
    above = colours[min(count, len(colours) - 1)]
    return Scale(np.array(edges), np.vstack([colours[:1], colours[:count], above]), edges)


def _sampled(colormap: str, first: float, last: float, count: int) -> Colours:
    return np.rint(255 * colormaps[colormap](np.linspace(first, last, count))[:, :3]).astype(np.uint8)


def _rgb(names: list[str]) -> Colours:
    return np.rint(255 * np.array([to_rgb(name) for name in names])).astype(np.uint8)
