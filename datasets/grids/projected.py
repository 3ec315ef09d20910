"""Projected grids: regular in a map projection."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corrstore.datasets.errors import BadInput
from corrstore.datasets.grids.axes import (
    Axis,
    LatLonPoints,
    axes_digest,
    axis_text,
    axis_to_json,
    checked_axis,
    spacing,
    within,
)
from corrstore.datasets.grids.proj import CRSError, Proj
from corrstore.datasets.grids.rotated_pole import RotatedPole

_CONFORMAL = 0.1  # degrees


@dataclass(frozen=True, eq=False)
class ProjectedGrid:
    """A grid that is regular in a map projection; fields on it are [y, x].

    `crs` is a PROJ string, `x` and `y` are metres in it, or degrees around a rotated pole, each monotonic either way.
    Raises BadInput.
    """

    crs: str
    x: Axis
    y: Axis

    def __post_init__(self) -> None:
        try:
            _ = self.projection
        except CRSError as error:
            raise BadInput(f"crs: got {self.crs!r}, expected a PROJ string: {error}") from error
        object.__setattr__(self, "x", checked_axis("x", self.x))
        object.__setattr__(self, "y", checked_axis("y", self.y))

    @cached_property
    def projection(self) -> Proj | RotatedPole:
        """The function that brings longitudes and latitudes to x and y, and, `inverse`, back."""
        return RotatedPole.from_proj_string(self.crs) or Proj(self.crs)

    def position(self, lat: Axis, lon: Axis) -> tuple[Axis, Axis]:
        """Return y and x of points; around a rotated pole, x is as near to the middle of the grid as a circle lets."""
        x, y = self.projection(lon, lat)
        if isinstance(self.projection, RotatedPole):
            middle = float(self.x[0] + self.x[-1]) / 2
            x = np.mod(x - middle + 180.0, 360.0) - 180.0 + middle
        return y, x

    def check_conformal(self) -> None:
        """Raise BadInput where x and y are not at right angles, so that winds along them are not turned."""
        if isinstance(self.projection, RotatedPole):
            return
        lat, lon = (each[np.ix_([0, -1], [0, -1])] for each in self.latlon())
        bent = float(np.max(self.projection.get_factors(lon, lat).angular_distortion))
        if bent > _CONFORMAL:
            raise BadInput(
                f"winds along the axes of {self.crs}, which is not conformal (it bends angles by {bent:.2g} degrees),"
                " are not turned to east and north; give eastward and northward winds"
            )

    def convergence(self) -> NDArray[np.float64]:
        """Return the angle of the grid's y axis at each point [y, x], in degrees clockwise from north."""
        lat, lon = self.latlon()
        if isinstance(self.projection, RotatedPole):
            return self.projection.convergence(lon, lat)
        return np.asarray(self.projection.get_factors(lon, lat).meridian_convergence, np.float64)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows (y) and of columns (x)."""
        return self.y.size, self.x.size

    @cached_property
    def hash(self) -> str:
        """16 hex digits of the projection and of the coordinates rounded to a millimetre, or to 1e-6 degree."""
        unit = 1e6 if isinstance(self.projection, RotatedPole) else 1e3
        y, x = (np.rint(axis * unit).astype(np.int64) for axis in (self.y, self.x))
        return axes_digest(" ".join(self.crs.split()), y, x)

    def latlon(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the latitudes and longitudes of the points, [y, x] each, in degrees; read-only."""
        return _latlon(self)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """South, west, north and east of the points, in degrees; west or east may leave -180 .. 180."""
        lat, lon = self.latlon()
        lon = (lon - lon[0, 0] + 180.0) % 360.0 - 180.0 + lon[0, 0]
        return float(lat.min()), float(lon.min()), float(lat.max()), float(lon.max())

    @property
    def resolution(self) -> tuple[float, float]:
        """Mean spacing of the rows (y) and of the columns (x), in the unit of the axes; NaN of a lone point."""
        return spacing(self.y), spacing(self.x)

    @property
    def is_global_in_lon(self) -> bool:
        """False: a projected grid has an outermost column on each side."""
        return False

    def covers(self, other: LatLonPoints, margin: float = 0.0) -> bool:
        """Return whether every point of `other` lies within this grid, `margin` or more from its ends.

        `margin` is in the unit of the axes. Only the outermost points of `other` are looked at: the others lie between
        them.
        """
        lat, lon = other.latlon()
        y, x = self.position(_outermost(lat), _outermost(lon))
        return within(self.x, x, margin) and within(self.y, y, margin)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description, from which `grid_from_dict` makes an equal grid."""
        return {"type": "projected", "crs": self.crs, "y": axis_to_json(self.y), "x": axis_to_json(self.x)}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProjectedGrid) and self.hash == other.hash

    def __hash__(self) -> int:
        return int(self.hash, 16)

    def __str__(self) -> str:
        return f"{self.crs}, {axis_text('y', self.y)}, {axis_text('x', self.x)}"


@lru_cache(maxsize=4)
def _latlon(grid: ProjectedGrid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    lon, lat = grid.projection(*np.meshgrid(grid.x, grid.y), inverse=True)
    lat.flags.writeable = lon.flags.writeable = False
    return lat, lon


def _outermost(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([points[0], points[-1], points[:, 0], points[:, -1]])
