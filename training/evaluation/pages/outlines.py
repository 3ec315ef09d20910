"""Outlines that lie over maps: contours of the terrain, and the coast."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from contourpy import contour_generator
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from corrstore.catalog.drawing.pictures import Frame, block_mean
from corrstore.catalog.printing.wording import short_number
from corrstore.datasets.grids.fields import FieldArray
from corrstore.training.evaluation.predictors.comparison import Opened

SIDE = 1000
"""The width and height of the drawing, in its own units."""

_MOST_POINTS = 240
_LEAST_RELIEF = 100.0  # m


class Outlines(NamedTuple):
    """Paths over a map's frame, empty where there are none, and what they are in words."""

    terrain: str
    coast: str
    about: str


def outlines(opened: Opened, frame: Frame) -> Outlines:
    """Return the contours of the truth's terrain height and the border of its land-sea mask, where it has them."""
    terrain, land, said = opened.static("orog"), opened.static("lsm"), []
    lines = coast = ""
    if terrain is not None and np.ptp(terrain) > _LEAST_RELIEF:
        levels = MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(float(terrain.min()), float(terrain.max()))
        levels = levels[(levels > terrain.min()) & (levels < terrain.max())]
        lines = _paths(opened, frame, terrain, levels)
        said.append(f"thin lines are the terrain at {', '.join(short_number(float(each)) for each in levels)} m")
    if land is not None and land.min() < 0.5 <= land.max():
        coast = _paths(opened, frame, land, np.array([0.5]))
        said.append("thick lines the coast")
    return Outlines(lines, coast, "; ".join(said))


def _paths(opened: Opened, frame: Frame, field: FieldArray, levels: NDArray[np.float64]) -> str:
    grid = opened.truth.grid
    factor = max(1.0, max(field.shape) / _MOST_POINTS)
    shape = max(2, round(field.shape[0] / factor)), max(2, round(field.shape[1] / factor))
    lat, lon = (
        block_mean(axis[:, None].astype(np.float32), (size, 1))[:, 0]
        for axis, size in zip((grid.lat, grid.lon), shape, strict=True)
    )
    x, y = (lon - frame.west) / (frame.east - frame.west), (frame.north - lat) / (frame.north - frame.south)
    found = contour_generator(SIDE * x, SIDE * y, block_mean(field, shape), line_type="Separate")
    lines = [np.rint(np.asarray(line)).astype(int) for level in levels for line in found.lines(float(level))]
    return "".join("M" + "L".join(f"{a} {b}" for a, b in line) for line in lines if len(np.unique(line, axis=0)) > 3)
