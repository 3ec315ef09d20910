"""A store of layout 2, which an earlier corrstore wrote of SYNTHETIC archives, converted without them.

The zip holds the store in `store/`, and the archives in `archive/`.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import zarr
from pandas.testing import assert_frame_equal

from corrstore.beam_pipelines.convert import convert
from corrstore.beam_pipelines.spreading.spread import Runner
from corrstore.datasets.errors import BadInput, DamagedData
from corrstore.datasets.recipe.parts import ROLES
from corrstore.datasets.recipe.recipe import recipe_from
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.ledger import PAIRS, SAMPLES, SHARDS, STATISTICS
from corrstore.datasets.store.opening import open_store
from tests.conftest import QUIET, brief_content, build_in_process
from tests.paths import OLD_STORE


@pytest.fixture
def old(tmp_path) -> Folder:
    with zipfile.ZipFile(OLD_STORE) as archive:
        archive.extractall(tmp_path)
    return Folder(str(tmp_path / "store"))


def converted(old: Folder, tmp_path: Path) -> Folder:
    new = Folder(str(tmp_path / "new"))
    convert(old, new, Runner(workers=1), QUIET)
    return new


def test_a_converted_store_is_the_store_that_the_archives_give(old, tmp_path, monkeypatch):
    new = converted(old, tmp_path)
    monkeypatch.chdir(tmp_path)
    recipe = recipe_from(brief_content(Path("archive")) | {"max_missing_share": 1.0})
    build_in_process(recipe, tmp_path / "built")
    one, two = open_store(new.url), open_store(str(tmp_path / "built"))
    assert one.fingerprint == two.fingerprint
    for role in ROLES:
        for index in range(one.times.size):
            key = one.plan.shard_key(role, index)
            assert new.read(key) == two.folder.read(key)
    for key in (SHARDS, SAMPLES):
        assert_frame_equal(one.table(key).to_pandas(), two.table(key).to_pandas())
    gradients = ["gradient_pairs", "gradient_power"]  # which layout 2 did not count
    tables = [store.table(STATISTICS) for store in (one, two)]
    assert sorted(table["gradient_power"].null_count == len(table) for table in tables) == [False, True]
    frames = [table.drop(gradients).to_pandas() for table in tables]
    floors = list(recipe.floors)  # those of the older store are of floors that were rounded
    assert_frame_equal(*(frame[~frame["channel"].isin(floors)].reset_index(drop=True) for frame in frames))
    places = ["index", "source", "wanted", "sign", "valid_time", "path", "inside", "offset", "length", "file_sha256"]
    assert one.table(PAIRS).select(places).equals(two.table(PAIRS).select(places))
    np.testing.assert_array_equal(one.static, two.static)


def test_no_number_of_the_old_store_changes(old, tmp_path):
    before = zarr.open_consolidated(old.path(), mode="r")
    after = zarr.open_consolidated(converted(old, tmp_path).path(), mode="r")
    assert {name for name, _ in before.arrays()} == {name for name, _ in after.arrays()}
    for name, array in before.arrays():
        np.testing.assert_array_equal(array[...], after[name][...])


def test_a_conversion_that_was_interrupted_continues_and_a_finished_one_does_nothing(old, tmp_path):
    new = converted(old, tmp_path)
    whole = {key: new.read(key) for key in new.all_keys()}
    for key in ("zarr.json", "ledger/records/20200601T0600.parquet", "target/c/1/0/0/0"):
        new.remove(key)
    convert(old, new, Runner(workers=1), QUIET)
    assert {key: new.read(key) for key in new.all_keys()} == whole
    new.remove("")
    (Path(new.url) / "ledger").mkdir(parents=True)  # what a conversion leaves that could not write its first file
    convert(old, new, Runner(workers=1), QUIET)
    assert {key: new.read(key) for key in new.all_keys()} == whole
    convert(old, new, Runner(workers=1), QUIET)
    assert {key: new.read(key) for key in new.all_keys()} == whole


def test_a_damaged_shard_is_not_carried_over(old, tmp_path):
    content = bytearray(old.read("target/c/0/0/0/0"))
    content[-5] ^= 1
    old.write("target/c/0/0/0/0", bytes(content))
    with pytest.raises(DamagedData, match=r"target/c/0/0/0/0 is not what was written"):
        converted(old, tmp_path)


def test_an_old_store_is_refused_with_the_command_that_converts_it(old):
    with pytest.raises(BadInput, match=r"has layout version 2, .* `corrstore convert .*store NEW`"):
        open_store(old.url)


def test_a_build_into_an_old_store_is_refused_before_anything_is_written(old, tmp_path):
    before = {key: old.read(key) for key in old.all_keys()}
    with pytest.raises(BadInput, match=r"has layout version 2, this corrstore writes 3; `corrstore convert"):
        build_in_process(recipe_from(brief_content(tmp_path)), old.url)
    assert {key: old.read(key) for key in old.all_keys()} == before


def test_what_is_no_store_of_layout_2_is_refused(old, tmp_path):
    new = converted(old, tmp_path)
    with pytest.raises(BadInput, match=r"has layout version 3; 2 alone can be converted"):
        convert(new, Folder(str(tmp_path / "other")), Runner(workers=1), QUIET)
    with pytest.raises(BadInput, match="is no finished training store"):
        convert(Folder(str(tmp_path)), Folder(str(tmp_path / "other")), Runner(workers=1), QUIET)
    with pytest.raises(BadInput, match="has layout version 2"):
        convert(old, old, Runner(workers=1), QUIET)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes").touch()
    with pytest.raises(BadInput, match="holds something else"):
        convert(old, Folder(str(tmp_path / "full")), Runner(workers=1), QUIET)
