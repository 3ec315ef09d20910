"""What holds in every projection: constants, linear fields and winds."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from corrstore.datasets.grids.projected import ProjectedGrid
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.grids.regrid import regridder
from corrstore.datasets.grids.rotated_pole import RotatedPole
from corrstore.datasets.grids.winds import earth_relative

FEW = settings(max_examples=30)


@st.composite
def projected_grids(draw) -> ProjectedGrid:
    """Grids of a few hundred kilometres around a point of the middle latitudes, in one of five projections."""
    north = draw(st.sampled_from([1, -1]))
    lat, lon = north * draw(st.floats(25, 60)), draw(st.floats(-180, 180))
    pole = (lat - 90, lon) if north > 0 else (-90 - lat, lon + 180)
    crs = draw(
        st.sampled_from(
            [
                f"+proj=lcc +lat_1={lat:.3f} +lat_2={lat + 10:.3f} +lat_0={lat:.3f} +lon_0={lon - 20:.3f} +R=6371229",
                f"+proj=stere +lat_0={90 * north} +lat_ts={60 * north} +lon_0={lon + 70:.3f} +ellps=WGS84",
                f"+proj=merc +lat_ts=20 +lon_0={lon:.3f} +R=6371229",
                f"+proj=tmerc +lat_0={lat:.3f} +lon_0={lon + 3:.3f} +ellps=GRS80",
                RotatedPole(pole[0] + draw(st.floats(-20, 20)), pole[1] + draw(st.floats(-40, 40))).proj_string,
            ]
        )
    )
    x, y = ProjectedGrid(crs, np.zeros(1), np.zeros(1)).projection(lon, lat)
    step = draw(st.floats(0.02, 0.2)) if "ob_tran" in crs else draw(st.floats(2e3, 2e4))
    rows, columns = draw(st.integers(8, 30)), draw(st.integers(8, 30))
    return ProjectedGrid(
        crs, x + step * np.arange(columns), y + step * draw(st.sampled_from([-1, 1])) * np.arange(rows)
    )


def inside(grid: ProjectedGrid) -> RectilinearGrid:
    """Latitudes and longitudes about the middle of the grid, an eighth of it wide."""
    lat, lon = grid.latlon()
    row, column = grid.shape[0] // 2, grid.shape[1] // 2
    half = abs(lat[row, column] - lat[row + 1, column + 1]) / 2 + 1e-3
    return RectilinearGrid(
        lat[row, column] + half * np.linspace(1, -1, 5), lon[row, column] + half * np.linspace(-1, 1, 7)
    )


@given(projected_grids(), st.floats(-1e3, 1e3, width=32))
@FEW
def test_a_constant_stays_constant(grid, constant):
    destination = inside(grid)
    assert grid.covers(destination)
    regridded = regridder(grid, destination)(np.full(grid.shape, constant, np.float32))
    np.testing.assert_array_equal(regridded, np.float32(constant))


@given(projected_grids(), st.floats(-10, 10), st.floats(-10, 10))
@FEW
def test_a_linear_field_in_projected_coordinates_is_exact(grid, down, across):
    def linear(y, x):
        return down * (y - grid.y[0]) / abs(grid.y[1] - grid.y[0]) + across * (x - grid.x[0]) / (grid.x[1] - grid.x[0])

    destination = inside(grid)
    lat, lon = destination.latlon()
    x, y = grid.projection(lon.copy(), lat.copy())
    x += 360.0 * np.rint((grid.x.mean() - x) / 360.0) if "ob_tran" in grid.crs else 0.0
    field = linear(grid.y[:, None], grid.x[None, :]).astype(np.float32)
    np.testing.assert_allclose(regridder(grid, destination)(field), linear(y, x), atol=2e-4)


@given(projected_grids(), st.floats(-50, 50), st.floats(-50, 50))
@FEW
def test_winds_keep_their_speed_and_follow_the_derivative_of_the_projection(grid, u, v):
    """A metre along x, and one along y, by differences of the latitudes and longitudes of the projection."""
    x, y = np.meshgrid(grid.x, grid.y)
    step = 1e-3 * abs(grid.x[1] - grid.x[0])
    lat, _ = grid.latlon()

    def direction(dx, dy):
        (ahead_lon, ahead_lat), (behind_lon, behind_lat) = (
            grid.projection(x + sign * dx, y + sign * dy, inverse=True) for sign in (1, -1)
        )
        east = (ahead_lon - behind_lon + 180) % 360 - 180
        east, north = east * np.cos(np.deg2rad(lat)), ahead_lat - behind_lat
        if "ellps" in grid.crs:  # a degree of longitude is longer than a degree of latitude
            squared = 0.00669438 * np.sin(np.deg2rad(lat)) ** 2
            north = north * (1 - 0.00669438) / (1 - squared)
        return east / np.hypot(east, north), north / np.hypot(east, north)

    along_x, along_y = direction(step, 0), direction(0, step)
    east, north = earth_relative(np.full(grid.shape, u), np.full(grid.shape, v), grid)
    np.testing.assert_allclose(np.hypot(east, north), np.hypot(u, v), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(east, u * along_x[0] + v * along_y[0], atol=1e-3)
    np.testing.assert_allclose(north, u * along_x[1] + v * along_y[1], atol=1e-3)
