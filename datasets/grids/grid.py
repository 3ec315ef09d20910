"""Grids of all kinds: their description as JSON, and the named grids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corrstore.datasets.errors import BadInput
from corrstore.datasets.grids.axes import Axis, axis_from_json
from corrstore.datasets.grids.projected import ProjectedGrid
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.grids.scattered.points import PointsGrid

Grid = RectilinearGrid | ProjectedGrid | PointsGrid


def grid_from_dict(description: Mapping[str, Any]) -> RectilinearGrid | ProjectedGrid:
    """Return the grid that `to_dict` described; raises BadInput that names what is missing or unknown."""
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


_ROUNDING = 1.1e-3
"""Degrees by which two encodings of one coordinate differ at most: GRIB1 has thousandths, rounded or cut off."""
_PART_OF_CELL = 0.1

Turn = tuple[NDArray[np.int64], NDArray[np.int64]]
"""The rows and columns of a field that bring it into the order of another grid of the same points."""


def turn_onto(grid: Grid, other: Grid) -> Turn | None:
    """Return what brings a field on `other` into the order of `grid`, of which it has the same points; else None.

    Points are the same where they differ by no more than GRIB1 rounds coordinates, and by less than a tenth of a
    cell. Rows may go the other way, and longitudes begin elsewhere on the circle or be whole circles away.
    """
    if grid.shape != other.shape:
        return None
    rows, columns = (np.arange(size) for size in grid.shape)
    if isinstance(grid, RectilinearGrid) and isinstance(other, RectilinearGrid):
        if (grid.lat[-1] - grid.lat[0]) * (other.lat[-1] - other.lat[0]) < 0:
            rows = rows[::-1]
        columns = np.roll(columns, -int(np.abs(_around(other.lon - grid.lon[0])).argmin()))
        near = _near(grid.lat, other.lat[rows]) and _near(grid.lon, grid.lon + _around(other.lon[columns] - grid.lon))
        return (rows, columns) if near else None
    if type(grid) is not type(other):
        return None
    if isinstance(grid, ProjectedGrid) and isinstance(other, ProjectedGrid):
        rows, columns = (
            place if (mine[-1] - mine[0]) * (theirs[-1] - theirs[0]) >= 0 else place[::-1]
            for place, mine, theirs in ((rows, grid.y, other.y), (columns, grid.x, other.x))
        )
        lat, lon = (each[np.ix_([0, -1], [0, -1])] for each in grid.latlon())
        other_lat, other_lon = (each[np.ix_(rows[[0, -1]], columns[[0, -1]])] for each in other.latlon())
    else:
        (lat, lon), (other_lat, other_lon) = grid.latlon(), other.latlon()
    cell = np.hypot(np.ptp(lat[np.isfinite(lat)]), np.ptp(lon[np.isfinite(lon)])) / max(1, *grid.shape)
    away = np.hypot(lat - other_lat, _around(lon - other_lon) * np.cos(np.deg2rad(lat)))
    return (rows, columns) if np.nanmax(away) <= min(_ROUNDING, _PART_OF_CELL * cell) else None


def _around(degrees: Axis) -> Axis:
    """Return differences of longitudes between -180 and 180 degrees."""
    return (degrees + 180.0) % 360.0 - 180.0


def _near(axis: Axis, other: Axis) -> bool:
    cell = np.abs(np.diff(axis)).min() if axis.size > 1 else 1.0
    return bool(np.abs(axis - other).max() <= min(_ROUNDING, _PART_OF_CELL * cell))


PRESETS: dict[str, RectilinearGrid] = {
    "era5_china": RectilinearGrid.from_box(60.00, 12.25, 70.00, 141.75, 0.25),
    "china_3km": RectilinearGrid.from_box(60.10, 12.13, 70.00, 141.97, 0.03),
    "cma_meso_3km": RectilinearGrid.from_box(60.10, 10.00, 70.00, 145.00, 0.03),
}
"""Named grids. `era5_china` is the input of arXiv 2512.05377. The paper gives its target as 1600 x 2400
points over the same box: `china_3km` takes those of CMA-MESO, `cma_meso_3km`, from the north-west on."""


def preset(name: str) -> RectilinearGrid:
    """Return the grid of that name in PRESETS; raises BadInput that lists the names."""
    if name not in PRESETS:
        raise BadInput(f"grid: got {name!r}, expected one of {', '.join(PRESETS)}")
    return PRESETS[name]
