"""Regridding against xESMF 0.9.2 on ESMF 9.0, for real fields.

ESMF joins points by great circles, not by parallels. Between two points of one latitude, `width` apart in longitude,
the great circle is up to width**2 / 8 * sin(lat) * cos(lat) closer to the pole (all in radians). So its bilinear is
ours at a latitude that much farther from the pole, and its conservative cells are bulged ours.
"""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from pyproj import Proj
from scipy.interpolate import RegularGridInterpolator

from corrstore.datasets.grids.axes import regular_axis
from corrstore.datasets.grids.projected import ProjectedGrid
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.grids.regrid import regridder
from tests.hrrr import HRRR_CRS
from tests.paths import SHARED, needs_shared

pytestmark = needs_shared

ROUNDING = 6e-5
"""Two units in the last place of a float32 temperature in kelvin."""


def reference(name: str) -> xr.Dataset:
    with xr.open_dataset(SHARED / "esmf" / f"{name}.nc") as file:
        return file.load()


def destination(file: xr.Dataset) -> RectilinearGrid:
    return RectilinearGrid(file.dst_lat.to_numpy(), file.dst_lon.to_numpy())


def era5(file: xr.Dataset) -> RectilinearGrid:
    return RectilinearGrid(file.src_lat.to_numpy(), file.src_lon.to_numpy())


def hrrr(file: xr.Dataset) -> ProjectedGrid:
    """The Lambert grid whose points the file has, which are on it to a micrometre."""
    x, y = Proj(HRRR_CRS)(file.src_lon.to_numpy(), file.src_lat.to_numpy())
    assert max(np.ptp(x, axis=0).max(), np.ptp(y, axis=1).max()) < 1e-6
    return ProjectedGrid(HRRR_CRS, x[0], y[:, 0])


def bulge(lat: np.ndarray, width: float) -> np.ndarray:
    """Return the distance in degrees of a great circle from a parallel, halfway between two points `width` apart."""
    return np.rad2deg(np.deg2rad(width) ** 2 / 8 * np.sin(np.deg2rad(lat)) * np.cos(np.deg2rad(lat)))


def refined(grid: RectilinearGrid, parts: int) -> RectilinearGrid:
    """The grid of `parts` x `parts` cells in each cell of a regular `grid`."""
    axes = []
    for edges in grid.edges():
        half = (edges[1] - edges[0]) / parts / 2
        axes.append(regular_axis(edges[0] + half, edges[-1] - half, (edges.size - 1) * parts))
    return RectilinearGrid(*axes)


def test_bilinear_of_era5_differs_from_esmf_by_the_bulge_of_great_circles_alone():
    file = reference("era5_t_0p25_to_0p03_bilinear")
    field, esmf = file.source.to_numpy(), file.expected.to_numpy()
    linear = RegularGridInterpolator((file.src_lat.to_numpy(), file.src_lon.to_numpy()), field)
    lat, lon = np.meshgrid(file.dst_lat, file.dst_lon, indexing="ij")
    along = (lon - 96.0) / 0.25 % 1.0
    off = bulge(lat, 0.25) * 4 * along * (1 - along)

    ours = regridder(era5(file), destination(file))(field)
    np.testing.assert_allclose(ours, linear((lat, lon)), atol=ROUNDING)
    np.testing.assert_allclose(linear((lat - off, lon)), esmf, atol=1e-5)

    largest_slope = np.abs(np.diff(field, axis=0)).max() / 0.25
    assert np.abs(ours - esmf).max() <= off.max() * largest_slope + ROUNDING
    assert off.max() / 0.25 < 2.5e-4


def test_bilinear_on_the_meridians_of_era5_is_that_of_esmf():
    file = reference("era5_t_0p25_to_halfcell_bilinear")
    ours = regridder(era5(file), destination(file))(file.source)
    np.testing.assert_allclose(ours, file.expected, atol=ROUNDING)


