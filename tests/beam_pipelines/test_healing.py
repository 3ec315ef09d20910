"""Every file of a finished store guards itself, and is healed to the bytes of before."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from corrstore.beam_pipelines.spreading.spread import Runner
from corrstore.beam_pipelines.verify import verify_folder
from corrstore.datasets.errors import BadInput, DamagedData, InUse
from corrstore.datasets.recipe.recipe import recipe_from
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.storage.ownership import Owner, _this_process, one_writer
from corrstore.datasets.store.ledger import BUILD, MANIFEST, REPORT, VERDICT
from corrstore.datasets.store.opening import open_store
from tests.conftest import QUIET, brief_content, build_in_process
from tests.digests import digest


@pytest.fixture(scope="module")
def brief(archive, tmp_path_factory):
    """The recipe of five samples, and its store; do not change it."""
    recipe, folder = recipe_from(brief_content(archive)), tmp_path_factory.mktemp("brief") / "store"
    build_in_process(recipe, folder)
    return recipe, folder


@pytest.fixture
def copy(brief, tmp_path) -> Path:
    return Path(shutil.copytree(brief[1], tmp_path / "store"))


def check(folder: Path):
    return verify_folder(str(folder), Runner(workers=1), QUIET)


def flip(path: Path, position: int | None = None) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if position is None else position] ^= 1
    path.write_bytes(content)


def test_a_flip_in_any_file_that_is_no_shard_is_found_and_healed(brief, copy):
    """All files at once: what is left are the shards, the copies, the archive, and the metadata."""
    before = digest(copy)
    kept = {"zarr.json", "ledger/copies/build.json"}
    shards = ("input/c", "target/c")
    keys = [key for key in Folder(str(copy)).all_keys() if not key.startswith(shards) and key not in kept]
    assert len(keys) > 40
    for key in keys:
        flip(copy / key)
    verdict = check(copy)
    assert verdict.rebuild == [0, 1, 2, 3, 4] and MANIFEST in verdict.damaged and BUILD in verdict.damaged
    build_in_process(brief[0], copy, repair=True)
    assert check(copy).passed
    (copy / VERDICT).unlink()
    assert digest(copy) == before


@pytest.mark.parametrize("had_passed", [False, True])
def test_without_a_verdict_that_names_damage_a_repair_verifies_first_and_may_be_repeated(brief, copy, had_passed):
    before = digest(copy)
    if had_passed:
        assert check(copy).passed and (copy / VERDICT).exists()
    flip(copy / "target/c/1/0/0/0")
    (copy / "target/c/2/0/0/0").unlink()
    assert build_in_process(brief[0], copy, repair=True).written == 2
    assert digest(copy) == before
    assert build_in_process(brief[0], copy, repair=True).written == 0
    assert digest(copy) == before


@pytest.mark.parametrize("key", ["zarr.json", "ledger/copies/build.json", BUILD, MANIFEST, REPORT, "valid/c/0"])
def test_a_flipped_bit_in_a_file_is_found_and_healed(brief, copy, key):
    before = digest(copy)
    flip(copy / key, 300 if key == "zarr.json" else None)
    assert check(copy).damaged == [key]
    build_in_process(brief[0], copy, repair=True)
    assert digest(copy) == before


@pytest.mark.parametrize(
    "key", ["target/c/1/0/0/0", BUILD, "ledger/records/20200601T0600.parquet", MANIFEST, "static/c/0/0/0"]
)
def test_a_repair_heals_also_where_the_metadata_is_gone(brief, copy, key):
    """So it does for a build that never came to its end, which has none."""
    before = digest(copy)
    (copy / "zarr.json").unlink()
    if key == MANIFEST:
        (copy / key).unlink()
        (copy / "zarr.json").symlink_to(copy / "nothing")
    else:
        flip(copy / key)
    build_in_process(brief[0], copy, repair=True)
    assert digest(copy) == before


KINDS = ("folder", "link to itself", "link to nothing", "link to another", "pipe", "device")


def no_file(path: Path, kind: str, other: Path) -> None:
    """Put something that is not the file of before in the place of the file."""
    path.unlink()
    if kind == "folder":
        (path / "within").mkdir(parents=True)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        leads_to = {"link to itself": path, "link to nothing": path.with_name("nothing"), "device": Path("/dev/zero")}
        path.symlink_to(leads_to.get(kind, other))


def test_what_is_no_file_in_the_place_of_shards_is_refused_found_and_healed(brief, copy, tmp_path):
    before, other = digest(copy), Path(shutil.copy(copy / "input/c/3/0/0/0", tmp_path / "other"))
    places = [("target", index) for index in range(5)] + [("input", 1)]
    for kind, (role, index) in zip(KINDS, places, strict=True):
        no_file(copy / f"{role}/c/{index}/0/0/0", kind, other)
    store = open_store(str(copy))
    for role, index in places:
        for read in (store.stored, store.check_shard):
            with pytest.raises(DamagedData, match=rf"{role}/c/{index}/0/0/0, the shard of sample {index} .*--repair"):
                read(role, index)
    faults = list(check(copy).faults.values())
    assert [len(each) for each in faults] == [1, 2, 1, 1, 1]
    assert all(f"{role}/c/{index}/0/0/0" in " ".join(faults[index]) for role, index in places)
    build_in_process(brief[0], copy, repair=True)
    assert digest(copy) == before and not [path for path in copy.rglob("*") if path.is_symlink()]
    assert other.read_bytes() == (copy / "input/c/3/0/0/0").read_bytes()


def test_what_is_no_file_in_the_place_of_any_other_is_found_and_healed(brief, copy, tmp_path):
    before, other = digest(copy), Path(shutil.copy(copy / "zarr.json", tmp_path / "other"))
    record = "ledger/records/20200601T0600.parquet"
    keys = [BUILD, REPORT, "lat/c/0", "time/zarr.json", "target/zarr.json", "valid/c/0", "ledger/pairs.parquet", record]
    for kind, key in zip((*KINDS[::-1], "pipe", "folder"), keys, strict=True):
        no_file(copy / key, kind, other)
    with pytest.raises(DamagedData, match="target/zarr"):
        _ = open_store(str(copy)).arrays
    verdict = check(copy)
    assert verdict.rebuild == [1] and set(keys[:-1]) <= set(verdict.damaged)
    build_in_process(brief[0], copy, repair=True)
    assert digest(copy) == before and not [path for path in copy.rglob("*") if path.is_symlink()]
    assert other.read_bytes() == (copy / "zarr.json").read_bytes()


@pytest.mark.parametrize("places", [["target/c/1", "static", "ledger/records"], ["input", "valid", "ledger/copies"]])
def test_what_is_no_folder_in_the_place_of_folders_is_found_and_healed(brief, copy, places):
    for place in places:
        shutil.rmtree(copy / place)
        (copy / place).write_text("a note")
    assert not check(copy).passed
    build_in_process(brief[0], copy, repair=True)
    assert digest(copy) == digest(brief[1])


def test_nothing_is_written_or_removed_through_a_linked_folder(brief, copy, tmp_path):
    outside, place = tmp_path / "outside", copy / "target/c/1"
    shutil.move(place, outside)
    place.symlink_to(outside)
    (outside / "0/0/0").write_bytes(b"damaged")
    with pytest.raises(BadInput, match=r"target/c/1 is a symbolic link, through which nothing is written"):
        build_in_process(brief[0], copy, repair=True)
    with pytest.raises(BadInput):
        Folder(str(copy)).remove("target/c/1/0/0/0")
    assert (outside / "0/0/0").read_bytes() == b"damaged"
    Folder(str(copy)).remove("target/c/1")
    assert outside.exists() and not place.is_symlink()
    build_in_process(brief[0], copy, repair=True)
    assert digest(copy) == digest(brief[1])


def test_a_digit_of_the_constants_is_damage_also_in_stores_of_before(brief, copy):
    """Those have neither a checksum in build.json, nor a copy, nor all of the ledger in the manifest."""
    content = json.loads((copy / BUILD).read_text())
    del content["sha256"]
    content["constants"]["input"][0][1] += 1e-6
    (copy / BUILD).write_text(json.dumps(content))
    shutil.rmtree(copy / "ledger/copies")
    sums = json.loads((copy / MANIFEST).read_text())
    old = {key: value for key, value in sums.items() if not key.startswith("ledger/") or key.endswith("s.parquet")}
    (copy / MANIFEST).write_text(json.dumps(old))
    with pytest.raises(DamagedData, match=r"build\.json is damaged .*--repair"):
        build_in_process(brief[0], copy)
    assert check(copy).damaged == [BUILD]
    build_in_process(brief[0], copy, repair=True)
    assert digest(copy) == digest(brief[1])


def test_a_flip_is_an_error_where_the_file_is_read(copy):
    for key in ("valid/c/0", "ledger/statistics.parquet"):
        flip(copy / key)
    store = open_store(str(copy))
    with pytest.raises(DamagedData, match=r"valid/c/0 is damaged .*--repair"):
        _ = store.valid
    with pytest.raises(DamagedData, match="statistics"):
        store.table("ledger/statistics.parquet")
    flip(copy / "zarr.json", 400)
    with pytest.raises(DamagedData, match=r"zarr\.json"):
        open_store(str(copy))


def test_what_cannot_be_healed_is_said(brief, copy):
    check(copy)
    for key in ("zarr.json", "ledger/copies/build.json", BUILD):
        flip(copy / key)
    with pytest.raises(DamagedData, match="cannot be healed"):
        build_in_process(brief[0], copy, repair=True)


def test_a_damaged_verdict_is_told(brief, copy):
    check(copy)
    flip(copy / VERDICT, 30)
    with pytest.raises(DamagedData, match=r"verdict\.json is damaged .*verify"):
        build_in_process(brief[0], copy, repair=True)


def test_a_second_writer_is_refused_and_a_dead_one_is_not_waited_for(brief, tmp_path):
    recipe, folder = brief[0], tmp_path / "store"
    with one_writer(Folder(str(folder)), "ledger", "builds brief"):
        with pytest.raises(InUse, match=rf"process {os.getpid()} on .* since .* \(builds brief\)"):
            build_in_process(recipe, folder)
        assert [path.name for path in folder.rglob("*") if path.is_file()] == ["owner-1.json"]
    dead = subprocess.Popen([sys.executable, "-c", ""])
    gone = {**asdict(_this_process("builds")), "process": dead.pid, "process_start": "1"}
    dead.wait()
    (folder / "ledger").mkdir()
    elsewhere = {**gone, "machine": "another", "fresh": time.time() - 1000}
    for number, owner in ((3, gone), (4, elsewhere)):
        (folder / f"ledger/owner-{number}.json").write_text(json.dumps(owner))
    (folder / "ledger/owner-5.json").write_text("damaged")
    build_in_process(recipe, folder)
    assert digest(folder) == digest(brief[1])
    alive = {**elsewhere, "fresh": time.time()}
    (folder / "ledger/owner-1.json").write_text(json.dumps(alive))
    assert not Owner(**alive).is_dead
    with pytest.raises(InUse):
        build_in_process(recipe, folder)


def test_another_folder_of_fsspec_has_one_writer():
    folder = Folder("memory://one-writer")
    with one_writer(folder, "ledger", "builds"), pytest.raises(InUse), one_writer(folder, "ledger", "builds"):
        pass
    assert folder.names("ledger") == []
