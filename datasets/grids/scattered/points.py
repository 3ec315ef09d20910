"""Grids that are known by the latitudes and longitudes of their points alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from corrstore.datasets.errors import BadInput
from corrstore.datasets.grids.axes import LatLonPoints, axes_digest


@dataclass(frozen=True, eq=False)
class PointsGrid:
    """Points in degrees, two-dimensional: rows and columns of a curvilinear grid, or one row of points in any order.

    A point without coordinates, NaN, is of no cell. Raises BadInput where latitudes and longitudes do not fit.
    """

    lat: NDArray[np.float64]
    lon: NDArray[np.float64]

    def __post_init__(self) -> None:
        lat, lon = (np.array(_two_dimensional(each)) for each in (self.lat, self.lon))
        if lat.shape != lon.shape:
            raise BadInput(f"lat has the shape {lat.shape} and lon {lon.shape}, expected the same")
        if not np.isfinite(lat).any() or np.nanmax(np.abs(lat)) > 90.0 + 1e-6:
            raise BadInput("lat: expected degrees between -90 and 90, got others or none")
        lat.flags.writeable = lon.flags.writeable = False
        object.__setattr__(self, "lat", lat)
        object.__setattr__(self, "lon", lon)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of columns; one row where the points have no order."""
        return self.lat.shape[0], self.lat.shape[1]

    @property
    def is_curvilinear(self) -> bool:
        """True where the points have rows and columns."""
        return min(self.shape) > 1

    @cached_property
    def hash(self) -> str:
        """16 hex digits of the coordinates rounded to 1e-6 degree, longitudes modulo 360."""
        lat, lon = (np.rint(np.nan_to_num(each, nan=1e3) * 1e6).astype(np.int64) for each in (self.lat, self.lon))
        return axes_digest(f"points {self.shape}", lat, lon % 360_000_000)

    def latlon(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the latitudes and longitudes of the points, in degrees; read-only."""
        return self.lat, self.lon

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """South, west, north and east of the points, in degrees; longitudes as they are written."""
        lon = self.lon[np.isfinite(self.lon)]
        return float(np.nanmin(self.lat)), float(lon.min()), float(np.nanmax(self.lat)), float(lon.max())

    def convergence(self) -> NDArray[np.float64]:
        """Return the angle from north of each point's upward axis: its columns, turned left by a right angle.

        It is in degrees clockwise, by differences of the points along their row. Points without rows have the axes
        of the earth.
        """
        if not self.is_curvilinear:
            return np.zeros(self.shape)
        lat, lon = np.deg2rad(self.lat), np.deg2rad(self.lon)
        edge: Literal[1, 2] = 2 if self.shape[1] > 2 else 1
        along = [np.gradient(part, axis=1, edge_order=edge) for part in unit_vectors(lat, lon)]
        east = along[1] * np.cos(lon) - along[0] * np.sin(lon)
        north = along[2] * np.cos(lat) - (along[0] * np.cos(lon) + along[1] * np.sin(lon)) * np.sin(lat)
        return np.rad2deg(np.arctan2(-north, east))

    def covers(self, other: LatLonPoints, margin: float = 0.0) -> bool:
        """Return whether the box around these points holds the points of `other`, `margin` degrees or more inside.

        Points that lie in the box and in no cell are missing in what is regridded.
        """
        lat, lon = other.latlon()
        south, west, north, east = self.bounds
        middle = (west + east) / 2
        away = np.abs((lon - middle + 180.0) % 360.0 - 180.0)
        slack = 1e-4
        return bool(
            lat.min() >= south + margin - slack
            and lat.max() <= north - margin + slack
            and (east - west > 300.0 or away.max() <= (east - west) / 2 - margin + slack)
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PointsGrid) and self.hash == other.hash

    def __hash__(self) -> int:
        return int(self.hash, 16)

    def __str__(self) -> str:
        south, west, north, east = self.bounds
        kind = f"{self.shape[0]} x {self.shape[1]} curvilinear" if self.is_curvilinear else f"{self.lat.size} scattered"
        return f"{kind} points, lat {south:g} .. {north:g}, lon {west:g} .. {east:g}"


def unit_vectors(lat: NDArray[np.float64], lon: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Return x, y and z of points on the unit sphere; latitudes and longitudes are in radians."""
    return np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)


def _two_dimensional(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    return array[np.newaxis] if array.ndim == 1 else array
