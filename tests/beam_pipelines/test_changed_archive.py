"""An archive whose file is replaced after a store was built of it: told, never mixed in silently, and refreshed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from corrstore.beam_pipelines.plan import changed_since
from corrstore.beam_pipelines.printing import print_verdict
from corrstore.beam_pipelines.spreading.spread import Runner
from corrstore.beam_pipelines.verify import Verdict, verify
from corrstore.datasets.errors import BadInput
from corrstore.datasets.pairing.sample_plan import sample_plans
from corrstore.datasets.pairing.sources import with_cell_methods
from corrstore.datasets.recipe.recipe import Recipe, recipe_from
from corrstore.datasets.samples.checksums import refuse_changed_files
from corrstore.datasets.samples.preparation import prepare
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.ledger import PAIRS, SOURCES
from corrstore.datasets.store.opening import open_store
from corrstore.datasets.store.recorded import read_pairs
from corrstore.datasets.synthetic import synthesise
from tests.conftest import QUIET, brief_content, build_in_process, spec


@pytest.fixture(scope="module")
def two_archives(tmp_path_factory):
    """A preliminary and a final archive of the same files, of other weather."""
    root = tmp_path_factory.mktemp("two")
    for name, seed in (("preliminary", 7), ("final", 8)):
        synthesise(root / name, spec(end=np.datetime64("2020-06-01T18"), seed=seed), processes=1)
    return root


@pytest.fixture
def archive(two_archives, tmp_path):
    shutil.copytree(two_archives / "preliminary", tmp_path / "archive")
    return tmp_path / "archive"


def recipe_of(archive, **changes) -> Recipe:
    content = brief_content(archive)
    content["splits"]["train"]["end"] = "2020-06-01T12"
    content["static"] = []  # the final archive is of another land
    return recipe_from(content | changes)


def last_file(archive) -> Path:
    """The file of the last valid time: its sample alone is made of it, and no constant."""
    return sorted((archive / "cma_rra").rglob("*.grib2"))[-1]


def replace_last_file(archive, two_archives) -> str:
    """Put the final file in the place of the preliminary one; returns its path."""
    shutil.copy(last_file(two_archives / "final"), last_file(archive))
    return str(last_file(archive))


def whole(folder: Folder) -> dict[str, bytes]:
    return {key: folder.read(key) for key in folder.all_keys()}


def verdict_of(folder: Folder, **settings) -> Verdict:
    return verify(open_store(folder.url), Runner(workers=1), QUIET, **settings)


def test_a_file_that_was_replaced_is_told_and_refreshed(archive, two_archives, tmp_path):
    recipe, folder = with_cell_methods(recipe_of(archive)), Folder(str(tmp_path / "store"))
    build_in_process(recipe, folder.url)
    before = whole(folder)
    path = replace_last_file(archive, two_archives)
    assert changed_since(recipe, prepare(recipe), folder).files == {path: 1}
    result = build_in_process(recipe, folder.url)
    assert (result.written, result.changed) == (0, {path: 1})
    assert whole(folder) == before, "a finished store is not touched"
    verdict = verdict_of(folder, against_source=9)
    assert (verdict.passed, verdict.changed, verdict.compared, verdict.faults) == (False, {path: 1}, 4, {})
    assert verdict.not_compared == {"were made of files that are other ones now": 1}
    build_in_process(recipe, folder.url, repair=True)
    assert {key: folder.read(key) for key in before} == before, "to repair is not to refresh"
    refreshed = build_in_process(recipe, folder.url, refresh=True)
    assert (refreshed.written, refreshed.changed) == (1, {})
    assert verdict_of(folder, against_source=9).passed
    build_in_process(recipe, tmp_path / "anew")
    anew = Folder(str(tmp_path / "anew"))
    keys = [key for key in anew.all_keys() if not key.startswith("ledger/") or key in (PAIRS, SOURCES)]
    assert {key: folder.read(key) for key in keys} == {key: anew.read(key) for key in keys}


def test_a_store_that_grows_after_a_change_keeps_what_its_samples_were_made_of(archive, two_archives, tmp_path):
    short = recipe_of(archive, period={"start": "2020-06-01T03", "end": "2020-06-01T15", "frequency": "3h"})
    folder = Folder(str(tmp_path / "store"))
    build_in_process(short, folder.url)
    shutil.copytree(two_archives / "final" / "era5", archive / "era5", dirs_exist_ok=True)
    result = build_in_process(recipe_of(archive), folder.url)
    assert result.written == 1
    assert set(result.changed.values()) == {4}
    states = open_store(folder.url).table(SOURCES).to_pylist()
    of_era5 = [row for row in states if row["source"] == "era5"]
    assert len({row["sha256"] for row in of_era5}) == 2 * len({row["path"] for row in of_era5})
    assert not verdict_of(folder).passed


def test_an_archive_that_was_moved_has_not_changed(archive, tmp_path):
    folder = Folder(str(tmp_path / "store"))
    build_in_process(recipe_of(archive), folder.url)
    moved = archive.rename(tmp_path / "elsewhere")
    result = build_in_process(recipe_of(moved), folder.url)
    assert (result.written, result.changed) == (0, {})


def test_a_copy_of_the_same_bytes_has_not_changed(archive, tmp_path):
    folder = Folder(str(tmp_path / "store"))
    build_in_process(recipe_of(archive), folder.url)
    copy = shutil.copyfile(last_file(archive), tmp_path / "copy")
    copy.replace(last_file(archive))
    assert build_in_process(recipe_of(archive), folder.url).changed == {}
    assert verdict_of(folder).passed


def test_a_file_that_changes_while_it_is_read_is_refused(archive, two_archives, tmp_path):
    folder = Folder(str(tmp_path / "store"))
    build_in_process(recipe_of(archive), folder.url)
    terms = next(each for each in sample_plans(read_pairs(folder)) if each.index == 4).terms
    refuse_changed_files(terms)
    path = replace_last_file(archive, two_archives)
    with pytest.raises(BadInput, match=rf"{path} was changed while samples were made of it: .*; give the same command"):
        refuse_changed_files(terms)


def test_an_archive_that_is_gone_is_told_and_condemns_nothing(archive, tmp_path):
    folder = Folder(str(tmp_path / "store"))
    build_in_process(recipe_of(archive), folder.url)
    shutil.rmtree(archive)
    verdict = verdict_of(folder)
    assert verdict.passed and len(verdict.absent) == len(set(open_store(folder.url).table(SOURCES)["path"].to_pylist()))


def test_samples_whose_files_are_gone_are_not_compared_which_is_told_and_the_others_are(archive, tmp_path, capsys):
    folder = Folder(str(tmp_path / "store"))
    build_in_process(recipe_of(archive), folder.url)
    last_file_path = last_file(archive)
    last_file_path.unlink()
    verdict = verdict_of(folder, against_source=9)
    assert (verdict.passed, verdict.compared, verdict.faults) == (True, 4, {})
    assert verdict.not_compared == {"were made of files that are not there": 1}
    print_verdict("s", verdict)
    printed = capsys.readouterr().out
    result = build_in_process(recipe_of(archive, max_missing_share=0.5), folder.url, refresh=True)
    assert (result.written, result.changed, result.gone) == (0, {}, {str(last_file_path): 1})
    assert result.report.valid == 5, "what cannot be made again is kept"
    assert "4 of them against the archives" in printed
    assert "cannot be compared with the archives: 1 samples were made of files that are not there" in printed


def test_verify_draws_other_samples_each_time_unless_told_a_seed(archive, tmp_path):
    folder = Folder(str(tmp_path / "store"))
    build_in_process(recipe_of(archive), folder.url)
    assert verdict_of(folder, against_source=2, seed=3).drawn == verdict_of(folder, against_source=2, seed=3).drawn
    assert len({tuple(verdict_of(folder, against_source=2).drawn) for _ in range(6)}) > 1
