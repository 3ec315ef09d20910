"""The differences between two stores."""

from __future__ import annotations

import json
from dataclasses import replace

import pyarrow as pa
import pytest

from corrstore.catalog.queries.access import Catalog
from corrstore.catalog.queries.diff import Difference
from corrstore.catalog.tables.registration import register, register_store
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.recipe.recipe import recipe_from
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.opening import open_store
from tests.catalog_made import made
from tests.conftest import build_in_process, small_recipe_content


@pytest.fixture
def folder(tmp_path) -> Folder:
    return Folder(str(tmp_path / "catalog"))


def parts(differences: list[Difference]) -> dict[str, list[Difference]]:
    return {part: [each for each in differences if each.part == part] for part in {each.part for each in differences}}


def test_a_store_is_like_itself(folder, tmp_path):
    register(folder, made(tmp_path, "a", place="x"))
    register(folder, made(tmp_path, "a", place="y"))
    catalog = Catalog(folder.url)
    assert catalog.diff(str(tmp_path / "x"), str(tmp_path / "y")) == []


def test_two_real_stores(folder, tmp_path, archive, demo_store):
    """A store of a shorter period and other channels, from the same archives."""
    content = small_recipe_content(archive) | {"name": "other"}
    content["period"] = {**content["period"], "end": "2020-06-02T15"}
    content["splits"] = {"train": content["splits"]["train"]}
    content["target"] = {**content["target"], "channels": ["t2m", "tp"]}
    content["input"] = {**content["input"], "halo": 3}
    content["floors"] = {"tp": 0}
    build_in_process(recipe_from(content), tmp_path / "other")
    other = open_store(str(tmp_path / "other"))
    register_store(folder.url, demo_store.folder.url)
    register_store(folder.url, str(tmp_path / "other"))
    found = parts(Catalog(folder.url).diff("small", "other"))

    assert {each.item for each in found["store"]} == {"name", "fingerprint"}
    assert found["grids"] == [Difference("grids", "input", str(demo_store.grid("input")), str(other.grid("input")))]
    gone = {each.item for each in found["channels"] if each.two is None}
    assert gone == {f"{role} {name}" for role in ("target", "residual") for name in ("u10m", "v10m", "z_500")} | {
        "target refc"
    }
    assert Difference("channels", "target tp position", "3", "1") in found["channels"]
    assert {each.item.split()[0] for each in found["constants"]} == {"input"}  # the halo is counted
    assert Difference("periods", "[2020-06-02T15:00Z, 2020-06-02T21:00Z)", "valid", None) in found["periods"]
    assert Difference("recipe", "input.halo", "2", "3") in found["recipe"]
    assert "2020-06-02T18:00Z" in found["shards"][-1].item and found["shards"][-1].two is None
    assert len([each for each in found["shards"] if each.one and each.two]) == 2 * 12
    changed = {each.item.split(":")[0] for each in found["statistics"]}  # other constants round inputs otherwise
    assert changed == {f"input {channel.name}" for channel in other.plan.channels("input")} | {
        "residual t2m",
        "residual tp",
    }


def test_each_part_by_itself(folder, tmp_path):
    one = made(tmp_path, "one", hours=6, invalid=(2,))
    two = made(tmp_path, "two", hours=6, invalid=(4,), mean=290.0, targets=("t2m", "tp"))
    grid = RectilinearGrid.from_box(40, 20, 100, 120, 0.25)
    row = two.tables["stores"].to_pylist()[0] | {
        "target_grid": {"hash": grid.hash, "description": json.dumps(grid.to_dict())}
    }
    channels = two.tables["channels"].to_pylist()
    channels[0] |= {"units": "degC", "mean": 3.0, "transform": "log1p"}
    tables = {**two.tables, "stores": pa.Table.from_pylist([row]), "channels": pa.Table.from_pylist(channels)}
    for store in (one, replace(two, tables=tables)):
        register(folder, store)
    found = parts(Catalog(folder.url).diff("one", "two"))
    assert found["grids"] == [Difference("grids", "target", "g", str(grid))]
    assert found["channels"] == [
        Difference("channels", "input t2m units", "K", "degC"),
        Difference("channels", "target tp", None, "present"),
    ]
    assert found["constants"] == [
        Difference("constants", "input t2m transform", None, "log1p"),
        Difference("constants", "input t2m mean", None, "3.0"),
    ]
    assert found["periods"] == [
        Difference("periods", "[2019-06-01T02:00Z, 2019-06-01T03:00Z)", None, "valid"),
        Difference("periods", "[2019-06-01T04:00Z, 2019-06-01T05:00Z)", "valid", None),
    ]
    merged = [f"mean {mean}, std 1" for mean in (280, 290)]
    assert Difference("statistics", "input t2m: 6 of 6 samples", *merged) in found["statistics"]
    assert len(found["shards"]) == 6 and found["shards"][0].item == "target 2019-06-01T00:00Z"
    backwards = parts(Catalog(folder.url).diff("two", "one"))
    assert {
        part: [(each.item, each.two, each.one) for each in found[part]] for part in found if part != "channels"
    } == {
        part: [(each.item, each.one, each.two) for each in backwards[part]] for part in backwards if part != "channels"
    }


def test_only_what_both_have_is_compared(folder, tmp_path):
    register(folder, made(tmp_path, "june", start="2019-06-01", hours=6))
    register(folder, made(tmp_path, "later", start="2019-06-01T03", hours=6))
    found = parts(Catalog(folder.url).diff("june", "later"))
    assert "statistics" not in found
    alone = [each.item[-17:] for each in found["shards"]]
    assert alone == [f"2019-06-01T{hour:02d}:00Z" for hour in (0, 1, 2, 6, 7, 8)]
    assert [each.one is None for each in found["shards"]] == [False] * 3 + [True] * 3
