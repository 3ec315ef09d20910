"""The triangle that a point lies in, by a walk from one triangle to the next.

SciPy's `find_simplex` first factorises a matrix for each triangle, which its BLAS does by threads: a tenth of a
millisecond for each, and minutes for a grid.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def find_triangles(
    points: NDArray[np.float64],
    triangles: NDArray[np.int32],
    neighbours: NDArray[np.int32],
    at: NDArray[np.float64],
    first: int,
    tolerance: float,
    found: NDArray[np.int64],
    parts: NDArray[np.float64],
) -> int:
    """Fill `found` with the triangle of each point `at` [n, 2], -1 outside, and `parts` with its three coordinates.

    `triangles` and `neighbours` are those of a Delaunay triangulation, in which a walk towards a point ends (Devillers,
    Pion & Teillaud 2002, Int. J. Found. Comput. Sci. 13, 181). It starts at the triangle `first`; the last one is
    returned. A barycentric coordinate may be below 0 by the `tolerance`.
    """
    triangle = first
    for number in range(at.shape[0]):
        found[number] = -1
        for step in range(triangles.shape[0]):
            a, b, c = triangles[triangle, 0], triangles[triangle, 1], triangles[triangle, 2]
            x, y = at[number, 0] - points[c, 0], at[number, 1] - points[c, 1]
            ax, ay = points[a, 0] - points[c, 0], points[a, 1] - points[c, 1]
            bx, by = points[b, 0] - points[c, 0], points[b, 1] - points[c, 1]
            area = ax * by - ay * bx
            if area == 0.0:  # three points on a line
                side = step % 3
            else:
                parts[number, 0] = (x * by - y * bx) / area
                parts[number, 1] = (ax * y - ay * x) / area
                parts[number, 2] = 1.0 - parts[number, 0] - parts[number, 1]
                side = 0
                for other in (1, 2):
                    if parts[number, other] < parts[number, side]:
                        side = other
                if parts[number, side] >= -tolerance:
                    found[number] = triangle
                    break
            if neighbours[triangle, side] < 0:
                break
            triangle = neighbours[triangle, side]
    return triangle
