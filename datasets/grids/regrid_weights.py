"""The weights of separable regridding: one destination axis from one source axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from corrstore.datasets.grids.axes import SAME_POINT, Axis, fractional_index, longitude_index
from corrstore.datasets.grids.rectilinear import RectilinearGrid


class TwoPoints(NamedTuple):
    """The two source neighbours of n destination points, and the weight of the upper one; NaN outside."""

    lower: NDArray[np.int64]
    upper: NDArray[np.int64]
    weight_upper: NDArray[np.float32]


class Overlaps(NamedTuple):
    """Source cells `cell[start[i]:start[i + 1]]` of destination cell `i` and their weights; none outside."""

    start: NDArray[np.int64]
    cell: NDArray[np.int64]
    weight: NDArray[np.float64]


def bilinear_axis(source_axis: ArrayLike, destination_axis: ArrayLike, periodic: bool = False) -> TwoPoints:
    """Return the two neighbours of each destination point on one axis, for linear interpolation.

    A value is `lower + weight_upper * (upper - lower)`. Where a destination point is a source point, both
    neighbours are that point and the weight is 0, so that no other point's NaN can reach it. A point beyond
    the ends has the weight NaN. A `periodic` axis is one of longitudes in degrees that closes the circle.
    """
    source = np.asarray(source_axis, np.float64)
    if periodic:
        return two_points(longitude_index(source, destination_axis, periodic=True), source.size)
    return two_points(fractional_index(source, destination_axis), source.size)


def two_points(index: NDArray[np.float64], size: int) -> TwoPoints:
    """Return the neighbours of fractional indices on an axis of `size` points; NaN stays NaN."""
    lower = np.floor(np.nan_to_num(index)).astype(np.int64)
    weight_upper = (index - lower).astype(np.float32)
    upper = np.where(weight_upper > 0, (lower + 1) % size, lower)
    return TwoPoints(lower, upper, weight_upper)


def nearest_index(index: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Return the nearest whole index on an axis of `size` points; NaN stays NaN, a tie takes the later index."""
    return np.floor(index + 0.5 + SAME_POINT) % size


def latitude_overlaps(source: RectilinearGrid, destination: RectilinearGrid) -> Overlaps:
    """Return the share of each destination row's area in each source row; weights follow sin(lat)."""
    edges, cells = source.edges()[0], destination.edges()[0]
    return _overlaps(edges, cells[:-1], cells[1:], lambda lat: np.sin(np.deg2rad(lat)), source.lat.size)


def longitude_overlaps(source: RectilinearGrid, destination: RectilinearGrid) -> Overlaps:
    """Return the share of each destination column in each source column, modulo 360 degrees."""
    edges, cells = source.edges()[1], destination.edges()[1]
    start = edges[0] - SAME_POINT * (edges[1] - edges[0])
    west = (cells[:-1] - start) % 360.0 + start
    if source.is_global_in_lon:
        edges = np.concatenate([edges, edges[1:] + 360.0])
    return _overlaps(edges, west, west + np.diff(cells), lambda lon: lon, source.lon.size)


def _overlaps(edges: Axis, first_edge: Axis, last_edge: Axis, measure: Callable[[Axis], Axis], size: int) -> Overlaps:
    first, last = fractional_index(edges, first_edge), fractional_index(edges, last_edge)
    whole = np.arange(edges.size)
    count, cell, weight = [0], [np.empty(0)], [np.empty(0)]
    for low, high in zip(np.minimum(first, last), np.maximum(first, last), strict=True):
        if np.isnan(low + high):
            count.append(0)
            continue
        cuts = np.concatenate([[low], np.arange(np.floor(low) + 1, np.ceil(high)), [high]])
        parts = np.abs(np.diff(measure(np.interp(cuts, whole, edges))))
        count.append(parts.size)
        cell.append(np.floor(cuts[:-1]) % size)
        weight.append(parts / parts.sum())
    return Overlaps(np.cumsum(count), np.concatenate(cell).astype(np.int64), np.concatenate(weight))
