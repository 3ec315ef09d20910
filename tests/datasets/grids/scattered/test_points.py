"""Grids that are known by their points alone: curvilinear ones, reduced Gaussian ones, points in any order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import Delaunay

from corrstore.datasets.archives.grib.decode import read_field
from corrstore.datasets.errors import BadInput
from corrstore.datasets.grids.grid import turn_onto
from corrstore.datasets.grids.projected import ProjectedGrid
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.grids.regrid import regridder
from corrstore.datasets.grids.scattered.points import PointsGrid
from corrstore.datasets.grids.scattered.walk import find_triangles
from corrstore.datasets.grids.winds import earth_relative
from tests.grib_made import made
from tests.paths import SHARED, needs_shared

LAMBERT = ProjectedGrid(
    "+proj=lcc +lat_1=30 +lat_2=60 +lat_0=40 +lon_0=105 +R=6371229", np.arange(0, 61) * 9e3, np.arange(-30, 31) * 9e3
)
CURVILINEAR = PointsGrid(*LAMBERT.latlon())
BOX = RectilinearGrid.from_box(41.0, 39.0, 106.5, 109.5, 0.25)


def plane(lat, lon):
    return (280 + 0.5 * (lat - 40) + 0.25 * (lon - 108)).astype(np.float32)


@pytest.mark.parametrize("scattered", [False, True])
def test_a_plane_stays_one_within_the_bend_of_a_cell(scattered):
    lat, lon = CURVILINEAR.latlon()
    order = np.random.default_rng(0).permutation(lat.size)
    grid = PointsGrid(lat.ravel()[order], lon.ravel()[order]) if scattered else CURVILINEAR
    regridded = regridder(grid, BOX)(plane(*grid.latlon()))
    np.testing.assert_allclose(regridded, plane(*BOX.latlon()), atol=2e-4)


def test_triangles_agree_with_the_grid_in_its_own_projection():
    field = np.random.default_rng(1).normal(0, 1, LAMBERT.shape).cumsum(0).cumsum(1).astype(np.float32) / 100
    ours, exact = (regridder(grid, BOX)(field) for grid in (CURVILINEAR, LAMBERT))
    assert np.abs(ours - exact).max() < 0.05 * field.std()
    nearest = [regridder(grid, BOX, "nearest")(field) for grid in (CURVILINEAR, LAMBERT)]
    assert (nearest[0] == nearest[1]).mean() > 0.97


@given(st.integers(0, 2**32 - 1), st.floats(-1e4, 1e4, width=32))
@settings(deadline=None, max_examples=20)
def test_a_constant_stays_constant_and_outside_is_missing(seed, constant):
    lat, lon = np.random.default_rng(seed).uniform([[38], [105]], [[42], [109]], (2, 400))
    wide = RectilinearGrid.from_box(44, 36, 103, 111, 0.5)
    regridded = regridder(PointsGrid(lat, lon - 360), wide)(np.full((1, 400), constant, np.float32))
    inside = np.isfinite(regridded)
    np.testing.assert_array_equal(regridded[inside], np.float32(constant))
    outside = np.ones(wide.shape, bool)
    outside[5:-5, 5:-5] = False
    assert inside.any() and not (inside & (np.abs(wide.latlon()[0] - 40) > 2)).any()
    assert not inside[0].any() and not inside[:, 0].any()


def test_points_that_are_the_destinations_are_copied_whatever_their_neighbours_miss():
    lat, lon = np.meshgrid(np.arange(38.0, 42.1, 0.25), np.arange(105.0, 111.1, 0.25), indexing="ij")
    field = plane(lat, lon)
    field[1::2, 1::2] = np.nan
    regridded = regridder(PointsGrid(lat, lon), BOX)(field)
    rows, columns = ((BOX.lat - 38) / 0.25).astype(int), ((BOX.lon - 105) / 0.25).astype(int)
    np.testing.assert_array_equal(regridded, field[np.ix_(rows, columns)])


def test_a_hole_in_the_points_is_missing():
    lat, lon = (each.ravel() for each in np.meshgrid(np.arange(36, 44, 0.1), np.arange(103, 112, 0.1), indexing="ij"))
    hole = np.hypot(lat - 40, lon - 108) < 0.8
    regridded = regridder(PointsGrid(lat[~hole], lon[~hole]), BOX)(np.ones((1, (~hole).sum()), np.float32))
    away = np.hypot(BOX.latlon()[0] - 40, BOX.latlon()[1] - 108)
    assert np.isnan(regridded[away < 0.5]).all() and np.isfinite(regridded[away > 0.95]).all()


def test_winds_along_a_curvilinear_grid_turn_as_those_of_its_projection():
    for grid in (LAMBERT, ProjectedGrid(LAMBERT.crs, LAMBERT.x, LAMBERT.y[::-1])):
        u, v = np.random.default_rng(2).normal(0, 10, (2, *grid.shape))
        ours, exact = (earth_relative(u, v, each) for each in (PointsGrid(*grid.latlon()), grid))
        np.testing.assert_allclose(ours, exact, atol=2e-4)


def test_a_reduced_gaussian_grid_is_regridded_over_the_prime_meridian():
    message = made("reduced_gg_pl_320_grib2")
    field = read_field(message, 0, len(message))
    box = RectilinearGrid.from_box(52, 48, -3, 3, 0.5)
    assert field.grid.covers(box)
    lat, lon = field.grid.latlon()
    lon = (lon + 180) % 360 - 180
    np.testing.assert_allclose(regridder(field.grid, box)(plane(lat, lon)), plane(*box.latlon()), atol=2e-3)
    assert "542080 scattered points" in str(field.grid)


@needs_shared
def test_a_real_reduced_gaussian_wind_against_the_nearest_point():
    content = (SHARED / "awkward/reduced_gg.grib").read_bytes()
    field = read_field(content, 0, content.rindex(b"7777") + 4)
    lat, lon = field.grid.latlon()
    box = RectilinearGrid.from_box(60, 30, 100, 140, 2)
    bilinear = regridder(field.grid, box)(field.values)
    nearest = regridder(field.grid, box, "nearest")(field.values)
    at = [
        np.hypot(lat - a, ((lon - b + 180) % 360 - 180) * np.cos(np.deg2rad(a))).argmin()
        for a in box.lat
        for b in box.lon
    ]
    assert (nearest.ravel() == field.values[0, at]).mean() > 0.97
    assert np.abs(bilinear - nearest).mean() < 0.3 * field.values.std()


def test_what_cannot_be_is_refused():
    with pytest.raises(BadInput, match="same"):
        PointsGrid(np.zeros(3), np.zeros(4))
    with pytest.raises(BadInput, match="wider than a hemisphere"):
        regridder(CURVILINEAR, RectilinearGrid.from_box(90, -90, 0, 350, 10))
    with pytest.raises(BadInput, match="'conservative' from scattered points"):
        regridder(CURVILINEAR, BOX, "conservative")


def test_the_same_points_are_the_same_grid():
    lat, lon = CURVILINEAR.latlon()
    assert PointsGrid(lat, lon + 360) == CURVILINEAR
    assert turn_onto(CURVILINEAR, PointsGrid(lat.astype(np.float32), lon)) is not None
    assert turn_onto(CURVILINEAR, PointsGrid(lat + 0.02, lon)) is None


@given(st.integers(0, 2**32 - 1), st.sampled_from(["random", "rows"]))
@settings(deadline=None, max_examples=20)
def test_the_walk_ends_in_the_triangle_that_scipy_finds(seed, kind):
    random = np.random.default_rng(seed)
    points = random.normal(size=(300, 2))
    if kind == "rows":  # whose triangles have right angles, so that either diagonal of a square will do
        points = np.stack(np.meshgrid(np.arange(15.0), np.arange(20.0)), axis=-1).reshape(-1, 2)
    at = random.uniform(points.min(axis=0) - 0.5, points.max(axis=0) + 0.5, (500, 2))
    triangles = Delaunay(points)
    found, parts = np.empty(500, np.int64), np.empty((500, 3))
    find_triangles(triangles.points, triangles.simplices, triangles.neighbors, at, 0, 1e-9, found, parts)
    np.testing.assert_array_equal(found, triangles.find_simplex(at))
    inside = found >= 0
    corners = points[triangles.simplices[found[inside]]]
    np.testing.assert_allclose(np.einsum("nk,nkd->nd", parts[inside], corners), at[inside], atol=1e-9)
