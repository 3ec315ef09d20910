"""Regridding by weights in the file format of ESMF and xESMF, for grids without a projection."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
import scipy
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from corrstore.datasets.errors import BadInput
from corrstore.datasets.grids.axes import LatLonPoints
from corrstore.datasets.grids.fields import FieldArray, check_shape, output_array

_SUM_TOLERANCE = 1e-4
_SAME_COORDINATE = 2e-3  # degrees


class ShapedPoints(LatLonPoints, Hashable, Protocol):
    """A grid of any kind."""

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of columns."""


@dataclass(frozen=True, eq=False)
class EsmfWeights:
    """Weights [destination points, source points] between grids of any kind; called as a `Regridder` is."""

    source_shape: tuple[int, int]
    destination_shape: tuple[int, int]
    weights: scipy.sparse.csr_array

    @classmethod
    def from_file(
        cls, path: str | Path, source_shape: tuple[int, int], destination_shape: tuple[int, int]
    ) -> EsmfWeights:
        """Read the weights of a file (ESMF Reference Manual, "Regrid Interpolation Weight File Format").

        Along `n_s`, `row` and `col` number the points of the destination and of the source from 1, row by
        row of the grid, and `S` is the weight. Raises BadInput where it is no such file or not of the shapes.
        """
        with _opened(path) as file:
            absent = [name for name in ("row", "col", "S") if name not in file.variables]
            if absent:
                raise BadInput(f"{path}: got no {', '.join(absent)}, expected ESMF weights: row, col and S")
            row, column = (file[name].to_numpy().astype(np.int64) - 1 for name in ("row", "col"))
            weight = file["S"].to_numpy().astype(np.float64)
            sizes = file.sizes
            _check_points(path, "row", row, destination_shape, sizes.get("n_b"))
            _check_points(path, "col", column, source_shape, sizes.get("n_a"))
        size = math.prod(destination_shape), math.prod(source_shape)
        matrix = scipy.sparse.csr_array((weight, (row, column)), shape=size)
        matrix.eliminate_zeros()
        return cls(source_shape, destination_shape, matrix)

    def __call__(self, field: ArrayLike, out: FieldArray | None = None) -> FieldArray:
        """Regrid a field [..., H, W] on the source grid to [..., h, w] on the destination grid, float32.

        A point whose weights do not add up to 1 is outside the source and NaN: it has none, or is a cell that
        the source covers only partly. `out`, if given, receives the result; it is float32 and C-contiguous.
        Raises BadInput where the shapes do not fit.
        """
        field = np.asarray(field, np.float32)
        check_shape(field, self.source_shape, "the source grid of the weights")
        result = output_array(field, self.destination_shape, out)
        planes = field.reshape(-1, math.prod(self.source_shape))
        into = result.reshape(-1, math.prod(self.destination_shape))
        for plane, regridded in zip(planes, into, strict=True):
            regridded[:] = self.weights @ plane
            regridded[self._outside] = np.nan
        return result

    @cached_property
    def _outside(self) -> NDArray[np.bool_]:
        return np.abs(self.weights.sum(axis=1) - 1.0) > _SUM_TOLERANCE


def weights_of_file(path: str, source: ShapedPoints, destination: ShapedPoints) -> EsmfWeights:
    """Return the weights of a file between two grids, read once while the file stays as it is.

    Raises BadInput where the file is of other grids: by the number of points and, where it has them (`xc_a`, `yc_a`,
    `xc_b`, `yc_b`), by their coordinates.
    """
    try:
        return _weights_of_file(path, Path(path).stat().st_mtime_ns, source, destination)
    except OSError as error:
        raise BadInput(f"{path}, the weights of regridding, cannot be read: {error.strerror}; correct regrid") from None


@lru_cache(maxsize=4)
def _weights_of_file(path: str, changed: int, source: ShapedPoints, destination: ShapedPoints) -> EsmfWeights:
    with _opened(path) as file:
        for side, grid in (("a", source), ("b", destination)):
            if f"yc_{side}" in file and file[f"yc_{side}"].size == math.prod(grid.shape):
                _check_coordinates(path, side, file, grid)
    return EsmfWeights.from_file(path, source.shape, destination.shape)


def _opened(path: str | Path) -> xr.Dataset:
    try:
        return xr.open_dataset(path)
    except ValueError:
        raise BadInput(f"{path}: no NetCDF file, expected ESMF weights: row, col and S") from None


def _check_coordinates(path: str, side: str, file: xr.Dataset, grid: ShapedPoints) -> None:
    for name, expected in zip((f"yc_{side}", f"xc_{side}"), grid.latlon(), strict=True):
        stated = file[name]
        in_degrees = np.rad2deg(stated.to_numpy()) if stated.attrs.get("units") == "radians" else stated.to_numpy()
        away = np.abs((in_degrees - expected.ravel() + 180.0) % 360.0 - 180.0)
        if away.max() > _SAME_COORDINATE:
            at = int(away.argmax())
            raise BadInput(
                f"{path}: {name}[{at}] is {in_degrees[at]:g}, but the grid has {expected.ravel()[at]:g} there; the"
                " weights are of another grid, or of the same in another order"
            )


def _check_points(
    path: str | Path, name: str, index: NDArray[np.int64], shape: tuple[int, int], stated: int | None
) -> None:
    points = math.prod(shape)
    if stated is not None and stated != points:
        raise BadInput(f"{path}: {name} is of a grid of {stated} points, expected {points}, {shape}")
    if index.size and (index.min() < 0 or index.max() >= points):
        found = f"{index.min() + 1} .. {index.max() + 1}"
        raise BadInput(f"{path}: {name} counts points {found}, expected 1 .. {points} for the grid {shape}")
