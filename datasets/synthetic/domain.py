"""The grids of a synthetic archive: the fine grid of its weather, and the two grids that are written."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from corrstore.datasets.grids.fields import FieldArray
from corrstore.datasets.synthetic.spec import FINE_STEP, SyntheticSpec

COARSE_STEP = 250_000
EARTH_RADIUS_KM = 6371.229
_HALO = 1_500_000


@dataclass(frozen=True)
class MicrodegreeGrid:
    """A regular grid from its north-west point, in micro-degrees, so that no coordinate is ever rounded twice."""

    north: int
    west: int
    ny: int
    nx: int
    step: int

    @property
    def south(self) -> int:
        """Latitude of the last row."""
        return self.north - (self.ny - 1) * self.step

    @property
    def east(self) -> int:
        """Longitude of the last column."""
        return self.west + (self.nx - 1) * self.step

    @property
    def lat(self) -> NDArray[np.float64]:
        """Latitudes in degrees, north to south."""
        return (self.north - self.step * np.arange(self.ny)) / 1e6

    @property
    def lon(self) -> NDArray[np.float64]:
        """Longitudes in degrees, west to east."""
        return (self.west + self.step * np.arange(self.nx)) / 1e6


@dataclass(frozen=True)
class SyntheticDomain:
    """The target grid, the window of the fine files, the coarse grid, and the fine grid that covers them all."""

    target: MicrodegreeGrid
    window: MicrodegreeGrid
    coarse: MicrodegreeGrid
    fine: MicrodegreeGrid

    @cached_property
    def km_per_step(self) -> tuple[float, float]:
        """The fine grid's spacing (south to north, west to east) in km at its middle latitude."""
        south_north = np.radians(self.fine.step / 1e6) * EARTH_RADIUS_KM
        return float(south_north), float(south_north * np.cos(np.radians(self.fine.lat.mean())))

    def crop(self, fine: FieldArray) -> FieldArray:
        """Return the part of a field on the fine grid that the fine files hold."""
        row = (self.fine.north - self.window.north) // FINE_STEP
        column = (self.window.west - self.fine.west) // FINE_STEP
        return fine[row : row + self.window.ny, column : column + self.window.nx]

    def box_mean(self, fine: FieldArray, grid: MicrodegreeGrid | None = None) -> FieldArray:
        """Return the area-weighted mean of a field on the fine grid over the box around each point of a grid.

        The grid is the coarse one by default, and its boxes lie within the fine grid.
        """
        over_rows, over_columns = _box_weights(grid or self.coarse, self.fine)
        return (over_columns @ (over_rows @ fine).T).T

    def half_cell_grid(self, step: int) -> MicrodegreeGrid:
        """Return the points of CMA-GFS inside the coarse grid: latitudes half a step off multiples of the step."""
        coarse = self.coarse
        rows, columns = (coarse.north - coarse.south) // step, (coarse.east - coarse.west) // step + 1
        return MicrodegreeGrid(coarse.north - step // 2, coarse.west, rows, columns, step)


@lru_cache(maxsize=8)
def _box_weights(boxes: MicrodegreeGrid, fine: MicrodegreeGrid) -> tuple[csr_array, csr_array]:
    """Return the share of each box that each fine cell covers, south to north and west to east."""
    rows = _overlaps(np.sin(np.radians(_edges(boxes.lat))), np.sin(np.radians(_edges(fine.lat))))
    return rows, _overlaps(_edges(boxes.lon), _edges(fine.lon))


def domain_of(spec: SyntheticSpec) -> SyntheticDomain:
    """Return the grids of an archive of that specification."""
    ny, nx = spec.shape
    target = MicrodegreeGrid(round(spec.north * 1e6), round(spec.west * 1e6), ny, nx, FINE_STEP)
    window = _grown(target, *(spec.margin,) * 4)
    north = -(-(target.north + _HALO) // COARSE_STEP) * COARSE_STEP
    south = (target.south - _HALO) // COARSE_STEP * COARSE_STEP
    west = (target.west - _HALO) // COARSE_STEP * COARSE_STEP
    east = -(-(target.east + _HALO) // COARSE_STEP) * COARSE_STEP
    coarse = MicrodegreeGrid(
        north, west, (north - south) // COARSE_STEP + 1, (east - west) // COARSE_STEP + 1, COARSE_STEP
    )
    beyond = COARSE_STEP // 2
    sides = (north - target.north, target.south - south, target.west - west, east - target.east)
    fine = _grown(target, *(max(spec.margin, -(-(side + beyond) // FINE_STEP)) for side in sides))
    return SyntheticDomain(target, window, coarse, fine)


def _grown(grid: MicrodegreeGrid, north: int, south: int, west: int, east: int) -> MicrodegreeGrid:
    return MicrodegreeGrid(
        grid.north + north * grid.step,
        grid.west - west * grid.step,
        grid.ny + north + south,
        grid.nx + west + east,
        grid.step,
    )


def _edges(points: NDArray[np.float64]) -> NDArray[np.float64]:
    half = (points[1] - points[0]) / 2
    return np.append(points - half, points[-1] + half)


def _overlaps(coarse: NDArray[np.float64], fine: NDArray[np.float64]) -> csr_array:
    """Return the share of each coarse cell (rows) that each fine cell (columns) covers, from the edges of both."""
    above = np.minimum(np.maximum(coarse[:-1], coarse[1:])[:, None], np.maximum(fine[:-1], fine[1:]))
    below = np.maximum(np.minimum(coarse[:-1], coarse[1:])[:, None], np.minimum(fine[:-1], fine[1:]))
    covered = np.maximum(above - below, 0)
    return csr_array((covered / covered.sum(axis=1, keepdims=True)).astype(np.float32))
