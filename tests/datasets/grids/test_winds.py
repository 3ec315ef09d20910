from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod, Proj

from corrstore.datasets.errors import BadInput
from corrstore.datasets.grids.projected import ProjectedGrid
from corrstore.datasets.grids.winds import earth_relative
from tests.hrrr import HRRR_CRS, hrrr_grid
from tests.paths import SHARED, needs_shared

AXIS = np.linspace(-2.4e6, 2.4e6, 9)
GRIDS = {
    "lambert, tangent": ProjectedGrid(HRRR_CRS, AXIS, AXIS),
    "lambert, two parallels, ellipsoid, north first": ProjectedGrid(
        "+proj=lcc +lat_1=30 +lat_2=62.5 +lat_0=36 +lon_0=103 +ellps=WGS84", AXIS, AXIS[::-1]
    ),
    "lambert, southern": ProjectedGrid("+proj=lcc +lat_1=-25 +lat_2=-40 +lat_0=-30 +lon_0=135 +R=6371229", AXIS, AXIS),
    "polar stereographic": ProjectedGrid("+proj=stere +lat_0=90 +lat_ts=60 +lon_0=-105 +R=6371229", AXIS, AXIS - 3e6),
    "transverse mercator": ProjectedGrid("+proj=tmerc +lat_0=40 +lon_0=110 +R=6371229", AXIS / 4, AXIS / 4),
}


def grid_components(grid: ProjectedGrid, azimuth: float) -> tuple[np.ndarray, np.ndarray]:
    """Grid components of a unit wind that blows towards `azimuth`, from where ten metres that way end in x and y."""
    lat, lon = grid.latlon()
    ellipsoid = Geod(ellps="WGS84") if "WGS84" in grid.crs else Geod(a=6371229, b=6371229)
    end_lon, end_lat, _ = ellipsoid.fwd(lon, lat, np.full(lon.shape, azimuth), np.full(lon.shape, 10.0))
    end_x, end_y = Proj(grid.crs)(end_lon, end_lat)
    x, y = np.meshgrid(grid.x, grid.y)
    length = np.hypot(end_x - x, end_y - y)
    return (end_x - x) / length, (end_y - y) / length


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("azimuth", [0.0, 90.0, 210.0])
def test_a_wind_towards_an_azimuth_is_so_on_every_projection(grid, azimuth):
    east, north = earth_relative(*grid_components(grid, azimuth), grid)
    np.testing.assert_allclose(east, np.sin(np.deg2rad(azimuth)), atol=1e-5)
    np.testing.assert_allclose(north, np.cos(np.deg2rad(azimuth)), atol=1e-5)


@needs_shared
def test_hrrr_winds_turn_by_the_formula_of_the_lambert_cone():
    full, _, lon = hrrr_grid(SHARED / "km" / "hrrr.t06z.wrfsfcf01-UGRD.grib2")
    grid = ProjectedGrid(full.crs, full.x[::40], full.y[::40])
    u, v = np.random.default_rng(0).normal(0, 15, (2, 3, *grid.shape))
    angle = np.sin(np.deg2rad(38.5)) * np.deg2rad(lon[::40, ::40] - 262.5)
    east, north = earth_relative(u, v, grid)
    np.testing.assert_allclose(east, u * np.cos(angle) + v * np.sin(angle), atol=1e-5)
    np.testing.assert_allclose(north, v * np.cos(angle) - u * np.sin(angle), atol=1e-5)
    assert np.rad2deg(angle).min() < -20
    assert np.rad2deg(angle).max() > 20


@given(u=st.floats(-100, 100), v=st.floats(-100, 100), name=st.sampled_from(sorted(GRIDS)))
def test_the_speed_stays(u, v, name):
    shape = GRIDS[name].shape
    east, north = earth_relative(np.full(shape, u), np.full(shape, v), GRIDS[name])
    assert east.dtype == north.dtype == np.float32
    np.testing.assert_allclose(np.hypot(east, north), np.hypot(u, v), rtol=1e-6, atol=1e-6)


def test_mercator_winds_are_of_the_earth_already():
    grid = ProjectedGrid("+proj=merc +lat_ts=20 +lon_0=110 +R=6371229", AXIS, AXIS)
    u, v = np.random.default_rng(0).normal(size=(2, *grid.shape)).astype(np.float32)
    east, north = earth_relative(u, v, grid)
    np.testing.assert_allclose(east, u, atol=1e-6)
    np.testing.assert_allclose(north, v, atol=1e-6)


def test_a_missing_component_leaves_both_missing():
    grid = GRIDS["lambert, tangent"]
    u, v = np.ones((2, *grid.shape))
    u[2, 3] = np.nan
    east, north = earth_relative(u, v, grid)
    assert np.argwhere(np.isnan(east)).tolist() == np.argwhere(np.isnan(north)).tolist() == [[2, 3]]


def test_winds_of_another_shape_are_refused():
    grid = GRIDS["lambert, tangent"]
    with pytest.raises(BadInput, match=r"u \(9, 9\) and v \(9, 8\), expected both \(\.\.\., 9, 9\)"):
        earth_relative(np.zeros((9, 9)), np.zeros((9, 8)), grid)
    with pytest.raises(BadInput, match=r"expected both \(\.\.\., 9, 9\)"):
        earth_relative(np.zeros((8, 8)), np.zeros((8, 8)), grid)
