"""Recipes: the shipped ones, overrides, and what is refused."""

from __future__ import annotations

import json
import re

import jsonschema
import pytest

from corrstore.datasets.archives.table import load_table, shipped_tables
from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.files import load_recipe, shipped_recipes
from corrstore.datasets.recipe.recipe import recipe_from, recipe_schema
from tests.conftest import small_recipe_content


def test_the_promised_recipes_are_shipped():
    assert {"demo", "china_3km", "china_3km_sff", "single_variable", "hrrr_rme", "demo_forecast"} <= set(
        shipped_recipes()
    )


@pytest.mark.parametrize("name", [name for name in shipped_recipes() if not name.startswith("demo_")])
def test_a_shipped_recipe_is_valid_and_bears_its_name(name):
    assert load_recipe(name).name == name


def test_the_papers_setting():
    """arXiv 2512.05377: 192 x 288 at 0.25 degree to 1600 x 2400 at 0.03, three-hourly, 2018-2020, six levels."""
    recipe = load_recipe("china_3km")
    assert recipe.target.store_grid.shape == (1600, 2400)
    assert recipe.input.store_grid.shape == (192 + 2 * recipe.input.halo, 288 + 2 * recipe.input.halo)
    assert len(recipe.times) == 3 * 365 * 8 + 8
    assert {channel.level for channel in recipe.channels["target"] if channel.level} == {200, 300, 500, 700, 850, 925}
    assert "refc" in recipe.target.channels
    assert len(load_recipe("china_3km_sff").target.channels) == 24
    assert load_recipe("single_variable").target.channels == ["t2m"]


def test_levels_may_be_written_as_a_mapping(archive):
    assert "z_500" in recipe_from(small_recipe_content(archive)).input.channels


def test_an_override_reaches_any_key():
    recipe = load_recipe("demo", ["store.dtype=float32", "input.halo=6", "splits.test=null"])
    assert recipe.store.dtype == "float32" and recipe.input.halo == 6 and recipe.splits.test is None


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("store.dtype=int8", "store.dtype"),
        ("version=true", "version: expected 1, got true"),
        ("period.frequency=3 weeks", "not a duration"),
        ("period.frequency=90d", "frequency 90d gives 0.67 samples in"),
        ("period.frequency=0.1s", "frequency"),
        ("period.start=yesterday", "not a UTC time"),
        ("period.end=2020-01-01", "must end after it starts"),
        ("splits.embargo=60d", "embargo of 60d apart"),
        ("splits.test.end=2021-01-01", "splits.test"),
        ("target.channels=[t2m, rain]", "unknown variable 'rain'"),
        ("target.channels=[t2m, t2m]", "named twice"),
        ("target.channels=[t]", "needs a level"),
        ("target.source=somewhere", "target.source"),
        ("floors.snow=0", "floors.snow is not a channel of input or target; the nearest are"),
        ("transforms.t2n=log1p", "nearest are t2m"),
        ("may_be_missing=[refx]", "nearest are refc"),
        ("transforms.t2m=cube", "cube"),
        ("target.grid=europe", "china_3km"),
        ("sources.era5.path=null", "needs `path`"),
        ("store", "path.to.key=value"),
    ],
)
def test_a_mistake_is_told_by_key(override, said):
    with pytest.raises(BadInput, match=said.replace("[", r"\[")):
        load_recipe("demo", [override])


def test_validation_and_test_may_not_leak_into_train(archive):
    content = small_recipe_content(archive)
    content["splits"]["validation"]["start"] = "2020-06-02T00"
    with pytest.raises(BadInput, match="apart"):
        recipe_from(content)


def test_the_schema_is_one_and_takes_the_shipped_recipes():
    schema = json.loads(recipe_schema())
    assert schema["title"] == "Recipe" and set(schema["required"]) >= {"name", "sources"}


def test_the_schema_accepts_and_refuses_like_the_recipe(archive):
    jsonschema = pytest.importorskip("jsonschema")
    schema, content = json.loads(recipe_schema()), recipe_from(small_recipe_content(archive)).content
    jsonschema.validate(content, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content | {"colour": "blue"}, schema)


def test_a_users_own_table_extends_a_shipped_one(tmp_path):
    own = tmp_path / "mine.yaml"
    own.write_text(
        "name: mine\nlike: cma_rra\nfields:\n"
        "  gust: {grib: [{discipline: 0, category: 2, number: 22, level_type: 1, process: max}]}\n"
    )
    table = load_table(str(own))
    assert table.fields["gust"].grib[0].process == "max"
    assert table.fields["t2m"] == load_table("cma_rra").fields["t2m"] and table.files


