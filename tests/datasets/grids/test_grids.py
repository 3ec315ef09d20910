from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corrstore.datasets.errors import BadInput
from corrstore.datasets.grids.axes import regular_axis
from corrstore.datasets.grids.grid import PRESETS, grid_from_dict, preset, turn_onto
from corrstore.datasets.grids.projected import ProjectedGrid
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from tests.hrrr import HRRR_CRS

ERA5 = RectilinearGrid.from_box(90, -90, 0, 359.75, 0.25)
LAMBERT = ProjectedGrid(HRRR_CRS, np.arange(-60, 61) * 3000.0, np.arange(-40, 41) * 3000.0)


@st.composite
def axes(draw, low: float, high: float) -> np.ndarray:
    """Regular or not, and rising."""
    points = draw(st.lists(st.floats(low, high, width=32), min_size=1, max_size=12, unique=True))
    count = draw(st.integers(2, 50))
    regular = regular_axis(min(points), max(points), count) if len(points) > 1 else np.array(points)
    axis = regular if draw(st.booleans()) else np.sort(points)
    return axis if (np.diff(axis) > 0).all() else np.array(points[:1])


def test_presets_have_the_published_sizes_and_corners():
    sizes = {"era5_china": (192, 288), "china_3km": (1600, 2400), "cma_meso_3km": (1671, 2501)}
    assert {name: grid.shape for name, grid in PRESETS.items()} == sizes
    assert preset("era5_china").bounds == (12.25, 70.0, 60.0, 141.75)
    assert preset("china_3km").bounds == (12.13, 70.0, 60.1, 141.97)
    assert preset("cma_meso_3km").bounds == (10.0, 70.0, 60.1, 145.0)
    assert all(grid.lat[0] > grid.lat[-1] for grid in PRESETS.values())


def test_a_preset_that_is_not_there_is_answered_with_those_that_are():
    with pytest.raises(BadInput, match=r"'china'.*era5_china, china_3km, cma_meso_3km"):
        preset("china")


def test_the_china_grid_is_part_of_the_meso_grid_to_the_last_bit():
    china, meso = preset("china_3km"), preset("cma_meso_3km")
    assert np.array_equal(china.lat, meso.lat[:1600])
    assert np.array_equal(china.lon, meso.lon[:2400])


def test_a_halo_of_four_cells_makes_the_era5_box_cover_the_target():
    era5, target = preset("era5_china"), preset("china_3km")
    assert not era5.covers(target)
    assert era5.expanded(4).covers(target)
    assert era5.expanded(4).shape == (200, 296)
    assert np.array_equal(era5.expanded(4).lat[4:-4], era5.lat)
    assert era5.expanded(4).bounds == (11.25, 69.0, 61.0, 142.75)


def test_a_halo_may_not_pass_a_pole_or_meet_itself():
    with pytest.raises(BadInput, match="lat"):
        RectilinearGrid.from_box(90, 0, 0, 10, 1).expanded(1)
    with pytest.raises(BadInput, match="lon"):
        RectilinearGrid.from_box(10, 0, 0, 359, 1).expanded(1)


def test_a_regular_axis_does_not_drift_as_the_rounded_increment_of_a_message_does():
    gaussian_like = regular_axis(0.0, 359.296875, 512)
    assert np.abs(gaussian_like - np.arange(512) * 360 / 512).max() < 1e-9
    assert np.abs(np.arange(512) * 0.703 - np.arange(512) * 360 / 512).max() > 0.06
    assert regular_axis(60.1, 10.0, 1671).tolist() == [round(60.1 - 0.03 * k, 2) for k in range(1671)]


def test_a_box_must_hold_a_whole_number_of_steps():
    with pytest.raises(BadInput, match=r"north - south: got 1\.1.*0\.25"):
        RectilinearGrid.from_box(1.1, 0, 0, 1, 0.25)
    with pytest.raises(BadInput, match="east - west: got -1"):
        RectilinearGrid.from_box(1, 0, 1, 0, 0.25)


