"""Regridding to latitude-longitude grids: bilinear, conservative, or nearest point.

Points outside the source are NaN, and so is every point that gives weight to a NaN of the source. A constant field
stays constant.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from corrstore.datasets.errors import BadInput
from corrstore.datasets.grids.axes import fractional_index, longitude_index
from corrstore.datasets.grids.fields import FieldArray, check_shape, output_array
from corrstore.datasets.grids.grid import Grid
from corrstore.datasets.grids.projected import ProjectedGrid
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.grids.regrid_kernels import (
    average_cells,
    interpolate_axes,
    interpolate_points,
    interpolate_triangles,
)
from corrstore.datasets.grids.regrid_weights import (
    Overlaps,
    TwoPoints,
    latitude_overlaps,
    longitude_overlaps,
    nearest_index,
    two_points,
)
from corrstore.datasets.grids.scattered.points import PointsGrid
from corrstore.datasets.grids.scattered.triangles import TriangleInterpolation, nearest_weights, triangle_weights

Method = Literal["bilinear", "conservative", "nearest"]


class PointSelection(NamedTuple):
    """The rows and columns of the source that are the destination's points."""

    rows: slice | NDArray[np.int64]
    columns: slice | NDArray[np.int64]


class AxisInterpolation(NamedTuple):
    """Neighbours along the latitudes and along the longitudes."""

    rows: TwoPoints
    columns: TwoPoints


class CellAverage(NamedTuple):
    """Overlaps along the latitudes and along the longitudes."""

    rows: Overlaps
    columns: Overlaps


class PointInterpolation(NamedTuple):
    """The first of four neighbours of each destination point [lat, lon], and weights, which are NaN outside."""

    corner: NDArray[np.int32]
    row_weight: NDArray[np.float32]
    column_weight: NDArray[np.float32]


Weights = PointSelection | AxisInterpolation | CellAverage | PointInterpolation | TriangleInterpolation


def regridder(source: Grid, destination: RectilinearGrid, method: Method = "bilinear") -> Regridder:
    """Return the function that regrids fields from one grid to another, the same object for equal arguments.

    - Destination points that are all source points (to 1e-4 of a cell, longitudes modulo 360) are selected.
    - `bilinear` is linear in latitude and longitude, or in the source's own projection; it goes around the
      circle where the source does.
    - `conservative` is the mean over the area of the destination's cell, on the sphere, to first order (Jones
      1999, Mon. Wea. Rev. 127, 2204). A cell that the source covers only partly is outside.
    - `nearest` takes the nearest point in each direction, and is for categories.

    Raises BadInput for an unknown method, and for `conservative` from a projected grid.
    """
    if method not in get_args(Method):
        raise BadInput(f"method: got {method!r}, expected one of {', '.join(get_args(Method))}")
    return _regridder(source, destination, method)


@dataclass(frozen=True, eq=False)
class Regridder:
    """A function that regrids fields, made by `regridder`. It pickles as grids and method, without weights."""

    source: Grid
    destination: RectilinearGrid
    method: Method
    weights: Weights

    def __call__(self, field: ArrayLike, out: FieldArray | None = None) -> FieldArray:
        """Regrid a field [..., H, W] on the source grid to [..., lat, lon] on the destination grid, float32.

        A selection is a view of `field` where it can be. `out`, if given, receives the result; it is float32
        and C-contiguous. Raises BadInput where the shapes do not fit.
        """
        field = np.asarray(field, np.float32)
        check_shape(field, self.source.shape, f"the source grid, {self.source}")
        if isinstance(self.weights, PointSelection):
            selected = field[..., self.weights.rows, :][..., self.weights.columns]
            if out is None:
                return selected
            np.copyto(output_array(field, self.destination.shape, out), selected)
            return out
        result = output_array(field, self.destination.shape, out)
        planes = np.ascontiguousarray(field).reshape(-1, *self.source.shape)
        into = result.reshape(-1, *self.destination.shape)
        match self.weights:
            case AxisInterpolation(rows, columns):
                interpolate_axes(planes, *rows, *columns, into)
            case CellAverage(rows, columns):
                average_cells(planes, *rows, *columns, into)
            case PointInterpolation():
                interpolate_points(planes, *self.weights, into)
            case TriangleInterpolation(corners, weights):
                interpolate_triangles(planes, corners, weights, into)
        return result

    def __reduce__(self) -> tuple[Callable[..., Regridder], tuple[Grid, RectilinearGrid, Method]]:
        return regridder, (self.source, self.destination, self.method)


