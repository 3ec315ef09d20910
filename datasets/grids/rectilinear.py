"""Rectilinear grids: latitudes by longitudes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corrstore.datasets.errors import BadInput
from corrstore.datasets.grids.axes import (
    SAME_POINT,
    Axis,
    LatLonPoints,
    axes_digest,
    axis_text,
    axis_to_json,
    cell_edges,
    checked_axis,
    extended,
    outer_cells,
    regular_axis,
    spacing,
    steps_between,
    within,
)


@dataclass(frozen=True, eq=False)
class RectilinearGrid:
    """A grid of latitudes by longitudes, in degrees; fields on it are [lat, lon].

    `lat` is monotonic either way. `lon` strictly increases, may be negative or exceed 360, and spans less
    than a circle; grids whose longitudes differ by whole circles are equal. Raises BadInput.
    """

    lat: Axis
    lon: Axis

    def __post_init__(self) -> None:
        lat, lon = checked_axis("lat", self.lat), checked_axis("lon", self.lon)
        if np.abs(lat).max() > 90.0 + 1e-6:
            raise BadInput(f"lat: got {lat[0]:g} .. {lat[-1]:g}, expected degrees between -90 and 90")
        if lon[0] > lon[-1]:
            raise BadInput(f"lon: got {lon[0]:g} .. {lon[-1]:g}, expected rising: flip the axis and the field")
        if lon[-1] - lon[0] >= 360.0:
            raise BadInput(f"lon: got {lon[0]:g} .. {lon[-1]:g}, expected less than a circle: drop the repeated points")
        object.__setattr__(self, "lat", lat)
        object.__setattr__(self, "lon", lon)

    @classmethod
    def from_box(
        cls, north: float, south: float, west: float, east: float, step: float, lon_step: float | None = None
    ) -> RectilinearGrid:
        """Return the grid of the points between four sides in degrees, north first.

        They are `step` degrees apart, and in longitude `lon_step` where that is given.
        """
        lon_step = step if lon_step is None else lon_step
        return cls(
            regular_axis(north, south, steps_between("north - south", north - south, step) + 1),
            regular_axis(west, east, steps_between("east - west", east - west, lon_step) + 1),
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Number of latitudes and of longitudes."""
        return self.lat.size, self.lon.size

    @cached_property
    def hash(self) -> str:
        """16 hex digits of the coordinates rounded to 1e-6 degree, longitudes modulo 360."""
        lat, lon = (np.rint(axis * 1e6).astype(np.int64) for axis in (self.lat, self.lon))
        return axes_digest("rectilinear", lat, lon - lon[0] // 360_000_000 * 360_000_000)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """South, west, north and east of the points, in degrees."""
        return float(self.lat.min()), float(self.lon[0]), float(self.lat.max()), float(self.lon[-1])

    @property
    def resolution(self) -> tuple[float, float]:
        """Mean spacing of the latitudes and of the longitudes, in degrees; NaN of a lone point."""
        return spacing(self.lat), spacing(self.lon)

    @property
    def is_global_in_lon(self) -> bool:
        """True where the longitudes close the circle: the first follows the last at the usual distance."""
        return self.lon.size > 1 and bool(self.lon[0] + 360.0 - self.lon[-1] <= (1.0 + 1e-2) * np.diff(self.lon).max())

    def latlon(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the latitudes and longitudes of the points, [lat, lon] each, in degrees; read-only views."""
        return np.broadcast_to(self.lat[:, None], self.shape), np.broadcast_to(self.lon, self.shape)

    def edges(self) -> tuple[Axis, Axis]:
        """Return the cell edges [lat + 1] and [lon + 1]: midway between points, no farther than the poles."""
        lat, lon = cell_edges("lat", self.lat).clip(-90.0, 90.0), cell_edges("lon", self.lon)
        if self.is_global_in_lon:
            lon[0] = (self.lon[-1] - 360.0 + self.lon[0]) / 2
            lon[-1] = lon[0] + 360.0
        return lat, lon

    def expanded(self, cells: int) -> RectilinearGrid:
        """Return this grid with a halo of `cells` points on each side.

        Raises BadInput where the halo passes a pole, or the longitudes pass a full circle.
        """
        return RectilinearGrid(extended("lat", self.lat, cells), extended("lon", self.lon, cells))

    def covers(self, other: LatLonPoints, margin: float = 0.0) -> bool:
        """Return whether every point of `other` lies within this grid, `margin` degrees or more from its ends."""
        lat, lon = other.latlon()
        if self.is_global_in_lon:
            return within(self.lat, lat, margin)
        west = self.lon[0] + margin - SAME_POINT * outer_cells(self.lon)[0]
        return within(self.lat, lat, margin) and within(self.lon, (lon - west) % 360.0 + west, margin)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description, from which `grid_from_dict` makes an equal grid."""
        return {"type": "rectilinear", "lat": axis_to_json(self.lat), "lon": axis_to_json(self.lon)}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RectilinearGrid) and self.hash == other.hash

    def __hash__(self) -> int:
        return int(self.hash, 16)

    def __str__(self) -> str:
        return f"{axis_text('lat', self.lat)}, {axis_text('lon', self.lon)}"
