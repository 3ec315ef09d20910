"""Rotation of winds from the axes of a projected grid to east and north."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from corrstore.datasets.errors import BadInput
from corrstore.datasets.grids.fields import FieldArray
from corrstore.datasets.grids.grid import Grid
from corrstore.datasets.grids.projected import ProjectedGrid
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.grids.scattered.points import PointsGrid

_TURNED = 0.01  # degrees; a wind of 10 m/s turned by so much is wrong by 2 mm/s


def earth_relative(u: ArrayLike, v: ArrayLike, grid: ProjectedGrid | PointsGrid) -> tuple[FieldArray, FieldArray]:
    """Return the eastward and northward wind [..., y, x], float32, in the unit of `u` and `v`.

    `u` is the component along rising x and `v` along rising y of the grid's projection, which is conformal
    (Lambert, polar stereographic, Mercator) or has a rotated pole, or along the columns and the rows of a curvilinear
    grid; GRIB has a flag for it. The angle
    between the grid's y axis and north is the meridian convergence (Snyder 1987, USGS Professional Paper 1395).
    Raises BadInput where the shapes do not fit.
    """
    along_x, along_y = np.asarray(u, np.float32), np.asarray(v, np.float32)
    if along_x.shape != along_y.shape or along_x.shape[-2:] != grid.shape:
        raise BadInput(
            f"wind: got u {along_x.shape} and v {along_y.shape}, expected both "
            f"(..., {grid.shape[0]}, {grid.shape[1]}) of the grid, {grid}"
        )
    cos, sin = _convergence(grid)
    return along_x * cos + along_y * sin, along_y * cos - along_x * sin


@lru_cache(maxsize=16)
def is_turned(grid: Grid) -> bool:
    """Return whether the rows of a grid run elsewhere than from west to east."""
    return not isinstance(grid, RectilinearGrid) and bool(np.nanmax(np.abs(grid.convergence())) > _TURNED)


@lru_cache(maxsize=4)
def _convergence(grid: ProjectedGrid | PointsGrid) -> tuple[FieldArray, FieldArray]:
    angle = np.deg2rad(grid.convergence())
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
