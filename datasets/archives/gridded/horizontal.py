"""The horizontal grid of a NetCDF or Zarr variable: rectilinear, regular in a projection, or points."""

from __future__ import annotations

import warnings
from functools import lru_cache

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from corrstore.datasets.archives.gridded.axes import Axes
from corrstore.datasets.errors import BadInput
from corrstore.datasets.grids.axes import regular_axis
from corrstore.datasets.grids.grid import Grid
from corrstore.datasets.grids.proj import CRS, CRSError
from corrstore.datasets.grids.projected import ProjectedGrid
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.grids.rotated_pole import RotatedPole
from corrstore.datasets.grids.scattered.points import PointsGrid
from corrstore.datasets.variables.units import conversion

Coordinate = NDArray[np.float64]
_ROWS, _COLUMNS = {"projection_y_coordinate", "grid_latitude"}, {"projection_x_coordinate", "grid_longitude"}
_PART_OF_CELL = 0.1  # by which a projection may miss the stated latitudes and longitudes, which are rounded


def plane(axes: Axes, variable: str) -> tuple[str, ...]:
    """Return the dimensions of a slice of the variable: rows and columns, or the one that points lie along.

    Raises BadInput where there are no latitudes and longitudes.
    """
    lat, lon = axes.name("lat"), axes.name("lon")
    if lat is None or lon is None:
        rows, columns = _projection_axes(axes, variable)
        if rows and columns and _projected(axes, variable) is not None:
            return rows, columns
        raise BadInput(
            f"no latitude and longitude among {', '.join(map(str, axes.dataset.variables))}; write in the source's"
            " table dims: {lat: NAME, lon: NAME}"
        )
    along_lat, along_lon = (axes.space(name).dims for name in (lat, lon))
    if len(along_lat) == 1 and len(along_lon) == 1 and along_lat != along_lon:
        return str(along_lat[0]), str(along_lon[0])
    if along_lat != along_lon or len(along_lat) not in (1, 2):
        raise BadInput(f"{lat} has the dimensions {along_lat} and {lon} {along_lon}, expected one or two, the same")
    return tuple(map(str, along_lat))


def grid(axes: Axes, variable: str) -> tuple[Grid, slice]:
    """Return the grid of the variable, and the columns of the file that are its columns, in their order.

    Longitudes that fall, begin again within a row, or close the circle with the first point once more, are brought into
    the order of a grid. Raises BadInput where there is none.
    """
    along = plane(axes, variable)
    projected = _projected(axes, variable)
    if projected is not None:
        return projected, slice(None)
    lat, lon = (np.asarray(axes.space(str(axes.name(each))).values, dtype=np.float64) for each in ("lat", "lon"))
    if len(set(along)) == 2 and lat.ndim == 1:
        columns, lon = _rising(lon)
        return _rectilinear(lat.tobytes(), lon.tobytes()), columns
    return _points(lat.tobytes(), lon.tobytes(), lat.shape), slice(None)


@lru_cache(maxsize=8)
def _rectilinear(lat: bytes, lon: bytes) -> RectilinearGrid:
    return RectilinearGrid(_regular(np.frombuffer(lat)), _regular(np.frombuffer(lon)))


@lru_cache(maxsize=8)
def _points(lat: bytes, lon: bytes, shape: tuple[int, ...]) -> PointsGrid:
    return PointsGrid(np.frombuffer(lat).reshape(shape), np.frombuffer(lon).reshape(shape))


def _regular(axis: Coordinate) -> Coordinate:
    """Return a regular axis made from its rounded ends: files keep it in float32, and the errors would add up."""
    if len(axis) < 2:
        return axis
    exact = regular_axis(round(float(axis[0]), 4), round(float(axis[-1]), 4), len(axis))
    return exact if np.allclose(exact, axis, rtol=0, atol=1e-4) else axis


def _rising(lon: Coordinate) -> tuple[slice, Coordinate]:
    """Return the columns whose longitudes rise through less than a circle, and those longitudes."""
    if len(lon) < 2:
        return slice(None), lon
    steps = np.diff(lon)
    if not ((steps > 0).all() or (steps < 0).all()):
        lon = np.unwrap(lon, period=360.0)
    falls = bool(lon[-1] < lon[0])
    rising = lon[::-1] if falls else lon
    within = int(np.count_nonzero(rising - rising[0] < 360.0 - 1e-4))
    columns = slice(None, -1 - within if within < len(lon) else None, -1) if falls else slice(within)
    return columns, np.ascontiguousarray(rising[:within])


