"""A variable of the user's own goes the whole way: build, inspect, report, catalog, training and scores."""

from __future__ import annotations

import json

import pytest
import yaml

from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.files import load_recipe
from corrstore.datasets.store.opening import open_store
from tests.brief_run import BRIEF_RUN
from tests.command import corrstore
from tests.conftest import brief_content

CAPE = {
    "standard_name": "atmosphere_convective_available_potential_energy",
    "long_name": "convective available potential energy",
    "units": "J kg-1",
    "valid_range": [0, 10000],
    "transform": "sqrt",
    "wet_threshold": 10,
    "thresholds": [10, 25],
    "palette": "moisture",
    "residual_palette": "moisture",
}
RULE = {"grib": [{"discipline": 0, "category": 16, "number": 224, "level_type": 1}]}
"""The archive's reflectivity, which is taken for CAPE here."""


def said_by(*arguments: object) -> str:
    """Return the output of a command that ends with 0."""
    ended = corrstore(*arguments)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def recipe_with_cape(archive, folder, *, in_table: bool):
    """A recipe whose target has CAPE, which the recipe or its source table defines."""
    table = {"name": "mine", "like": "cma_rra", "fields": {"cape": RULE}}
    content = brief_content(archive)
    content["target"]["channels"] = ["t2m", "tp", "cape"]
    content["floors"]["cape"] = 0
    content["period"]["end"] = "2020-06-02T03"
    content["splits"] |= {
        "validation": {"start": "2020-06-01T15", "end": "2020-06-01T21"},
        "test": {"start": "2020-06-01T21", "end": "2020-06-02T03"},
        "embargo": "0h",
    }
    content["sources"]["cma_rra"]["type"] = str(folder / "mine.yaml")
    (table if in_table else content)["variables"] = {"cape": CAPE}
    (folder / "mine.yaml").write_text(yaml.safe_dump(table))
    (folder / "recipe.yaml").write_text(yaml.safe_dump(content))
    return folder / "recipe.yaml"


@pytest.mark.parametrize("in_table", [True, False])
def test_a_definition_is_part_of_the_recipe_wherever_it_stands(archive, tmp_path, in_table):
    recipe = load_recipe(str(recipe_with_cape(archive, tmp_path, in_table=in_table)))
    variable = recipe.channel("cape").variable
    assert (variable.units, variable.transform, variable.thresholds) == ("J kg-1", "sqrt", (10.0, 25.0))
    assert "cape" in recipe.content["variables"]


@pytest.fixture(scope="module")
def store(archive, tmp_path_factory):
    """The folder of a store with CAPE, whose table is gone: the store knows it all."""
    folder = tmp_path_factory.mktemp("cape")
    said_by("build", recipe_with_cape(archive, folder, in_table=True), "--output", folder / "store", "--workers=1")
    (folder / "mine.yaml").unlink()
    return folder / "store"


def test_a_variable_of_the_users_own_is_built_shown_and_found(store, tmp_path):
    opened = open_store(str(store))
    assert opened.dataset("target")["cape"].attrs["units"] == "J kg-1"
    assert "cape" in said_by("inspect", store)
    said_by("report", store, "--output", tmp_path / "report.html")
    assert CAPE["long_name"] in (tmp_path / "report.html").read_text()
    said_by("catalog", "add", store, "--catalog", tmp_path / "catalog")
    found = json.loads(said_by("catalog", "query", "--catalog", tmp_path / "catalog", "--variable", "cape", "--json"))
    assert "small" in json.dumps(found)


@pytest.mark.slow
def test_a_variable_of_the_users_own_is_learned_drawn_and_scored(store, tmp_path):
    run, forecast = tmp_path / "run", tmp_path / "forecast"
    settings = {**BRIEF_RUN, "patches": 16, "save_every": 16, "validate_every": 16}
    changes = [f"--set={key}={json.dumps(value)}" for key, value in settings.items()]
    said_by("train", "--stage", "regression", "--store", store, "--preset", "demo", "--output", run, *changes)
    said_by("sample", "--store", store, "--checkpoint", run, "--output", forecast, "--members=0")
    said_by("evaluate", "--truth", store, "--forecast", forecast, "--output", tmp_path / "evaluation")
    rows = (tmp_path / "evaluation" / "scores.csv").read_text()
    assert "cape,J kg-1,regression,rmse" in rows and "cape,1,regression,fss,25.0" in rows
    assert CAPE["long_name"] in (tmp_path / "evaluation" / "report.html").read_text()


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("t2m", {}, r"variables.t2m.long_name is .*, but t2m is known with '2 m temperature'"),
        ("Cape", {}, "variables.Cape: a name is small letters and digits"),
        ("cape", {"palette": "rainbow"}, "variables.cape.palette: expected 'plain', .* got 'rainbow'"),
        ("cape", {"transform": "log2"}, "variables.cape.transform: unknown transform 'log2'"),
        ("cape", {"valid_range": [3, 1]}, r"variables.cape: valid_range must ascend, got \[3, 1\]"),
        ("cape", {"valid_range": [0, float("inf")]}, "variables.cape.valid_range.1: expected a finite number"),
        ("cape", {"vector_partner": "u10m"}, "variables.cape.vector_partner is 'u10m'"),
        ("cape", {"colour": "red"}, "variables.cape.colour: no such key"),
    ],
)
def test_a_wrong_definition_is_refused(archive, tmp_path, name, change, says):
    recipe = recipe_with_cape(archive, tmp_path, in_table=False)
    content = yaml.safe_load(recipe.read_text())
    content["variables"] |= {name: CAPE | change}
    recipe.write_text(yaml.safe_dump(content))
    with pytest.raises(BadInput, match=says):
        load_recipe(str(recipe))


def test_two_definitions_that_differ_are_refused_with_both_values(archive, tmp_path):
    recipe = recipe_with_cape(archive, tmp_path, in_table=True)
    content = yaml.safe_load(recipe.read_text())
    content["variables"] = {"cape": CAPE | {"units": "m2 s-2"}}
    recipe.write_text(yaml.safe_dump(content))
    with pytest.raises(BadInput, match=r"variables.cape is .*m2 s-2.* but .*J kg-1"):
        load_recipe(str(recipe))


def test_a_definition_with_its_defaults_as_a_store_like_which_one_is_built_has_it_is_the_same(archive, tmp_path):
    recipe = recipe_with_cape(archive, tmp_path, in_table=True)
    content = yaml.safe_load(recipe.read_text())
    content["variables"] = load_recipe(str(recipe)).content["variables"]
    assert content["variables"]["cape"] != CAPE
    recipe.write_text(yaml.safe_dump(content))
    assert load_recipe(str(recipe)).content["variables"] == content["variables"]


def test_two_stores_do_not_share_their_variables(archive, tmp_path):
    load_recipe(str(recipe_with_cape(archive, tmp_path, in_table=False)))
    with pytest.raises(BadInput, match="unknown variable 'cape'"):
        load_recipe("demo", ["target.channels=[cape]"])


def test_a_table_that_is_like_itself_is_refused(archive, tmp_path):
    recipe = recipe_with_cape(archive, tmp_path, in_table=True)
    table = tmp_path / "mine.yaml"
    table.write_text(yaml.safe_dump({"name": "mine", "like": str(table)}))
    with pytest.raises(BadInput, match=r"in a circle: .*mine.yaml -> .*mine.yaml"):
        load_recipe(str(recipe))
