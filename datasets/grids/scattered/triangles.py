"""Weights of points in no projection: each destination point lies in a triangle of three source points."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy  # its parts load when they are used, and many processes use none
from numpy.typing import NDArray

from corrstore.datasets.errors import BadInput
from corrstore.datasets.grids.axes import SAME_POINT
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.grids.scattered.points import PointsGrid, unit_vectors
from corrstore.datasets.grids.scattered.walk import find_triangles

_FARTHEST = np.deg2rad(89.0)
_AROUND = 4.0  # source cells that are kept around the destination
_GAP = 4.0  # a triangle of scattered points with a side of so many times their distance lies in a gap between them
_CELLS = 2  # rows or columns that a triangle of a curvilinear grid may span


class TriangleInterpolation(NamedTuple):
    """The three source points of each destination point, [lat, lon, 3], and the weights of the last two.

    Weights are NaN outside. The value is a + weight_b (b - a) + weight_c (c - a).
    """

    corners: NDArray[np.int32]
    weights: NDArray[np.float32]


def triangle_weights(source: PointsGrid, destination: RectilinearGrid) -> TriangleInterpolation:
    """Return linear weights in the Delaunay triangles of the source's points around the destination.

    The sphere is mapped onto a plane by the stereographic projection about the middle of the destination, which keeps
    circles, so that the triangles are those of the sphere. Raises BadInput where the destination is wider than a
    hemisphere or has fewer than three points around it.
    """
    place = _Plane(destination)
    points, kept = place.around(source)
    if kept.size < 3:
        raise BadInput(f"grid {source} has {kept.size} points around {destination}, expected three or more")
    triangles = scipy.spatial.Delaunay(points)
    of_gap = _gaps(source, points, kept, triangles.simplices)
    corners = np.zeros((*destination.shape, 3), np.int32)
    weights = np.full((*destination.shape, 2), np.nan, np.float32)
    found, parts = np.empty(destination.lon.size, np.int64), np.empty((destination.lon.size, 3))
    last = 0
    for row, lat in enumerate(destination.lat):
        at = np.stack(place.project(np.full_like(destination.lon, lat), destination.lon), axis=-1)
        last = find_triangles(
            triangles.points, triangles.simplices, triangles.neighbors, at, last, SAME_POINT, found, parts
        )
        inside = np.flatnonzero((found >= 0) & ~of_gap[found])
        part = parts[inside]
        part[np.abs(part) <= SAME_POINT] = 0.0
        first = part.argmax(axis=1)  # so that a destination point on a source point reads that alone
        order = (first[:, None] + np.arange(3)) % 3
        corners[row, inside] = kept[np.take_along_axis(triangles.simplices[found[inside]], order, axis=1)]
        weights[row, inside] = np.take_along_axis(part, order[:, 1:], axis=1)
    return TriangleInterpolation(corners, weights)


def nearest_weights(source: PointsGrid, destination: RectilinearGrid) -> TriangleInterpolation:
    """Return the nearest source point of each destination point, wherever it is in the source's cells; NaN outside."""
    inside = triangle_weights(source, destination)
    known = np.flatnonzero(np.isfinite(source.lat + source.lon).ravel())
    vectors = np.column_stack([part.ravel()[known] for part in unit_vectors(*map(np.deg2rad, source.latlon()))])
    tree = scipy.spatial.cKDTree(vectors)
    weights = np.where(np.isnan(inside.weights), np.float32(np.nan), np.float32(0))
    corners = np.zeros_like(inside.corners)
    for row, lat in enumerate(destination.lat):
        at = unit_vectors(np.deg2rad(np.full_like(destination.lon, lat)), np.deg2rad(destination.lon))
        corners[row] = known[tree.query(np.column_stack(at))[1]][:, None]
    return TriangleInterpolation(corners, weights)


class _Plane:
    """The stereographic projection about the middle of a grid."""

    def __init__(self, grid: RectilinearGrid) -> None:
        south, west, north, east = grid.bounds
        self._lat, self._lon = np.deg2rad((south + north) / 2), np.deg2rad((west + east) / 2)
        corners = np.array([(lat, lon) for lat in (south, self._lat_degrees, north) for lon in (west, east)])
        self._outermost = corners
        self._radius = float(self._distance(*np.deg2rad(corners.T)).max())
        if self._radius > _FARTHEST or east - west > 178.0:
            raise BadInput(f"grid {grid} is wider than a hemisphere, which is not regridded from scattered points")

    @property
    def _lat_degrees(self) -> float:
        return float(np.rad2deg(self._lat))

    def _distance(self, lat: NDArray[np.float64], lon: NDArray[np.float64]) -> NDArray[np.float64]:
        cosine = np.sin(self._lat) * np.sin(lat) + np.cos(self._lat) * np.cos(lat) * np.cos(lon - self._lon)
        return np.arccos(np.clip(cosine, -1.0, 1.0))

    def project(
        self, lat: NDArray[np.float64], lon: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return x and y of points in degrees, in radians at the middle (Snyder 1987, USGS 1395, eq. 21-2 to 21-4)."""
        lat, away = np.deg2rad(lat), np.deg2rad(lon) - self._lon
        cosine = np.sin(self._lat) * np.sin(lat) + np.cos(self._lat) * np.cos(lat) * np.cos(away)
        scale = 2.0 / (1.0 + cosine)
        y = np.cos(self._lat) * np.sin(lat) - np.sin(self._lat) * np.cos(lat) * np.cos(away)
        return scale * np.cos(lat) * np.sin(away), scale * y

    def around(self, source: PointsGrid) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return x and y of the source's points in and around the grid, and their places in the flattened source."""
        lat, lon = source.lat.ravel(), source.lon.ravel()
        known = np.flatnonzero(np.isfinite(lat + lon))
        tree = scipy.spatial.cKDTree(np.column_stack(unit_vectors(np.deg2rad(lat[known]), np.deg2rad(lon[known]))))
        outermost = np.column_stack(unit_vectors(*np.deg2rad(self._outermost.T)))
        cell = float(np.max(tree.query(outermost, k=[min(4, known.size)])[0]))
        distance = self._distance(np.deg2rad(lat[known]), np.deg2rad(lon[known]))
        kept = known[distance <= min(self._radius + _AROUND * cell, 1.7 * _FARTHEST)]
        return np.stack(self.project(lat[kept], lon[kept]), axis=-1), kept


def _gaps(
    source: PointsGrid, points: NDArray[np.float64], kept: NDArray[np.int64], simplices: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """Return whether each triangle lies between points that are no neighbours."""
    if source.is_curvilinear:
        rows, columns = np.divmod(kept[simplices], source.shape[1])
        return (np.ptp(rows, axis=1) > _CELLS) | (np.ptp(columns, axis=1) > _CELLS)
    apart = np.asarray(scipy.spatial.cKDTree(points).query(points, k=[2])[0])[:, 0]
    corners = points[simplices]
    sides = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2)
    return sides.max(axis=1) > _GAP * apart[simplices].max(axis=1)
