"""Horizontal grids: latitude by longitude, and regular in a map projection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import Proj
from pyproj.exceptions import CRSError

from corrstore.datasets.errors import BadInput
from corrstore.datasets.grids.axes import (
    SAME_POINT,
    Axis,
    axis_from_json,
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

__all__ = ["PRESETS", "Grid", "ProjectedGrid", "RectilinearGrid", "grid_from_dict", "preset", "regular_axis"]


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
    def from_box(cls, north: float, south: float, west: float, east: float, step: float) -> RectilinearGrid:
        """The points `step` degrees apart from the north-west to the south-east one, north first."""
        return cls(
            regular_axis(north, south, steps_between("north - south", north - south, step) + 1),
            regular_axis(west, east, steps_between("east - west", east - west, step) + 1),
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Number of latitudes and of longitudes."""
        return self.lat.size, self.lon.size

    @cached_property
    def hash(self) -> str:
        """16 hex digits of the coordinates rounded to 1e-6 degree, longitudes modulo 360."""
        lat, lon = (np.rint(axis * 1e6).astype(np.int64) for axis in (self.lat, self.lon))
        return _digest("rectilinear", lat, lon - lon[0] // 360_000_000 * 360_000_000)

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
        """Whether the longitudes close the circle: the first follows the last at the usual distance."""
        return self.lon.size > 1 and bool(self.lon[0] + 360.0 - self.lon[-1] <= (1.0 + 1e-2) * np.diff(self.lon).max())

    def edges(self) -> tuple[Axis, Axis]:
        """Edges of the cells [lat + 1] and [lon + 1]: midway between points, no farther than the poles."""
        lat, lon = cell_edges("lat", self.lat).clip(-90.0, 90.0), cell_edges("lon", self.lon)
        if self.is_global_in_lon:
            lon[0] = (self.lon[-1] - 360.0 + self.lon[0]) / 2
            lon[-1] = lon[0] + 360.0
        return lat, lon

    def expanded(self, cells: int) -> RectilinearGrid:
        """This grid with a halo of `cells` points on each side; BadInput if it passes a pole or itself."""
        return RectilinearGrid(extended("lat", self.lat, cells), extended("lon", self.lon, cells))

    def covers(self, other: Grid, margin: float = 0.0) -> bool:
        """Whether every point of `other` is among these, `margin` degrees or more from the outermost."""
        if isinstance(other, RectilinearGrid):
            lat, lon = other.lat, other.lon
        else:
            lat, lon = other.latlon()
        if self.is_global_in_lon:
            return within(self.lat, lat, margin)
        west = self.lon[0] + margin - SAME_POINT * outer_cells(self.lon)[0]
        return within(self.lat, lat, margin) and within(self.lon, (lon - west) % 360.0 + west, margin)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able description, of which `grid_from_dict` makes this very grid."""
        return {"type": "rectilinear", "lat": axis_to_json(self.lat), "lon": axis_to_json(self.lon)}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RectilinearGrid) and self.hash == other.hash

    def __hash__(self) -> int:
        return int(self.hash, 16)

    def __str__(self) -> str:
        return f"{axis_text('lat', self.lat)}, {axis_text('lon', self.lon)}"


@dataclass(frozen=True, eq=False)
class ProjectedGrid:
    """A grid that is regular in a map projection; fields on it are [y, x].

    `crs` is a PROJ string, `x` and `y` are metres in it, each monotonic either way. Raises BadInput.
    """

    crs: str
    x: Axis
    y: Axis

    def __post_init__(self) -> None:
        try:
            Proj(self.crs)
        except CRSError as error:
            raise BadInput(f"crs: got {self.crs!r}, expected a PROJ string: {error}") from error
        object.__setattr__(self, "x", checked_axis("x", self.x))
        object.__setattr__(self, "y", checked_axis("y", self.y))

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows (y) and of columns (x)."""
        return self.y.size, self.x.size

    @cached_property
    def hash(self) -> str:
        """16 hex digits of the projection and of the coordinates rounded to a millimetre."""
        y, x = (np.rint(axis * 1e3).astype(np.int64) for axis in (self.y, self.x))
        return _digest(" ".join(self.crs.split()), y, x)

    def latlon(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Latitudes and longitudes of the points, [y, x] each, in degrees; read-only."""
        return _latlon(self)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """South, west, north and east of the points, in degrees; west or east may leave -180 .. 180."""
        lat, lon = self.latlon()
        lon = (lon - lon[0, 0] + 180.0) % 360.0 - 180.0 + lon[0, 0]
        return float(lat.min()), float(lon.min()), float(lat.max()), float(lon.max())

    @property
    def resolution(self) -> tuple[float, float]:
        """Mean spacing of the rows (y) and of the columns (x), in metres; NaN of a lone point."""
        return spacing(self.y), spacing(self.x)

    @property
    def is_global_in_lon(self) -> bool:
        """False: a projected grid has an outermost column on each side."""
        return False

    def covers(self, other: Grid, margin: float = 0.0) -> bool:
        """Whether every point of `other` is among these, `margin` metres or more from the outermost.

        Only the outermost points of `other` are looked at: the others lie between them.
        """
        if isinstance(other, RectilinearGrid):
            lat, lon = np.meshgrid(other.lat, other.lon, indexing="ij")
        else:
            lat, lon = other.latlon()
        x, y = Proj(self.crs)(_outermost(lon), _outermost(lat))
        return within(self.x, x, margin) and within(self.y, y, margin)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able description, of which `grid_from_dict` makes this very grid."""
        return {"type": "projected", "crs": self.crs, "y": axis_to_json(self.y), "x": axis_to_json(self.x)}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProjectedGrid) and self.hash == other.hash

    def __hash__(self) -> int:
        return int(self.hash, 16)

    def __str__(self) -> str:
        return f"{self.crs}, {axis_text('y', self.y)}, {axis_text('x', self.x)}"


Grid = RectilinearGrid | ProjectedGrid


def grid_from_dict(description: Mapping[str, Any]) -> Grid:
    """The grid that `to_dict` described; BadInput names what is missing or unknown."""
    try:
        match description["type"]:
            case "rectilinear":
                return RectilinearGrid(axis_from_json(description["lat"]), axis_from_json(description["lon"]))
            case "projected":
                x, y = axis_from_json(description["x"]), axis_from_json(description["y"])
                return ProjectedGrid(description["crs"], x, y)
            case unknown:
                raise BadInput(f"grid type: got {unknown!r}, expected 'rectilinear' or 'projected'")
    except KeyError as error:
        raise BadInput(f"grid: the description has no {error}, only {', '.join(description)}") from error


@lru_cache(maxsize=4)
def _latlon(grid: ProjectedGrid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    lon, lat = Proj(grid.crs)(*np.meshgrid(grid.x, grid.y), inverse=True)
    lat.flags.writeable = lon.flags.writeable = False
    return lat, lon


def _outermost(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([points[0], points[-1], points[:, 0], points[:, -1]])


def _digest(kind: str, *axes: NDArray[np.int64]) -> str:
    digest = blake2b(kind.encode(), digest_size=8)
    for axis in axes:
        digest.update(b"%d:" % axis.size)
        digest.update(axis.astype("<i8").tobytes())
    return digest.hexdigest()


PRESETS: dict[str, RectilinearGrid] = {
    "era5_china": RectilinearGrid.from_box(60.00, 12.25, 70.00, 141.75, 0.25),
    "china_3km": RectilinearGrid.from_box(60.10, 12.13, 70.00, 141.97, 0.03),
    "cma_meso_3km": RectilinearGrid.from_box(60.10, 10.00, 70.00, 145.00, 0.03),
}
"""Named grids. `era5_china` is the input of arXiv 2512.05377. The paper gives its target as 1600 x 2400
points over the same box: `china_3km` takes those of CMA-MESO, `cma_meso_3km`, from the north-west on."""


def preset(name: str) -> RectilinearGrid:
    """The grid of that name in PRESETS; BadInput with the names there are."""
    if name not in PRESETS:
        raise BadInput(f"grid: got {name!r}, expected one of {', '.join(PRESETS)}")
    return PRESETS[name]
