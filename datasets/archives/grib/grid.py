"""The grid of a GRIB message, and the scanning order of its values on that grid.

Latitudes and longitudes follow from the first and last point and the count: increments may be rounded. Projected
grids state no last point; theirs follow from the first point and the increments.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from corrstore.datasets.archives.grib.handle import eccodes, integer_key
from corrstore.datasets.archives.grib.projection import proj_string
from corrstore.datasets.errors import BadInput, DamagedData
from corrstore.datasets.grids.axes import Axis, regular_axis
from corrstore.datasets.grids.grid import Grid
from corrstore.datasets.grids.proj import Proj
from corrstore.datasets.grids.projected import ProjectedGrid
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.grids.rotated_pole import RotatedPole
from corrstore.datasets.grids.scattered.points import PointsGrid

_I_NEGATIVE, _J_POSITIVE, _J_CONSECUTIVE, _ALTERNATING, _STAGGERED = 0x80, 0x40, 0x20, 0x10, 0x0F
"""Scanning mode, WMO FM 92 GRIB2 flag table 3.4."""

_RECTILINEAR = {"regular_ll", "regular_gg"}
_ROTATED = {"rotated_ll", "rotated_gg"}
_PROJECTED = {"lambert", "mercator", "polar_stereographic"}
_SAME_LATITUDE = 2e-3
_SPECTRAL = "it holds the coefficients of a spectral field; transform it to a grid first, as with `cdo sp2gp IN OUT`"
_REDUCED = {"reduced_gg", "reduced_ll"}
_OTHER = "regrid it to latitudes and longitudes first, with a program that turns the winds to east and north too"
_ADVICE = {
    "sh": _SPECTRAL,
    "unstructured_grid": "the coordinates of its points are not in the message; regrid it first, as with ICON's tools",
}


@dataclass(frozen=True)
class ScannedGrid:
    """The grid of a message, rows north first and columns west first, and the scanning mode of the values."""

    grid: Grid
    scanning_mode: int

    def oriented(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return values in scanning order as [row, column] of the grid, C-contiguous; a copy only where they differ."""
        rows, columns = self.grid.shape
        by_column = self.scanning_mode & _J_CONSECUTIVE
        lines = values.reshape((columns, rows) if by_column else (rows, columns))
        if self.scanning_mode & _ALTERNATING:
            lines = lines.copy()
            lines[1::2] = lines[1::2, ::-1]
        field = lines.T if by_column else lines
        south_first, east_first = self.scanning_mode & _J_POSITIVE, self.scanning_mode & _I_NEGATIVE
        return np.ascontiguousarray(field[:: -1 if south_first else 1, :: -1 if east_first else 1])


_scanned_grids: dict[bytes, ScannedGrid] = {}


def scanned_grid(handle: int, section: bytes) -> ScannedGrid:
    """Return the grid and scanning mode of a message; messages with equal grid `section` share one.

    Regular latitude-longitude and Gaussian grids are rectilinear; those around a rotated pole, Lambert, Mercator and
    polar stereographic ones projected; reduced ones are points. Raises BadInput, with the fix, for other grids, and
    DamagedData for those that contradict themselves.
    """
    if section not in _scanned_grids:
        _scanned_grids[section] = _scanned_grid(handle)
    return _scanned_grids[section]