@pytest.mark.parametrize(
    ("lat", "lon", "message"),
    [
        ([0.0, 1.0, 1.0], [0.0], "lat: got 1 after 1 at index 2"),
        ([0.0], [350.0, 355.0, 0.0], "lon: got 0 after 355 at index 2.*add 360"),
        ([0.0], [20.0, 10.0], "lon: .*expected rising: flip"),
        ([0.0], [0.0, 180.0, 360.0], "less than a circle"),
        ([91.0], [0.0], "between -90 and 90"),
        ([np.nan], [0.0], "1 missing"),
        ([[0.0]], [0.0], "shape"),
        ([], [0.0], "not empty"),
    ],
)
def test_axes_that_make_no_grid_are_refused(lat, lon, message):
    with pytest.raises(BadInput, match=message):
        RectilinearGrid(np.array(lat), np.array(lon))


def test_the_hash_is_of_the_content_and_the_same_everywhere():
    assert preset("era5_china").hash == "3ed31a6e9e51deaa"
    assert preset("china_3km").hash == "b84c03a0bd82f74c"
    noisy = RectilinearGrid(ERA5.lat + 1e-9, ERA5.lon - 1e-9)
    assert noisy == RectilinearGrid(ERA5.lat, ERA5.lon + 360) == RectilinearGrid(ERA5.lat, ERA5.lon - 720) == ERA5
    assert len({ERA5, noisy, pickle.loads(pickle.dumps(ERA5))}) == 1


def test_other_content_has_another_hash():
    lat, lon, x = np.array([10.0, 20.0]), np.array([30.0, 40.0]), np.array([0.0, 3000.0])
    grids = [
        RectilinearGrid(lat, lon),
        RectilinearGrid(lat[::-1], lon),
        RectilinearGrid(lat + 1e-5, lon),
        RectilinearGrid(lat, lon + 1),
        RectilinearGrid(lat, np.append(lon, 50.0)),
        ProjectedGrid(HRRR_CRS, x, x),
        ProjectedGrid(HRRR_CRS, x + 0.01, x),
        ProjectedGrid("+proj=merc +R=6371229", x, x),
    ]
    assert len({grid.hash for grid in grids}) == len(set(grids)) == len(grids)


def test_a_grid_cannot_be_changed():
    lat = np.array([10.0, 20.0])
    grid = RectilinearGrid(lat, np.array([30.0, 40.0]))
    lat[0] = 0.0
    assert grid.lat[0] == 10.0
    with pytest.raises(ValueError, match="read-only"):
        grid.lat[0] = 0.0


@given(lat=axes(-90, 90), lon=axes(-180, 179), south_first=st.booleans())
def test_a_rectilinear_grid_comes_back_from_json_to_the_last_bit(lat, lon, south_first):
    grid = RectilinearGrid(lat if south_first else lat[::-1], lon)
    again = grid_from_dict(json.loads(json.dumps(grid.to_dict())))
    assert np.array_equal(again.lat, grid.lat)
    assert np.array_equal(again.lon, grid.lon)
    assert again == grid


def test_regular_axes_are_described_by_first_last_and_count():
    assert preset("china_3km").to_dict()["lat"] == {"first": 60.1, "last": 12.13, "count": 1600}
    assert RectilinearGrid(np.array([0.0, 1.0, 3.0]), np.array([0.0])).to_dict()["lat"] == [0.0, 1.0, 3.0]


def test_a_description_that_is_of_no_grid_is_refused():
    with pytest.raises(BadInput, match=r"'reduced_gg'.*rectilinear"):
        grid_from_dict({"type": "reduced_gg"})
    with pytest.raises(BadInput, match="'lon'"):
        grid_from_dict({"type": "rectilinear", "lat": [0.0]})


@pytest.mark.parametrize(
    ("first", "last", "count", "is_global"),
    [
        (0, 359.75, 1440, True),
        (-180, 179.75, 1440, True),
        (180, 539.76, 1500, True),
        (0, 359, 1437, False),
        (70, 141.75, 288, False),
        (0, 0, 1, False),
    ],
)
def test_longitudes_that_close_the_circle_are_global(first, last, count, is_global):
    assert RectilinearGrid(np.array([0.0]), regular_axis(first, last, count)).is_global_in_lon is is_global


def test_edges_lie_midway_and_stop_at_the_poles():
    lat, lon = RectilinearGrid(np.array([90.0, 89.0, 86.0]), np.array([0.0, 1.0, 3.0])).edges()
    assert lat.tolist() == [90.0, 89.5, 87.5, 84.5]
    assert lon.tolist() == [-0.5, 0.5, 2.0, 4.0]


def test_edges_of_a_global_grid_close_the_circle():
    lat, lon = ERA5.edges()
    assert (lat[0], lat[1], lat[-1]) == (90.0, 89.875, -90.0)
    assert (lon[0], lon[-1]) == (-0.125, 359.875)


