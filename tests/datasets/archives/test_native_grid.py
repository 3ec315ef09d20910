"""`grid: native`: the archive's own points, whatever their spacing and order."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
import yaml

from corrstore.datasets.archives.native_grid import add_native_grids
from corrstore.datasets.errors import BadInput
from corrstore.datasets.pairing.sample_plan import sample_plans
from corrstore.datasets.recipe.files import load_recipe
from corrstore.datasets.recipe.recipe import recipe_from
from corrstore.datasets.samples.preparation import prepare
from corrstore.datasets.samples.sample import physical_fields

GAUSSIAN = np.array([52.0, 50.51, 49.03, 47.54, 46.06, 44.57])  # unevenly spaced, as Gaussian latitudes are
BY = "dew_point_from_relative_humidity"
LON = np.arange(0.0, 360.0, 1.5)
NUMBERS = np.random.default_rng(0).uniform(270, 290, (GAUSSIAN.size, LON.size)).astype(np.float32)


def recipe_file(folder, grid, points=("latitude", "longitude"), **coordinates):
    """The recipe of an archive of one hour, whose input and target have that grid."""
    axes = {"valid_time": np.array(["2020-03-01T00"], "M8[ns]")} | coordinates
    (folder / "archive").mkdir()
    field = (("valid_time", *points), NUMBERS[None], {"units": "K"})
    xr.Dataset({"t2m": field}, axes).to_netcdf(folder / "archive" / "a.nc")
    interval = {"start": "2020-03-01T00", "end": "2020-03-01T01"}
    part = {"source": "a", "grid": grid, "channels": ["t2m"]}
    content = {
        **{"name": "native", "period": interval | {"frequency": "1h"}, "splits": {"train": interval}},
        **{"sources": {"a": {"type": "era5", "path": str(folder / "archive")}}},
        **{"input": part | {"halo": 0}, "target": part},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(content))
    return str(folder / "recipe.yaml")


def target(recipe):
    (plan,) = (plan for plan in sample_plans(prepare(recipe).pairs) if plan.index >= 0)
    return next(field.values for field in physical_fields(recipe, plan) if field.role == "target")


@pytest.mark.parametrize("south_first", [False, True])
def test_every_number_is_the_archives(tmp_path, south_first):
    lat = GAUSSIAN[::-1] if south_first else GAUSSIAN
    recipe = load_recipe(recipe_file(tmp_path, "native", latitude=lat, longitude=LON), None, add_native_grids)
    np.testing.assert_array_equal(recipe.target_grid.lat, GAUSSIAN)
    assert recipe_from(recipe.content).target_grid == recipe.target_grid  # the store keeps it
    np.testing.assert_array_equal(target(recipe), NUMBERS[::-1] if south_first else NUMBERS)


def test_a_box_takes_the_archives_points_across_greenwich(tmp_path):
    box = {"native": True, "north": 51, "south": 46, "west": -4, "east": 5}
    recipe = load_recipe(recipe_file(tmp_path, box, latitude=GAUSSIAN, longitude=LON), None, add_native_grids)
    np.testing.assert_array_equal(recipe.target_grid.lon, [-3.0, -1.5, 0.0, 1.5, 3.0, 4.5])
    np.testing.assert_array_equal(target(recipe), NUMBERS[1:5][:, [-2, -1, 0, 1, 2, 3]])


def test_other_kinds_of_grids_and_archives_without_the_field_are_refused(tmp_path):
    lat, lon = np.meshgrid(GAUSSIAN, LON, indexing="ij")
    two = {"latitude": (("y", "x"), lat), "longitude": (("y", "x"), lon)}
    path = recipe_file(tmp_path, "native", ("y", "x"), **two)
    with pytest.raises(BadInput, match=r"input\.grid: native needs an archive of .* curvilinear"):
        load_recipe(path, None, add_native_grids)
    with pytest.raises(BadInput, match=r"native: sources\.a\.path .* holds no d2m; .*archive lists what"):
        load_recipe(path, ["input.channels=[d2m]"], add_native_grids)
    with pytest.raises(BadInput, match="native is the archive's grid"):
        load_recipe(path)


def test_the_first_channel_may_be_derived_and_a_period_that_the_archive_lacks_is_told_as_with_a_box(tmp_path):
    path = recipe_file(tmp_path, "native", latitude=GAUSSIAN, longitude=LON)
    elsewhere = ["period={start: 2021-03-01, end: 2021-03-02, frequency: 1h}", "splits.train.start=2021-03-01"]
    recipe = load_recipe(path, [*elsewhere, "splits.train.end=2021-03-02"], add_native_grids)
    with pytest.raises(BadInput, match=r"are there of 2020-03-01T00:00Z .* correct the period"):
        prepare(recipe)
    (tmp_path / "humid").mkdir()
    field, percent = (("valid_time", "latitude", "longitude"), NUMBERS[None] / 4), {"units": "%"}
    axes = {"valid_time": np.array(["2020-03-01T00"], "M8[ns]"), "latitude": GAUSSIAN, "longitude": LON}
    xr.Dataset({"r2m": (*field, percent)}, axes).to_netcdf(tmp_path / "humid" / "a.nc")
    (tmp_path / "mine.yaml").write_text("name: mine\nlike: era5\nfields: {r2m: {names: r2m}}\n")
    humid = {"type": str(tmp_path / "mine.yaml"), "path": str(tmp_path / "humid"), "derive": {"d2m": BY}}
    derived = [f"sources.a={humid}", "input.channels=[d2m]", "target.channels=[d2m]"]
    np.testing.assert_array_equal(load_recipe(path, derived, add_native_grids).target_grid.lat, GAUSSIAN)
