"""Projected grids: their description, what they cover, and where their points lie."""

from __future__ import annotations

import json

import numpy as np
import pytest

from corrstore.datasets.errors import BadInput
from corrstore.datasets.grids.axes import regular_axis
from corrstore.datasets.grids.grid import grid_from_dict
from corrstore.datasets.grids.projected import ProjectedGrid
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from tests.hrrr import HRRR_CRS, hrrr_grid
from tests.paths import SHARED, needs_shared

LAMBERT = ProjectedGrid(HRRR_CRS, np.arange(-60, 61) * 3000.0, np.arange(-40, 41) * 3000.0)


def test_a_projection_that_proj_does_not_know_is_refused():
    with pytest.raises(BadInput, match="nonsense"):
        ProjectedGrid("+proj=nonsense", np.arange(2.0), np.arange(2.0))


def test_a_projected_grid_comes_back_from_json_to_the_last_bit():
    grid = ProjectedGrid(HRRR_CRS, LAMBERT.x + 0.123456, np.array([0.0, 1.0, 3.0]))
    again = grid_from_dict(json.loads(json.dumps(grid.to_dict())))
    assert again == grid
    assert np.array_equal(again.x, grid.x)
    assert np.array_equal(again.y, grid.y)


def test_covering_between_projected_and_rectilinear_grids():
    south, west, north, east = LAMBERT.bounds
    assert LAMBERT.covers(RectilinearGrid.from_box(39, 38, -98, -97, 0.1))
    assert not LAMBERT.covers(RectilinearGrid.from_box(39, 38, -98, -97, 0.1), margin=100_000)
    assert not LAMBERT.covers(RectilinearGrid(regular_axis(south, north, 5), regular_axis(west, east, 5)))
    assert RectilinearGrid(regular_axis(south - 0.1, north + 0.1, 50), regular_axis(west, east, 50)).covers(LAMBERT)
    assert not RectilinearGrid(regular_axis(south + 0.1, north, 50), regular_axis(west, east, 50)).covers(LAMBERT)
    assert LAMBERT.covers(ProjectedGrid(HRRR_CRS, LAMBERT.x[3:-3], LAMBERT.y[3:-3]), margin=9000)
    assert not LAMBERT.covers(ProjectedGrid(HRRR_CRS, LAMBERT.x[3:-3], LAMBERT.y[3:-3]), margin=9010)


@needs_shared
@pytest.mark.parametrize(
    "name", ["hrrr_rme_hourly/hrrr.20180722/hrrr.t06z.wrfsfcf01.grib2", "hrrr.t06z.wrfsfcf01-CFRZR.grib2"]
)
def test_latitudes_and_longitudes_of_hrrr_are_those_of_eccodes(name):
    grid, lat, lon = hrrr_grid(SHARED / "km" / name)
    ours = grid.latlon()
    assert grid.shape == lat.shape
    assert np.abs(ours[0] - lat).max() < 2e-6
    assert np.abs((ours[1] - lon + 180) % 360 - 180).max() < 2e-6
