"""The inner loops of regridding. Each one reads planes [n, H, W] and fills `out` [n, h, w], both float32.

The value between two points is `lower + weight * (upper - lower)`: a constant stays equal to the last bit.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Planes = NDArray[np.float32]
Indices = NDArray[np.int64]


@njit(cache=True, nogil=True)
def interpolate_axes(
    planes: Planes,
    row_lower: Indices,
    row_upper: Indices,
    row_weight: NDArray[np.float32],
    column_lower: Indices,
    column_upper: Indices,
    column_weight: NDArray[np.float32],
    out: Planes,
) -> None:
    """Interpolate linearly along the row axis, then along the column axis."""
    blended = np.empty(planes.shape[2], np.float32)
    for plane in range(out.shape[0]):
        for row in range(out.shape[1]):
            weight = row_weight[row]
            lower = planes[plane, row_lower[row]]
            upper = planes[plane, row_upper[row]]
            for column in range(blended.size):
                blended[column] = lower[column] + weight * (upper[column] - lower[column])
            for column in range(out.shape[2]):
                left = blended[column_lower[column]]
                right = blended[column_upper[column]]
                out[plane, row, column] = left + column_weight[column] * (right - left)


@njit(cache=True, nogil=True)
def average_cells(
    planes: Planes,
    row_start: Indices,
    row_index: Indices,
    row_weight: NDArray[np.float64],
    column_start: Indices,
    column_index: Indices,
    column_weight: NDArray[np.float64],
    out: Planes,
) -> None:
    """Average over the rows of each cell, then over its columns, weighted, in float64; NaN for an empty cell."""
    means = np.empty(planes.shape[2], np.float64)
    for plane in range(out.shape[0]):
        for row in range(out.shape[1]):
            first, last = row_start[row], row_start[row + 1]
            means[:] = 0.0 if last > first else np.nan
            for part in range(first, last):
                weight = row_weight[part]
                source = planes[plane, row_index[part]]
                for column in range(means.size):
                    means[column] += weight * source[column]
            for column in range(out.shape[2]):
                first, last = column_start[column], column_start[column + 1]
                total = 0.0 if last > first else np.nan
                for part in range(first, last):
                    total += column_weight[part] * means[column_index[part]]
                out[plane, row, column] = total


@njit(cache=True, nogil=True)
def interpolate_points(
    planes: Planes,
    corner: NDArray[np.int32],
    row_weight: NDArray[np.float32],
    column_weight: NDArray[np.float32],
    out: Planes,
) -> None:
    """Interpolate bilinearly at single points [h, w].

    `corner` is the index of the first of the four source points in a flattened plane. A neighbour of no weight is
    not read.
    """
    width = planes.shape[2]
    for plane in range(out.shape[0]):
        source = planes[plane].reshape(-1)
        for row in range(out.shape[1]):
            for column in range(out.shape[2]):
                first = corner[row, column]
                along, across = column_weight[row, column], row_weight[row, column]
                right = 1 if along > 0 else 0
                below = first + (width if across > 0 else 0)
                upper = source[first] + along * (source[first + right] - source[first])
                lower = source[below] + along * (source[below + right] - source[below])
                out[plane, row, column] = upper + across * (lower - upper)


@njit(cache=True, nogil=True)
def interpolate_triangles(
    planes: Planes, corners: NDArray[np.int32], weights: NDArray[np.float32], out: Planes
) -> None:
    """Interpolate linearly between the three `corners` [h, w, 3] of each point, indices of a flattened plane.

    `weights` [h, w, 2] are those of the last two. A corner of no weight is not read.
    """
    for plane in range(out.shape[0]):
        source = planes[plane].reshape(-1)
        for row in range(out.shape[1]):
            for column in range(out.shape[2]):
                first = source[corners[row, column, 0]]
                value = first
                for corner in range(2):
                    weight = weights[row, column, corner]
                    if weight != 0:
                        value += weight * (source[corners[row, column, corner + 1]] - first)
                out[plane, row, column] = value