def test_conservative_of_era5_differs_from_esmf_by_the_bulge_of_its_cells():
    """The bulge moves two thirds of its height across the upper and the lower edge: of values within the cell and
    the row next to it, so the mean moves by that part of their range."""
    file = reference("era5_t_0p25_to_1deg_conservative")
    ours = regridder(era5(file), destination(file), "conservative")(file.source)
    for (row, column), esmf in np.ndenumerate(file.expected.to_numpy()):
        lat, lon = float(file.dst_lat[row]), float(file.dst_lon[column])
        near = (abs(file.src_lat.to_numpy() - lat) <= 0.76)[:, None] & (abs(file.src_lon.to_numpy() - lon) <= 0.51)
        moved = 2 * 2 / 3 * bulge(np.float64(lat), 1.0)
        assert abs(ours[row, column] - esmf) <= moved * np.ptp(file.source.to_numpy()[near]) + ROUNDING


def test_bilinear_of_hrrr_is_that_of_esmf():
    file = reference("hrrr_t2m_lambert_to_0p03_bilinear")
    ours = regridder(hrrr(file), destination(file))(file.source)
    np.testing.assert_allclose(ours, file.expected, atol=ROUNDING)


def test_nearest_of_hrrr_is_that_of_esmf():
    file = reference("hrrr_t2m_lambert_to_0p03_nearest_s2d")
    ours = regridder(hrrr(file), destination(file), "nearest")(file.source)
    np.testing.assert_array_equal(ours, file.expected.to_numpy().astype(np.float32))


@pytest.mark.parametrize(
    ("name", "parts", "tolerance"),
    [("hrrr_t2m_lambert_to_0p03_conservative", 20, 0.05), ("hrrr_t2m_lambert_to_0p25_conservative", 50, 0.01)],
)
def test_cell_averages_of_nearest_points_are_the_conservative_of_esmf(name, parts, tolerance):
    """First-order conservative takes a source cell as constant, which `nearest` onto a finer grid does too.

    A fine cell on the border of two source cells is given to one of them. Such errors have either sign and a standard
    deviation of 0.29 fine cells each; with N of them a mean is off by 0.29 sqrt(N) / parts**2 of a neighbours'
    difference: at 0.03 degree N is about 80 and the largest difference 7.3 K, 0.05 K; at 0.25 degree N is about 800
    and differences are about 1 K, 0.003 K, of which three are allowed.
    """
    file = reference(name)
    to = destination(file)
    fine = refined(to, parts)
    ours = regridder(fine, to, "conservative")(regridder(hrrr(file), fine, "nearest")(file.source))
    whole = np.abs(file.of_ones.to_numpy() - 1) < 1e-6
    np.testing.assert_allclose(ours[whole], file.expected.to_numpy()[whole], atol=tolerance)
    np.testing.assert_array_equal(np.isnan(ours), ~whole)


def test_cell_averages_of_the_bilinear_field_are_near_the_conservative_of_esmf():
    """The way there is for a projected source. A bilinear field is not constant in a source cell.

    Its mean over a whole cell is off by an eighth of the second differences, whose sum over many cells is that of the
    differences on the border alone. Its mean over a cut cell is off by up to an eighth of a difference to a neighbour.
    Together: by a quarter of the mean difference, in each direction, times the share of cells on the border.
    """
    file = reference("hrrr_t2m_lambert_to_0p25_conservative")
    field, esmf, to = file.source.to_numpy(), file.expected.to_numpy(), destination(file)
    fine = refined(to, 25)
    ours = regridder(fine, to, "conservative")(regridder(hrrr(file), fine)(field))
    whole = np.abs(file.of_ones.to_numpy() - 1) < 1e-6
    np.testing.assert_array_equal(np.isnan(ours), ~whole)

    differences = sum(np.abs(slope) for slope in np.gradient(field))
    for row, column in np.argwhere(whole):
        lat, lon = float(to.lat[row]), float(to.lon[column])
        cell = (np.abs(file.src_lat.to_numpy() - lat) < 0.125) & (np.abs(file.src_lon.to_numpy() - lon) < 0.125)
        border_cells = 2 * (0.25 + 0.25 * np.cos(np.deg2rad(lat))) * 111.2 / 3.0
        tolerance = differences[cell].mean() / 4 * border_cells / cell.sum()
        assert abs(ours[row, column] - esmf[row, column]) <= tolerance < 0.5