def _projection_axes(axes: Axes, variable: str) -> tuple[str | None, str | None]:
    """Return the one-dimensional coordinates of the variable along y and along x of a projection."""
    found: list[str | None] = []
    for names in (_ROWS, _COLUMNS):
        coordinates = (axes.dataset[name] for name in axes.dataset[variable].dims if name in axes.dataset.coords)
        found.append(next((str(each.name) for each in coordinates if each.attrs.get("standard_name") in names), None))
    return found[0], found[1]


def _projected(axes: Axes, variable: str) -> ProjectedGrid | None:
    """Return the grid of a variable with a grid mapping (CF conventions, 5.6); None where there is none that is known.

    Where latitudes and longitudes are stated too, and the projection does not give them, they are believed.
    """
    field = axes.dataset[variable]
    mapping = str({**field.encoding, **field.attrs}.get("grid_mapping", "")).partition(":")[0].split()
    rows, columns = _projection_axes(axes, variable)
    if not mapping or mapping[0] not in axes.dataset.variables or rows is None or columns is None:
        return None
    crs = _crs(axes.dataset[mapping[0]].attrs)
    if crs is None:
        return None
    x, y = (_in_units_of(crs, axes.dataset[name].variable) for name in (columns, rows))
    if x is None or y is None:
        return None
    found = _projected_of(crs, x.tobytes(), y.tobytes())
    lat, lon = axes.name("lat"), axes.name("lon")
    if lat is None or lon is None:
        return found
    stated = [axes.space(name).values.astype(np.float64) for name in (lat, lon)]
    return found if _agree(found, *stated) else None


@lru_cache(maxsize=8)
def _projected_of(crs: str, x: bytes, y: bytes) -> ProjectedGrid:
    return ProjectedGrid(crs, np.frombuffer(x), np.frombuffer(y))


def _crs(attributes: dict[str, object]) -> str | None:
    """Return the PROJ string of a grid mapping; None for latitudes and longitudes, and what pyproj does not know."""
    kind = attributes.get("grid_mapping_name")
    if kind in (None, "latitude_longitude", "geostationary", "vertical_perspective"):
        return None
    if kind == "rotated_latitude_longitude":
        if float(str(attributes.get("north_pole_grid_longitude", 0.0))):
            return None
        lat, lon = (float(str(attributes[f"grid_north_pole_{each}"])) for each in ("latitude", "longitude"))
        return RotatedPole(-lat, (lon + 360.0) % 360.0 - 180.0).proj_string
    try:
        alone = {name: value for name, value in attributes.items() if name not in ("crs_wkt", "spatial_ref")}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a PROJ string has no names
            return str(CRS.from_cf(alone).to_proj4())
    except (CRSError, KeyError, ValueError):
        return None


def _in_units_of(crs: str, coordinate: xr.Variable) -> Coordinate | None:
    """Return a coordinate in metres, or in degrees around a rotated pole; None where it is in neither."""
    units = str(coordinate.attrs.get("units", "degrees" if "ob_tran" in crs else "m"))
    found = conversion(units, "degree" if "ob_tran" in crs else "m")
    return None if found is None else np.asarray(coordinate.values, np.float64) * found[0]


def _agree(grid: ProjectedGrid, lat: Coordinate, lon: Coordinate) -> bool:
    """Return whether the stated coordinates of the outermost points are those of the grid."""
    if lat.shape != grid.shape or lon.shape != grid.shape:
        return lat.ndim == 1
    corners = np.ix_([0, -1], [0, -1])
    y, x = grid.position(lat[corners], lon[corners])
    cells = [np.abs(np.diff(axis)).min() if axis.size > 1 else 1.0 for axis in (grid.y, grid.x)]
    away = [np.abs(y - grid.y[[0, -1]][:, None]) / cells[0], np.abs(x - grid.x[[0, -1]]) / cells[1]]
    return bool(np.max(away) <= _PART_OF_CELL)