def test_edges_of_an_irregular_global_grid_lie_midway_on_both_sides_of_the_seam():
    _, lon = RectilinearGrid(np.array([0.0, 1.0]), np.array([0.0, 80.0, 180.0, 280.0])).edges()
    assert lon.tolist() == [-40.0, 40.0, 130.0, 230.0, 320.0]


def test_edges_need_a_neighbour():
    with pytest.raises(BadInput, match="lone point"):
        RectilinearGrid(np.array([0.0]), np.array([0.0, 1.0])).edges()


def test_covering_is_modulo_360_and_keeps_the_margin():
    china = preset("era5_china")
    shifted = RectilinearGrid(china.lat, china.lon - 360)
    assert china.covers(shifted)
    assert shifted.covers(china)
    assert ERA5.covers(RectilinearGrid.from_box(10, 0, -5, 5, 0.1), margin=5)
    assert not ERA5.covers(RectilinearGrid.from_box(90, 0, -5, 5, 0.1), margin=5)
    inner = RectilinearGrid.from_box(59.0, 13.25, 71.0, 140.75, 0.25)
    assert china.covers(inner, margin=1.0)
    assert not china.covers(inner, margin=1.01)
    assert not china.covers(RectilinearGrid.from_box(50, 40, 142, 150, 1))


def test_rounding_of_archives_does_not_uncover():
    china = preset("china_3km")
    assert china.covers(RectilinearGrid(china.lat + 1e-6, china.lon - 1e-6))
    assert not china.covers(RectilinearGrid(china.lat, china.lon - 1e-4))


def test_resolution_is_in_the_units_of_the_axes():
    assert preset("era5_china").resolution == (0.25, 0.25)
    assert LAMBERT.resolution == (3000.0, 3000.0)
    assert np.isnan(RectilinearGrid(np.array([0.0]), np.array([0.0, 1.0])).resolution[0])


@given(first=st.integers(-1800, 3600), count=st.integers(2, 40), step=st.sampled_from([0.25, 0.28125, 0.03, 1 / 12]))
def test_a_grid_in_thousandths_of_a_degree_has_the_points_of_the_grid_in_millionths(first, count, step):
    lon = first / 10 + step * np.arange(count)
    lat = 40.0 - step * np.arange(count)
    exact = RectilinearGrid(lat, lon)
    coarse = RectilinearGrid(*(regular_axis(*axis[[0, -1]].round(3), count) for axis in (lat, lon)))
    single = RectilinearGrid(lat[::-1].astype(np.float32), lon.astype(np.float32) + 360)
    field = np.arange(count * count).reshape(count, count)
    assert np.array_equal(field[np.ix_(*turn_onto(exact, coarse))], field)
    assert np.array_equal(field[::-1][np.ix_(*turn_onto(exact, single))], field)
    assert turn_onto(exact, RectilinearGrid(lat + step / 2, lon)) is None
    assert turn_onto(exact, RectilinearGrid(lat, lon + step / 4)) is None


def test_a_globe_that_begins_elsewhere_has_the_same_points():
    west = RectilinearGrid(ERA5.lat, ERA5.lon - 180)
    field = np.broadcast_to(ERA5.lon, ERA5.shape)
    turned = np.broadcast_to(west.lon % 360, ERA5.shape)[np.ix_(*turn_onto(ERA5, west))]
    np.testing.assert_array_equal(turned, field)


def test_projected_grids_of_two_earths_have_other_points():
    other = ProjectedGrid(HRRR_CRS.replace("6371229", "6367470"), LAMBERT.x, LAMBERT.y)
    written_otherwise = ProjectedGrid(HRRR_CRS.replace("262.5", "-97.5"), LAMBERT.x, LAMBERT.y + 0.5)
    assert turn_onto(LAMBERT, other) is None
    assert turn_onto(LAMBERT, written_otherwise) is not None


def test_a_projected_grid_that_is_written_from_the_other_end_has_the_same_points():
    other = ProjectedGrid(HRRR_CRS.replace("262.5", "-97.5"), LAMBERT.x[::-1], LAMBERT.y[::-1])
    field = np.arange(LAMBERT.y.size * LAMBERT.x.size).reshape(LAMBERT.shape)
    np.testing.assert_array_equal(field[::-1, ::-1][np.ix_(*turn_onto(LAMBERT, other))], field)