def test_a_table_with_an_unknown_variable_is_refused(tmp_path):
    own = tmp_path / "mine.yaml"
    own.write_text("name: mine\nfields: {colour: {names: [c]}}\n")
    with pytest.raises(BadInput, match="unknown variable 'colour'"):
        load_table(str(own))


def test_every_shipped_table_loads():
    assert {"era5", "era5_arco", "era5_land", "cma_rra", "cma_gfs", "cma_meso", "hrrr", "sff"} <= set(shipped_tables())
    for name in shipped_tables():
        assert load_table(name).fields


@pytest.mark.parametrize("options", [{"token": {"private_key": "x"}}, {"token": "ya29.bearer"}, {"secret": "x"}])
def test_a_secret_in_a_recipe_is_refused(archive, options):
    """A store keeps its recipe."""
    content = small_recipe_content(archive)
    content["sources"]["era5"]["storage_options"] = options
    with pytest.raises(BadInput, match="hold a secret"):
        recipe_from(content)


def with_derive(archive, derive: object) -> dict:
    """A recipe whose target has what is derived here."""
    content = small_recipe_content(archive)
    content["sources"]["cma_rra"]["derive"] = derive
    content["target"]["channels"] += ["d2m", "q_850", "u_850", "v_850"]
    return content


def test_derivations_are_a_list_of_channels_or_named_one_by_one(archive):
    listed = recipe_from(with_derive(archive, ["d2m", {"q": [850]}]))
    named = {"d2m": "dew_point_from_specific_humidity", "q_850": "specific_humidity_from_dew_point"}
    assert listed.sources["cma_rra"].derive == named
    assert listed.content == recipe_from(with_derive(archive, named)).content == recipe_from(listed.content).content


@pytest.mark.parametrize(
    ("derive", "said"),
    [
        (["msl"], "sources.cma_rra.derive: msl cannot be derived; what can be is d2m, q"),
        (["dew"], "sources.cma_rra.derive: unknown variable 'dew'"),
        (["q2m"], "sources.cma_rra.derive.q2m is not a channel that input or target reads there"),
        (["u_850"], "sources.cma_rra.derive has u_850, one component of a wind; add v_850"),
        ({"d2m": "by_guess"}, "d2m has no derivation 'by_guess', but dew_point_from_specific_humidity"),
        ("d2m", "sources.cma_rra.derive"),
    ],
)
def test_a_mistaken_derivation_is_told(archive, derive, said):
    with pytest.raises(BadInput, match=re.escape(said)):
        recipe_from(with_derive(archive, derive))


def test_a_coarsened_source_leaves_derivations_to_the_archive_that_it_averages(archive):
    content = with_derive(archive, {})
    content["sources"]["average"] = {"type": "coarsened", "of": "cma_rra", "derive": ["t2m"]}
    with pytest.raises(BadInput, match="t2m cannot be derived"):
        recipe_from(content)
    content["sources"]["average"]["derive"] = ["d2m"]
    with pytest.raises(BadInput, match=r"write derive under sources\.cma_rra"):
        recipe_from(content)


def test_the_schema_takes_derivations_in_both_forms(archive):
    validate = jsonschema.Draft202012Validator(json.loads(recipe_schema())).validate
    for derive in (["d2m", {"q": [850]}], {"d2m": "dew_point_from_relative_humidity"}):
        validate(with_derive(archive, derive))


def test_a_box_may_have_other_steps_in_latitude_than_in_longitude(archive):
    content = small_recipe_content(archive)
    box = content["target"]["grid"] | {"step": {"lat": 0.01, "lon": 0.03}}
    content["target"]["grid"] = box
    recipe = recipe_from(content)
    assert recipe.target_grid.shape == (142, 64)
    assert recipe_from(recipe.content) == recipe
    jsonschema.Draft202012Validator(json.loads(recipe_schema())).validate(content)
    for step, said in (
        ({"lat": 0.01}, "target.grid.step.lon: is missing"),
        ({"lat": 0.01, "lon": 0}, "target.grid.step.lon: expected more than 0, got 0"),
        ({"lat": 0.01, "lon": 0.04}, "a whole number of positive steps, of 0.04 each, as 1.88 or 1.92 is"),
    ):
        box["step"] = step
        with pytest.raises(BadInput, match=re.escape(said)):
            recipe_from(content)
