from __future__ import annotations

import pickle

import numpy as np
import pytest
import xarray as xr
from hypothesis import assume, given
from hypothesis import strategies as st
from pyproj import Proj

from corrstore.datasets.errors import BadInput
from corrstore.datasets.grids.axes import regular_axis
from corrstore.datasets.grids.grid import preset
from corrstore.datasets.grids.projected import ProjectedGrid
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.grids.regrid import regridder
from corrstore.datasets.grids.regrid_weights import bilinear_axis
from corrstore.datasets.grids.scattered.esmf_weights import EsmfWeights
from tests.hrrr import HRRR_CRS

METHODS = ["bilinear", "conservative", "nearest"]
GLOBE = RectilinearGrid.from_box(90, -90, 0, 350, 10)
LAMBERT = ProjectedGrid(HRRR_CRS, np.arange(-40, 41) * 3000.0, np.arange(30, -31, -1) * 3000.0)
INSIDE_LAMBERT = RectilinearGrid.from_box(39.1, 37.9, -98.3, -96.7, 0.05)


@st.composite
def grids(draw, irregular: bool = False) -> RectilinearGrid:
    """A grid anywhere, scanned from either pole, up to 9 x 9, perhaps around the whole circle."""
    rows, columns = draw(st.integers(2, 9)), draw(st.integers(2, 9))
    step = draw(st.sampled_from([0.25, 1.0, 3.0]))
    lat = draw(st.integers(-60, 40)) + step * np.arange(rows)
    lon = draw(st.integers(-180, 360)) + step * np.arange(columns)
    if draw(st.booleans()):
        lon = lon[0] + 45.0 * np.arange(8)
    if irregular:
        lat = lat + step * draw(st.sampled_from([0.0, 0.1, 0.3])) * np.sin(np.arange(rows))
    return RectilinearGrid(lat[:: draw(st.sampled_from([1, -1]))], lon)


@st.composite
def grids_around(draw, source: RectilinearGrid) -> RectilinearGrid:
    """A grid from finer to coarser than `source` that begins near its south-west corner, some of it outside."""
    axes = []
    for axis, limit in ((np.sort(source.lat), 85.0 - source.lat.min()), (source.lon, 300.0)):
        step = (axis[1] - axis[0]) * draw(st.sampled_from([0.13, 0.37, 0.5, 1.0, 1.9, 2.3]))
        away = (axis[1] - axis[0]) * draw(st.sampled_from([-0.7, -0.5, 0.0, 0.29, 0.5, 1.0]))
        steps = away + step * np.arange(draw(st.integers(2, 9)))
        axes.append(axis[0] + steps[(steps < limit) | (np.arange(steps.size) < 2)])
    lat, lon = axes
    return RectilinearGrid(lat[:: draw(st.sampled_from([1, -1]))], lon + 360 * draw(st.integers(-1, 1)))


@st.composite
def fields(draw, grid: RectilinearGrid) -> np.ndarray:
    return np.random.default_rng(draw(st.integers(0, 9))).normal(280, 10, grid.shape).astype(np.float32)