def _scanned_grid(handle: int) -> ScannedGrid:
    kind = eccodes.codes_get(handle, "gridType")
    if kind in _REDUCED:
        lat, lon = (eccodes.codes_get_array(handle, key) for key in ("latitudes", "longitudes"))
        return ScannedGrid(PointsGrid(lat, lon), scanning_mode=0)
    if kind not in _RECTILINEAR | _ROTATED | _PROJECTED:
        raise BadInput(f"its grid is {kind}, which is not read: {_ADVICE.get(kind, _OTHER)}")
    scanning_mode = integer_key(handle, "scanningMode") or 0
    if scanning_mode & _STAGGERED:
        raise BadInput(f"its scanning mode is {scanning_mode}, staggered rows, which are not read: {_OTHER}")
    rows, columns = eccodes.codes_get(handle, "Nj"), eccodes.codes_get(handle, "Ni")
    count = eccodes.codes_get_size(handle, "values")
    if rows * columns != count:
        raise DamagedData(f"its grid has {rows} x {columns} points, but there are {count} values: it is damaged")
    if kind in _PROJECTED:
        return ScannedGrid(_projected(handle, kind, rows, columns, scanning_mode), scanning_mode)
    lat, lon = _axes(handle, kind, rows, columns, scanning_mode)
    grid = RectilinearGrid(lat, lon) if kind in _RECTILINEAR else ProjectedGrid(_rotated_pole(handle), lon, lat)
    return ScannedGrid(grid, scanning_mode)


def _rotated_pole(handle: int) -> str:
    angle = eccodes.codes_get(handle, "angleOfRotationInDegrees", float)
    if angle:
        raise BadInput(f"its rotated grid is turned about its own pole too, by {angle:g} degrees, which is not read")
    lat, lon = (
        eccodes.codes_get(handle, f"{each}OfSouthernPoleInDegrees", float) for each in ("latitude", "longitude")
    )
    return RotatedPole(lat, lon).proj_string


def _axes(handle: int, kind: str, rows: int, columns: int, scanning_mode: int) -> tuple[Axis, Axis]:
    """Return the latitudes, north first, and the longitudes, west first; rotated ones of a rotated grid."""
    lat = [eccodes.codes_get(handle, f"latitudeOf{end}GridPointInDegrees") for end in ("First", "Last")]
    lon = [eccodes.codes_get(handle, f"longitudeOf{end}GridPointInDegrees") for end in ("First", "Last")]
    south, north = lat if scanning_mode & _J_POSITIVE else lat[::-1]
    east, west = lon if scanning_mode & _I_NEGATIVE else lon[::-1]
    if south > north:
        raise DamagedData(f"its latitudes go from {lat[0]:g} to {lat[1]:g}, against its scanning mode {scanning_mode}")
    east = east if east >= west else east + 360.0
    if east > 360.0:
        west, east = west - 360.0, east - 360.0
    parallels = _gaussian(handle, north, south, rows) if kind.endswith("gg") else regular_axis(north, south, rows)
    return parallels, regular_axis(west, east, columns)


def _gaussian(handle: int, north: float, south: float, count: int) -> Axis:
    order = eccodes.codes_get(handle, "N")
    everywhere = np.array(list(eccodes.codes_get_gaussian_latitudes(order)))
    start = int(np.abs(everywhere - north).argmin())
    lat = everywhere[start : start + count]
    if lat.size != count or np.abs(lat[[0, -1]] - [north, south]).max() > _SAME_LATITUDE:
        raise DamagedData(
            f"its {count} latitudes from {north:g} to {south:g} are not on a Gaussian grid of N = {order}, which has "
            f"{lat.size} from {lat[0]:g} to {lat[-1]:g}: it is damaged"
        )
    return lat


def _projected(handle: int, kind: str, rows: int, columns: int, scanning_mode: int) -> ProjectedGrid:
    crs = proj_string(handle, kind)
    lat = eccodes.codes_get(handle, "latitudeOfFirstGridPointInDegrees")
    lon = eccodes.codes_get(handle, "longitudeOfFirstGridPointInDegrees")
    x, y = Proj(crs)(lon, lat)
    dx = eccodes.codes_get(handle, "DxInMetres", float) * np.arange(columns)
    dy = eccodes.codes_get(handle, "DyInMetres", float) * np.arange(rows)
    return ProjectedGrid(
        crs,
        x - dx[::-1] if scanning_mode & _I_NEGATIVE else x + dx,
        y + dy[::-1] if scanning_mode & _J_POSITIVE else y - dy,
    )