@lru_cache(maxsize=16)
def _regridder(source: Grid, destination: RectilinearGrid, method: Method) -> Regridder:
    if isinstance(source, PointsGrid):
        return Regridder(source, destination, method, _scattered_weights(source, destination, method))
    if isinstance(source, ProjectedGrid):
        return Regridder(source, destination, method, _projected_weights(source, destination, method))
    return Regridder(source, destination, method, _rectilinear_weights(source, destination, method))


def _rectilinear_weights(source: RectilinearGrid, destination: RectilinearGrid, method: Method) -> Weights:
    if method == "conservative":
        overlaps = latitude_overlaps(source, destination), longitude_overlaps(source, destination)
        if all((np.diff(axis.start) == 1).all() for axis in overlaps):
            return PointSelection(*(_slice_if_regular(axis.cell) for axis in overlaps))
        return CellAverage(*overlaps)
    rows = fractional_index(source.lat, destination.lat)
    columns = longitude_index(source.lon, destination.lon, source.is_global_in_lon)
    if method == "nearest":
        rows, columns = nearest_index(rows, source.lat.size), nearest_index(columns, source.lon.size)
    if all(np.array_equal(index, np.rint(index)) for index in (rows, columns)):
        return PointSelection(*(_slice_if_regular(index.astype(np.int64)) for index in (rows, columns)))
    return AxisInterpolation(two_points(rows, source.lat.size), two_points(columns, source.lon.size))


def _projected_weights(source: ProjectedGrid, destination: RectilinearGrid, method: Method) -> Weights:
    _refuse_conservative("a projected grid", source, method)
    height, width = source.shape
    corner = np.empty(destination.shape, np.int32)
    row_weight, column_weight = (
        np.empty(destination.shape, np.float32),
        np.empty(destination.shape, np.float32),
    )
    for row, lat in enumerate(destination.lat):
        y, x = source.position(np.full_like(destination.lon, lat), destination.lon)
        down, along = fractional_index(source.y, y), fractional_index(source.x, x)
        if method == "nearest":
            down, along = nearest_index(down, height), nearest_index(along, width)
        rows, columns = two_points(down, height), two_points(along, width)
        corner[row] = rows.lower * width + columns.lower
        row_weight[row], column_weight[row] = rows.weight_upper, columns.weight_upper
    return PointInterpolation(corner, row_weight, column_weight)


def _scattered_weights(source: PointsGrid, destination: RectilinearGrid, method: Method) -> TriangleInterpolation:
    _refuse_conservative("scattered points", source, method)
    return (triangle_weights if method == "bilinear" else nearest_weights)(source, destination)


def _refuse_conservative(kind: str, source: Grid, method: Method) -> None:
    if method == "conservative":
        raise BadInput(
            f"method: got 'conservative' from {kind} ({source}), expected 'bilinear' or 'nearest': "
            "go 'bilinear' to a latitude by longitude grid as fine as the source, from there 'conservative'"
        )


def _slice_if_regular(index: NDArray[np.int64]) -> slice | NDArray[np.int64]:
    steps = np.diff(index) if index.size > 1 else np.ones(1, np.int64)
    step, stop = int(steps[0]), int(index[-1] + steps[0])
    if step == 0 or (steps != step).any():
        return index
    return slice(int(index[0]), stop if stop >= 0 else None, step)