def hat(axis: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Dense weights [point, axis] of linear interpolation, NaN outside: each column is a hat function."""
    order = np.argsort(axis)
    weights = np.empty((points.size, axis.size))
    for index, bump in enumerate(np.eye(axis.size)):
        weights[:, index] = np.interp(points, axis[order], bump[order], left=np.nan, right=np.nan)
    return weights


def hat_longitudes(grid: RectilinearGrid, points: np.ndarray) -> np.ndarray:
    points = (points - grid.lon[0]) % 360 + grid.lon[0]
    if not grid.is_global_in_lon:
        return hat(grid.lon, points)
    weights = hat(np.append(grid.lon, grid.lon[0] + 360), points)
    weights[:, 0] += weights[:, -1]
    return weights[:, :-1]


def overlap_areas(source: RectilinearGrid, destination: RectilinearGrid) -> np.ndarray:
    """Shared areas [lat, lon, H, W] of the cells of two grids on the unit sphere, a pair at a time."""
    lat, lon = (np.deg2rad(edges) for edges in source.edges())
    to_lat, to_lon = (np.deg2rad(edges) for edges in destination.edges())
    areas = np.zeros(destination.shape + source.shape)
    for j in range(destination.shape[0]):
        for k in range(source.shape[0]):
            south = max(min(to_lat[j : j + 2]), min(lat[k : k + 2]))
            north = min(max(to_lat[j : j + 2]), max(lat[k : k + 2]))
            for i in range(destination.shape[1]):
                for m in range(source.shape[1]):
                    for circle in np.arange(-3, 4) * 2 * np.pi:
                        west, east = max(to_lon[i], lon[m] + circle), min(to_lon[i + 1], lon[m + 1] + circle)
                        if north > south and east > west:
                            areas[j, i, k, m] += (np.sin(north) - np.sin(south)) * (east - west)
    return areas


def cell_areas(grid: RectilinearGrid) -> np.ndarray:
    lat, lon = (np.deg2rad(edges) for edges in grid.edges())
    return np.abs(np.diff(np.sin(lat)))[:, None] * np.diff(lon)


def points_within(grid: RectilinearGrid, data: st.DataObject) -> RectilinearGrid:
    """Points at twentieths of the way between the outermost of `grid`, so that some are points of it."""
    twentieths = st.lists(st.integers(0, 20), min_size=1, max_size=6, unique=True).map(sorted).map(np.array)
    lat = np.linspace(grid.lat.min(), grid.lat.max(), 21)[data.draw(twentieths)]
    lon = np.linspace(grid.lon[0], grid.lon[-1], 21)[data.draw(twentieths)]
    return RectilinearGrid(lat, lon + 360 * data.draw(st.integers(-1, 1)))


# What is the same for every method


@pytest.mark.parametrize("method", METHODS)
@given(data=st.data(), constant=st.floats(-(2.0**90), 2.0**90, width=32))
def test_a_constant_stays_constant(method, data, constant):
    source = data.draw(grids(irregular=True))
    destination = data.draw(grids_around(source))
    result = regridder(source, destination, method)(np.full(source.shape, constant, np.float32))
    assert result.dtype == np.float32
    inside = np.isfinite(result)
    assert np.abs(result[inside].astype(np.float64) - constant).max(initial=0) <= np.spacing(np.float32(abs(constant)))
    if method != "conservative":
        assert (result[inside] == np.float32(constant)).all()


@pytest.mark.parametrize("method", ["bilinear", "nearest"])
def test_a_constant_on_a_projected_grid_stays_constant(method):
    result = regridder(LAMBERT, INSIDE_LAMBERT, method)(np.full(LAMBERT.shape, 273.16, np.float32))
    assert (result == np.float32(273.16)).all()


@pytest.mark.parametrize("method", ["bilinear", "nearest"])
@given(data=st.data())
def test_outside_the_points_of_the_source_is_nan_and_never_zero(method, data):
    source = data.draw(grids())
    destination = data.draw(grids_around(source))
    result = regridder(source, destination, method)(np.ones(source.shape))
    rows = (destination.lat >= source.lat.min() - 1e-9) & (destination.lat <= source.lat.max() + 1e-9)
    across = (destination.lon - source.lon[0] + 1e-9) % 360 <= np.ptp(source.lon) + 2e-9
    columns = across | source.is_global_in_lon
    assert np.array_equal(result == 1, rows[:, None] & columns)
    assert np.array_equal(np.isnan(result), ~(rows[:, None] & columns))


def test_outside_a_projected_grid_is_nan():
    around = RectilinearGrid.from_box(45, 30, -105, -90, 0.25)
    x, y = Proj(HRRR_CRS)(*np.meshgrid(around.lon, around.lat))
    inside = (abs(x) <= 120_000) & (abs(y) <= 90_000)
    assert np.array_equal(np.isnan(regridder(LAMBERT, around)(np.ones(LAMBERT.shape))), ~inside)
    assert 0 < inside.sum() < inside.size


def test_leading_dimensions_and_strides_of_the_field_do_not_matter():
    fine = RectilinearGrid.from_box(77, -77, 5, 355, 7)
    stack = np.random.default_rng(0).normal(size=(2, 3, *GLOBE.shape)).astype(np.float32)
    for method in METHODS:
        regrid = regridder(GLOBE, fine, method)
        one_by_one = [[regrid(plane) for plane in planes] for planes in stack]
        np.testing.assert_array_equal(regrid(stack), one_by_one)
        np.testing.assert_array_equal(regrid(stack[::-1, :, ::-1]), regrid(stack[::-1, :, ::-1].copy()))
        assert regrid(stack[:0]).shape == (0, 3, *fine.shape)


@pytest.mark.parametrize("destination", [GLOBE.expanded(0), RectilinearGrid.from_box(77, -77, 5, 355, 7)])
def test_out_receives_the_result(destination):
    field = np.random.default_rng(0).normal(size=(2, *GLOBE.shape)).astype(np.float32)
    out = np.empty((2, *destination.shape), np.float32)
    assert regridder(GLOBE, destination)(field, out=out) is out
    np.testing.assert_array_equal(out, regridder(GLOBE, destination)(field))
    with pytest.raises(BadInput, match="out: got float64"):
        regridder(GLOBE, destination)(field, out=out.astype(np.float64))
    with pytest.raises(BadInput, match="out: got"):
        regridder(GLOBE, destination)(field, out=out[:1])


def test_a_regridder_is_made_once_and_travels_light():
    source, destination = preset("era5_china").expanded(4), preset("china_3km")
    regrid = regridder(source, destination)
    assert regridder(RectilinearGrid(source.lat, source.lon - 360), destination, "bilinear") is regrid
    field = np.random.default_rng(0).normal(size=source.shape).astype(np.float32)
    luggage = pickle.dumps(regrid)
    np.testing.assert_array_equal(pickle.loads(luggage)(field), regrid(field))
    assert len(luggage) < 100_000
    assert not np.isnan(regrid(field)).any()


def test_what_cannot_be_done_is_said():
    with pytest.raises(BadInput, match=r"'cubic'.*bilinear, conservative, nearest"):
        regridder(GLOBE, GLOBE, "cubic")
    with pytest.raises(BadInput, match=r"'conservative' from a projected grid .*go 'bilinear' to"):
        regridder(LAMBERT, INSIDE_LAMBERT, "conservative")
    with pytest.raises(BadInput, match=r"\(36, 19\), expected \(\.\.\., 19, 36\)"):
        regridder(GLOBE, GLOBE)(np.zeros((36, 19)))


# Selection


@given(data=st.data())
def test_points_of_the_source_are_selected_as_numpy_would(data):
    source = data.draw(grids(irregular=True))
    field = data.draw(fields(source))
    rows = data.draw(st.lists(st.integers(0, source.shape[0] - 1), min_size=1, unique=True).map(sorted))
    columns = data.draw(st.lists(st.integers(0, source.shape[1] - 1), min_size=1, unique=True).map(sorted))
    rows = rows[:: data.draw(st.sampled_from([1, -1]))]
    first = data.draw(st.integers(0, len(columns) - 1))
    columns = columns[first:] + columns[:first]
    lon = source.lon[columns] + 360.0 * (np.arange(len(columns)) >= len(columns) - first)
    lon = lon + 360.0 * data.draw(st.integers(-2, 2)) + data.draw(st.sampled_from([-1e-6, 0.0, 1e-6]))
    destination = RectilinearGrid(source.lat[rows], lon)
    expected = field[np.ix_(rows, columns)]
    for method in ("bilinear", "nearest"):
        np.testing.assert_array_equal(regridder(source, destination, method)(field), expected)


def test_a_crop_is_a_view():
    meso, china = preset("cma_meso_3km"), preset("china_3km")
    field = np.arange(np.prod(meso.shape), dtype=np.float32).reshape(meso.shape)
    for method in METHODS:
        crop = regridder(meso, china, method)(field)
        assert np.shares_memory(crop, field)
        np.testing.assert_array_equal(crop, field[:1600, :2400])


def test_a_flip_and_a_half_turn_of_a_global_grid():
    field = np.random.default_rng(0).normal(size=GLOBE.shape).astype(np.float32)
    turned = RectilinearGrid(GLOBE.lat[::-1], GLOBE.lon - 180)
    for method in METHODS:
        result = regridder(GLOBE, turned, method)(field)
        np.testing.assert_array_equal(result, np.roll(field[::-1], 18, axis=1))


def test_a_grid_of_one_point_gives_it_to_itself():
    point = RectilinearGrid(np.array([51.07]), np.array([7.27]))
    assert regridder(point, point)(np.array([[3.0]])).tolist() == [[3.0]]
    assert np.isnan(regridder(point, RectilinearGrid(point.lat, point.lon + 0.01))(np.array([[3.0]]))).all()


# Bilinear


@given(data=st.data())
def test_bilinear_agrees_with_hat_functions_in_float64(data):
    source = data.draw(grids(irregular=True))
    destination = points_within(source, data)
    field = data.draw(fields(source))
    rows, columns = hat(source.lat, destination.lat), hat_longitudes(source, destination.lon)
    expected = rows @ field.astype(np.float64) @ columns.T
    np.testing.assert_allclose(regridder(source, destination)(field), expected, rtol=3e-7)


@given(data=st.data(), slopes=st.tuples(st.integers(-9, 9), st.integers(-9, 9)))
def test_bilinear_reproduces_a_linear_field(data, slopes):
    source = data.draw(grids(irregular=True))
    destination = points_within(source, data)
    shift = np.round((destination.lon[0] - source.lon[0] - 1) / 360) * 360
    assume(not source.is_global_in_lon)

    def linear(lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
        return slopes[0] * lat[:, None] + slopes[1] * lon

    expected = linear(destination.lat, destination.lon - shift)
    result = regridder(source, destination)(linear(source.lat, source.lon))
    np.testing.assert_allclose(result, expected, rtol=3e-7, atol=1e-3)


def test_bilinear_goes_around_the_circle():
    field = np.arange(36, dtype=np.float32) + np.zeros(GLOBE.shape, np.float32)
    between = RectilinearGrid(np.array([-3.0]), np.array([-7.5, -5.0, -2.5, 0.0, 2.5]))
    np.testing.assert_allclose(regridder(GLOBE, between)(field)[0], [26.25, 17.5, 8.75, 0.0, 0.25])


def test_a_point_just_short_of_a_whole_circle_is_the_first_point():
    lon = np.array([0.0, 1.0, *range(11, 352, 10)])
    source = RectilinearGrid(np.array([0.0, 1.0]), lon)
    field = np.random.default_rng(0).normal(size=source.shape).astype(np.float32)
    result = regridder(source, RectilinearGrid(np.array([0.0]), np.array([-0.0005, 359.0])))(field)
    assert result[0, 0] == field[0, 0]
    assert result[0, 1] == pytest.approx(field[0, -1] / 9 + field[0, 0] * 8 / 9, rel=1e-6)


def test_bilinear_from_a_projection_reproduces_a_field_linear_in_it():
    x, y = Proj(HRRR_CRS)(*np.meshgrid(INSIDE_LAMBERT.lon, INSIDE_LAMBERT.lat))
    field = 290 + LAMBERT.x * 1e-4 - LAMBERT.y[:, None] * 2e-4
    np.testing.assert_allclose(regridder(LAMBERT, INSIDE_LAMBERT)(field), 290 + x * 1e-4 - y * 2e-4, atol=1e-4)


def test_a_longitude_of_a_projected_source_may_be_given_from_0_to_360():
    field = np.random.default_rng(0).normal(size=LAMBERT.shape)
    turned = RectilinearGrid(INSIDE_LAMBERT.lat, INSIDE_LAMBERT.lon + 360)
    np.testing.assert_allclose(regridder(LAMBERT, turned)(field), regridder(LAMBERT, INSIDE_LAMBERT)(field), atol=1e-5)


@given(data=st.data())
def test_a_nan_reaches_the_points_where_it_has_a_weight_and_no_others(data):
    source = data.draw(grids())
    destination = points_within(source, data)
    field = data.draw(fields(source))
    row, column = (data.draw(st.integers(0, size - 1)) for size in source.shape)
    field[row, column] = np.nan
    rows, columns = (
        hat(source.lat, destination.lat)[:, row],
        hat_longitudes(source, destination.lon)[:, column],
    )
    touched = (rows > 1e-9)[:, None] & (columns > 1e-9)
    assert np.array_equal(np.isnan(regridder(source, destination)(field)), touched)


def test_a_nan_of_a_projected_source_spreads_to_the_four_cells_around_it():
    field = np.ones(LAMBERT.shape, np.float32)
    field[25, 33] = np.nan
    x, y = Proj(HRRR_CRS)(*np.meshgrid(INSIDE_LAMBERT.lon, INSIDE_LAMBERT.lat))
    touched = (abs(x - LAMBERT.x[33]) < 3000) & (abs(y - LAMBERT.y[25]) < 3000)
    assert np.array_equal(np.isnan(regridder(LAMBERT, INSIDE_LAMBERT)(field)), touched)
    assert touched.any()


def test_a_neighbour_without_weight_of_a_projected_source_does_not_poison():
    source = ProjectedGrid("+proj=merc +R=6371229", np.arange(5) * 1e5, np.arange(5) * 1e5)
    lat, lon = source.latlon()
    field = np.full(source.shape, np.nan, np.float32)
    field[2, 3] = 7.0
    field[4, 4] = 8.0
    result = regridder(source, RectilinearGrid(lat[[2, 4], 0], lon[0, 3:]))(field)
    np.testing.assert_array_equal(result, [[7.0, np.nan], [np.nan, 8.0]])


def test_an_axis_alone_gives_neighbours_and_weights():
    lower, upper, weight = bilinear_axis([10.0, 8.0, 4.0], [10.0, 9.5, 8.0, 5.0, 4.0, 3.9, 10.1])
    assert lower.tolist()[:5] == [0, 0, 1, 1, 2]
    assert upper.tolist()[:5] == [0, 1, 1, 2, 2]
    np.testing.assert_allclose(weight, [0, 0.25, 0, 0.75, 0, np.nan, np.nan])
    assert (lower.dtype, upper.dtype, weight.dtype) == (np.int64, np.int64, np.float32)
    lower, upper, weight = bilinear_axis(GLOBE.lon, [-1.0, 355.0, 720.0], periodic=True)
    assert (lower.tolist(), upper.tolist()) == ([35, 35, 0], [0, 0, 0])
    np.testing.assert_allclose(weight, [0.9, 0.5, 0.0], rtol=1e-6)


# Conservative


@given(data=st.data())
def test_conservative_agrees_with_brute_force_over_pairs_of_cells(data):
    source = data.draw(grids(irregular=True))
    destination = data.draw(grids_around(source))
    field = data.draw(fields(source))
    areas = overlap_areas(source, destination)
    expected = np.einsum("jikm,km->ji", areas, field) / cell_areas(destination)
    covered = areas.sum(axis=(2, 3)) / cell_areas(destination)
    assume(not ((covered > 1 - 1e-3) & (covered < 1 - 1e-9)).any())
    result = regridder(source, destination, "conservative")(field)
    np.testing.assert_allclose(result, np.where(covered > 1 - 1e-6, expected, np.nan), rtol=2e-7)


@pytest.mark.parametrize("coarse_step", [0.5, 1.5, 3.0])
def test_conservative_keeps_the_area_integral(coarse_step):
    fine_lat, fine_lon = (
        regular_axis(low + 0.05, high - 0.05, round((high - low) * 10)) for low, high in ((30, 60), (70, 100))
    )
    fine = RectilinearGrid(fine_lat[::-1], fine_lon)
    half, count = coarse_step / 2, round(30 / coarse_step)
    coarse = RectilinearGrid(regular_axis(30 + half, 60 - half, count), regular_axis(70 + half, 100 - half, count))
    field = np.random.default_rng(0).gamma(0.3, 5.0, fine.shape).astype(np.float32)
    mean = regridder(fine, coarse, "conservative")(field)
    assert (mean.astype(np.float64) * cell_areas(coarse)).sum() == pytest.approx(
        (field.astype(np.float64) * cell_areas(fine)).sum(), rel=1e-7
    )


def test_conservative_weighs_by_area_on_the_sphere():
    source = RectilinearGrid(np.array([75.0, 45.0]), np.array([0.0, 10.0]))
    whole = RectilinearGrid(np.array([60.0, 0.0]), np.array([0.0, 10.0]))
    result = regridder(source, whole, "conservative")(np.array([[1.0, 1.0], [0.0, 0.0]]))
    polar = np.sin(np.deg2rad(90)) - np.sin(np.deg2rad(60))
    np.testing.assert_allclose(result[0], polar / (1 - np.sin(np.deg2rad(30))), rtol=1e-7)


def test_conservative_is_nan_where_a_part_of_the_cell_is_uncovered_or_missing():
    fine = RectilinearGrid.from_box(9.5, 0.5, 0.5, 9.5, 1)
    coarse = RectilinearGrid.from_box(11, -1, 1, 11, 2)
    field = np.ones(fine.shape)
    result = regridder(fine, coarse, "conservative")(field)
    assert np.isnan(result[[0, -1]]).all()
    assert np.isnan(result[:, -1]).all()
    assert (result[1:-1, :-1] == 1).all()
    field[4, 5] = np.nan
    result = regridder(fine, coarse, "conservative")(field)
    assert np.argwhere(np.isnan(result[1:-1, :-1])).tolist() == [[2, 2]]


def test_every_second_point_of_a_grid_is_not_its_cell_average():
    fine, coarse = RectilinearGrid.from_box(10, -10, 0, 20, 1), RectilinearGrid.from_box(8, -8, 2, 18, 2)
    field = np.random.default_rng(0).normal(size=fine.shape).astype(np.float32)
    np.testing.assert_array_equal(regridder(fine, coarse)(field), field[2:-2:2, 2:-2:2])
    spread = regridder(fine, coarse, "conservative")(field).std()
    assert spread < 0.7 * field.std()


# Nearest


@given(data=st.data())
def test_nearest_is_the_nearest_point_in_each_direction(data):
    source = data.draw(grids())
    destination = points_within(source, data)
    values = np.arange(np.prod(source.shape), dtype=np.float32).reshape(source.shape)
    rows, columns = np.divmod(regridder(source, destination, "nearest")(values).astype(int), source.shape[1])
    to_lat = np.abs(source.lat - destination.lat[:, None])
    to_lon = np.abs((source.lon - destination.lon[:, None] + 180) % 360 - 180)
    np.testing.assert_allclose(
        np.abs(source.lat[rows] - destination.lat[:, None]), to_lat.min(axis=1)[:, None] + 0 * rows, atol=1e-3
    )
    got = np.abs((source.lon[columns] - destination.lon + 180) % 360 - 180)
    np.testing.assert_allclose(got, to_lon.min(axis=1) + 0 * columns, atol=1e-3)


def test_points_halfway_all_go_to_the_same_side():
    source = RectilinearGrid.from_box(10, 0, 0, 10, 1)
    halfway = RectilinearGrid.from_box(9.5, 0.5, 0.5, 9.5, 1)
    field = np.random.default_rng(0).normal(size=source.shape).astype(np.float32)
    np.testing.assert_array_equal(regridder(source, halfway, "nearest")(field), field[1:, 1:])


# Ready weights


def write_weights(path, weights: np.ndarray, **sizes: int) -> None:
    row, column = np.nonzero(weights >= 0)
    file = xr.Dataset({"row": ("n_s", row + 1), "col": ("n_s", column + 1), "S": ("n_s", weights[row, column])})
    extra = {f"mask_{name}": (name, np.ones(size)) for name, size in sizes.items()}
    file.assign(extra).to_netcdf(path)


def test_ready_weights_are_the_matrix_in_the_file(tmp_path):
    source = RectilinearGrid.from_box(12, 10, 0, 3, 1)
    destination = RectilinearGrid.from_box(12.5, 10.5, 0.5, 4, 0.5)
    dense = np.kron(hat(source.lat, destination.lat), hat(source.lon, destination.lon))
    write_weights(tmp_path / "weights.nc", dense, n_a=12, n_b=40)
    regrid = EsmfWeights.from_file(tmp_path / "weights.nc", source.shape, destination.shape)
    field = np.random.default_rng(0).normal(280, 10, (2, *source.shape)).astype(np.float32)
    field[1, 0, 1] = np.nan
    out = np.empty((2, *destination.shape), np.float32)
    assert regrid(field, out=out) is out
    np.testing.assert_allclose(out, regridder(source, destination)(field), rtol=3e-7)
    assert 0 < np.isnan(out[0]).sum() < np.isnan(out[1]).sum() < out[1].size
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(regrid))(field), out)


def test_a_cell_that_ready_weights_cover_partly_is_nan(tmp_path):
    write_weights(tmp_path / "weights.nc", np.array([[0.5, 0.5], [0.0, 0.7], [0.0, 1.0]]))
    regrid = EsmfWeights.from_file(tmp_path / "weights.nc", (1, 2), (3, 1))
    np.testing.assert_array_equal(regrid(np.array([[2.0, 4.0]])), [[3.0], [np.nan], [4.0]])
    np.testing.assert_array_equal(regrid(np.array([[np.nan, 4.0]])), [[np.nan], [np.nan], [4.0]])


def test_ready_weights_of_other_grids_are_refused(tmp_path):
    path = tmp_path / "weights.nc"
    write_weights(path, np.ones((6, 4)))
    with pytest.raises(BadInput, match=r"weights\.nc: row .* 1 \.\. 6, expected 1 \.\. 5"):
        EsmfWeights.from_file(path, (2, 2), (5, 1))
    with pytest.raises(BadInput, match=r"weights\.nc: col .* 1 \.\. 4, expected 1 \.\. 3"):
        EsmfWeights.from_file(path, (1, 3), (6, 1))
    with pytest.raises(BadInput, match=r"\(2, 3\), expected \(\.\.\., 2, 2\)"):
        EsmfWeights.from_file(path, (2, 2), (6, 1))(np.zeros((2, 3)))
    write_weights(path, np.ones((6, 4)), n_a=4, n_b=6)
    with pytest.raises(BadInput, match=r"weights\.nc: col is of a grid of 4 points, expected 6"):
        EsmfWeights.from_file(path, (2, 3), (6, 1))
    xr.Dataset({"S": ("n_s", np.ones(3))}).to_netcdf(path)
    with pytest.raises(BadInput, match=r"weights\.nc: got no row, col"):
        EsmfWeights.from_file(path, (2, 3), (6, 1))
