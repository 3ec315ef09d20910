"""A little of each kind of damage, and, marked slow, all of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from corrstore.datasets.recipe.recipe import recipe_from
from corrstore.datasets.store.opening import open_store
from tests.chaos.flips import flips_in_forecasts, flips_in_other_files, flips_in_shards
from tests.chaos.inputs import containers, gridded, mutations, mutations_of_zarr
from tests.chaos.kills import kills, races
from tests.chaos.recipes import hostile_recipes
from tests.conftest import brief_content, build_in_process, small_recipe_content
from tests.digests import digest
from tests.results import forecast_of

SIZES = [pytest.param(False, id="brief"), pytest.param(True, id="whole", marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def recipe(archive):
    return recipe_from(brief_content(archive))


@pytest.fixture(scope="module")
def store(recipe, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("chaos") / "store"
    build_in_process(recipe, folder)
    return folder


def check(*all_outcomes) -> None:
    """Print the table; nothing in it may be bad."""
    print("", *all_outcomes, sep="\n")
    assert not [example for outcomes in all_outcomes for example in outcomes.bad]


@pytest.mark.parametrize("whole", SIZES)
def test_a_flipped_bit_is_never_another_number(recipe, store, tmp_path, whole):
    copy = Path(shutil.copytree(store, tmp_path / "store"))
    check(
        flips_in_shards(copy, 1000 if whole else 40),
        flips_in_other_files(copy, recipe, *((1000, 20) if whole else (40, 40))),
        flips_in_forecasts(
            forecast_of(open_store(str(store)), str(tmp_path / "forecast"), [1, 2]), "t2m", 300 if whole else 10
        ),
    )


@pytest.mark.parametrize("whole", SIZES)
def test_a_damaged_file_of_an_archive_is_a_problem_with_a_name(recipe, archive, tmp_path, whole, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    grib = sorted((archive / "era5").rglob("*.grib*"))[0]
    netcdf, group = gridded(tmp_path)
    (tmp_path / "packed").mkdir()
    packed = containers(netcdf, tmp_path / "packed")
    few, some, many = (20, 300, 3000) if whole else (2, 10, 40)
    check(
        mutations("GRIB", grib, tmp_path / "grib", recipe, "era5", many),
        mutations("NetCDF", netcdf, tmp_path / "netcdf", recipe, "era5", some),
        mutations_of_zarr(group, tmp_path / "zarr", recipe, "era5", some),
        *(mutations(each.suffix, each, tmp_path / each.name, recipe, "era5", few) for each in packed),
    )


@pytest.mark.parametrize("whole", SIZES)
def test_a_hostile_recipe_is_one_message(archive, tmp_path, whole):
    check(hostile_recipes(small_recipe_content(archive), tmp_path, 500 if whole else 60))


@pytest.mark.slow
def test_kills_and_races(recipe, store, tmp_path):
    check(kills(recipe, tmp_path, digest(store), 100), races(recipe, tmp_path, digest(store), 20))
