"""A little of each kind of damage, and, marked slow, all of it."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import zipfile
from pathlib import Path

import pytest
import yaml
from eccodes import codes_get_message, codes_get_values

from corrstore.beam_pipelines.evaluation.evaluate import evaluate
from corrstore.beam_pipelines.spreading.spread import Runner
from corrstore.catalog.tables.registration import register_store
from corrstore.datasets.recipe.recipe import recipe_from
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.storage.ownership import one_writer
from corrstore.datasets.store.opening import open_store
from corrstore.training.evaluation.evaluate import compare, make_agenda
from corrstore.training.learning.trainer import train
from corrstore.training.run_config import run_config
from tests.brief_run import BRIEF_RUN
from tests.chaos import artefacts
from tests.chaos.flips import flips, flips_in_other_files, flips_in_shards
from tests.chaos.inputs import Reading, alone, containers, gridded, mutations, mutations_of_zarr
from tests.chaos.kills import Writing, full_disks, kills, races
from tests.chaos.recipes import hostile_recipes
from tests.chaos.running import IMPORTED
from tests.command import corrstore
from tests.conftest import QUIET, brief_content, build_in_process, few_are_measured, small_recipe_content
from tests.digests import digest
from tests.full_disk import no_file_larger_than
from tests.grib_made import changed, eccodes_handles
from tests.paths import OLD_STORE
from tests.results import forecast_of

SIZES = [pytest.param(False, id="brief"), pytest.param(True, id="whole", marks=pytest.mark.slow)]
SIZE = int(os.environ.get("CHAOS", "100"))
"""The number of kills of each command; of races a fifth."""
WRITING = ["build", "build of two", "extend", "repair", "refresh", "convert", "train", "sample", "evaluate", "catalog"]
WRITING += ["page", "synth"]
SETTINGS = {**BRIEF_RUN, "patches": 32, "save_every": 8, "validate_every": 16}


@pytest.fixture(scope="module")
def recipe(archive):
    return recipe_from(brief_content(archive))


@pytest.fixture(scope="module")
def store(recipe, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("chaos") / "store"
    build_in_process(recipe, folder)
    return folder


@pytest.fixture(scope="module")
def run(store, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("chaos-run") / "run"
    train(open_store(str(store)), run_config("regression", "demo", SETTINGS), folder)
    return folder


def check(*all_outcomes) -> None:
    """Print the table; nothing in it may be bad."""
    print("", *all_outcomes, sep="\n")
    assert not [example for outcomes in all_outcomes for example in outcomes.bad]


def files(folder: Path, pattern: str = "*") -> list[Path]:
    """The files below the folder."""
    return sorted(path for path in folder.rglob(pattern) if path.is_file())


@pytest.mark.parametrize("whole", SIZES)
def test_a_flipped_bit_in_a_store_is_never_another_number(recipe, store, tmp_path, whole):
    copy = Path(shutil.copytree(store, tmp_path / "store"))
    check(
        flips_in_shards(copy, 1000 if whole else 40),
        flips_in_other_files(copy, recipe, *((1000, 20) if whole else (20, 20))),
    )


@pytest.mark.parametrize("whole", SIZES)
def test_a_flipped_bit_in_what_is_made_of_a_store_is_never_another_number(store, run, tmp_path, whole):
    """But in a run's tables and TensorBoard files, and in scores and pages: corrstore takes no number from them."""
    few, many = (1000, 2000) if whole else (6, 12)
    forecast = forecast_of(open_store(str(store)), str(tmp_path / "forecast"), [1, 2])
    agenda, place = make_agenda(compare(str(store), forecast.folder.url)), tmp_path / "evaluation"
    evaluate(agenda, Folder(str(place)), Runner(workers=1), QUIET)
    for name in ("one", "two"):
        register_store(str(tmp_path / "catalog"), str(shutil.copytree(store, tmp_path / name)))
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    check(
        flips("a forecast", files(tmp_path / "forecast"), lambda: artefacts.of_forecast(tmp_path / "forecast"), few),
        flips("a run", [*files(copy, "*.pt"), copy / "config.json"], lambda: artefacts.of_run(copy), few),
        flips("a catalog", files(tmp_path / "catalog"), lambda: artefacts.of_catalog(tmp_path / "catalog"), many),
        flips("records of an evaluation", files(place), lambda: artefacts.of_evaluation(place), many),
    )


@pytest.mark.parametrize("whole", SIZES)
def test_a_damaged_file_of_an_archive_is_a_problem_with_a_name(recipe, archive, tmp_path, whole, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    grib = sorted((archive / "era5").rglob("*.grib*"))[0]
    netcdf, group = gridded(tmp_path)
    (tmp_path / "packed").mkdir()
    packed = containers(netcdf, tmp_path / "packed")
    few, some, many = (20, 300, 3000) if whole else (2, 5, 20)

    def reading(file: Path, has_checksums: bool = False) -> Reading:
        return Reading.of(alone(file, tmp_path / "whole" / file.name), recipe, "era5", has_checksums)

    check(
        mutations("GRIB", grib, tmp_path / "grib", reading(grib), many),
        mutations("NetCDF", netcdf, tmp_path / "netcdf", reading(netcdf), some),
        mutations_of_zarr(group, tmp_path / "zarr", reading(group), some),
        *(
            mutations(each.suffix, each, tmp_path / each.name, reading(each, each.suffix != ".tar"), few)
            for each in packed
        ),
    )


@pytest.mark.parametrize("whole", SIZES)
def test_a_hostile_recipe_is_one_message(archive, tmp_path, whole):
    check(hostile_recipes(small_recipe_content(archive), tmp_path, 500 if whole else 25))


@pytest.fixture(scope="module")
def writings(archive, tmp_path_factory) -> dict[str, Writing]:
    """The commands that write folders, each with what it makes."""
    multiprocessing.set_forkserver_preload(list(IMPORTED))
    root = tmp_path_factory.mktemp("writings")
    content = few_are_measured(small_recipe_content(archive))
    (root / "recipe.yaml").write_text(yaml.safe_dump(content))
    content["target"]["channels"], content["floors"] = ["t2m", "tp"], {"tp": 0}
    (root / "other.yaml").write_text(yaml.safe_dump(content))
    store, settings = root / "whole-store", [f"--set={key}={json.dumps(value)}" for key, value in SETTINGS.items()]
    build_in_process(recipe_from(few_are_measured(small_recipe_content(archive))), store)
    for stage, below in (("regression", None), ("diffusion", root / "regression")):
        train(open_store(str(store)), run_config(stage, "demo", SETTINGS), root / stage, below)
    forecast_of(open_store(str(store)), str(root / "whole-forecast"), [11, 12, 13])
    words = {
        "build": ["build", f"{root}/recipe.yaml", "--workers=1"],
        "build of two": ["build", f"{root}/recipe.yaml", "--workers=2"],
        "build other": ["build", f"{root}/other.yaml", "--workers=1"],
        "train": ["train", f"--store={store}", "--preset=demo", *settings],
        "train other": ["train", f"--store={store}", "--preset=demo", *settings, "--set=seed=1"],
        "sample": ["sample", f"--store={store}", f"--checkpoint={root}/diffusion", "--members=2", "--steps=4"],
        "sample other": ["sample", f"--store={store}", f"--checkpoint={root}/diffusion", "--members=2", "--seed=1"],
        "evaluate": ["evaluate", f"--truth={store}", f"--forecast={root}/whole-forecast", "--workers=1"],
    }
    made = {"build": digest, "train": artefacts.of_run, "sample": digest, "evaluate": of_scores}
    found = {
        name: Writing([*each, f"--output={root}/{name.split()[0]}"], root / name.split()[0], made[each[0]])
        for name, each in words.items()
    }
    for name in ("catalog", "catalog other"):
        registered = store if name == "catalog" else shutil.copytree(store, root / "other-store")
        add = ["catalog", "add", str(registered), f"--catalog={root}/catalog"]
        found[name] = Writing(add, root / "catalog", artefacts.of_catalog)
    found["page"] = Writing(["catalog", "page", f"{root}/site", f"--catalog={root}/stores"], root / "site", digest)
    register_store(str(root / "stores"), str(store))
    synth = ["synth", f"{root}/archive", "--shape=48x64", "--end=2020-07-04T12"]
    return {**found, "synth": Writing(synth, root / "archive", digest), **changes_of_a_store(archive, root)}


def changes_of_a_store(archive: Path, root: Path) -> dict[str, Writing]:
    """The commands that change a store: it grows, is healed, is made anew of a file that was replaced, or converted."""
    own, old, content = root / "own-archive", root / "layout-2", brief_content(archive)
    contents = {"extend": content, "repair": content, "refresh": {**brief_content(own), "static": []}}
    short = {**content, "period": {**content["period"], "end": "2020-06-01T15"}}
    shutil.copytree(archive, own)
    for name, each in contents.items():
        (root / f"{name}.yaml").write_text(yaml.safe_dump(each))
        build_in_process(recipe_from(short if name == "extend" else each), root / f"before-{name}")
    for key in ("target/c/2/0/0/0", "ledger/records/20200601T0300.parquet", "static/c/0/0/0"):
        assert (root / "before-repair" / key).exists()
        (root / "before-repair" / key).write_bytes(b"damaged")
    assert corrstore("verify", root / "before-repair", "--workers=1").returncode == 1
    replaced = sorted((own / "cma_rra").rglob("*.grib2"))[4]
    fields = [(codes_get_message(each), codes_get_values(each)) for each in eccodes_handles(replaced)]
    replaced.write_bytes(b"".join(changed(message, values + 1) for message, values in fields))
    with zipfile.ZipFile(OLD_STORE) as packed:
        packed.extractall(old)
    options = {"extend": [], "repair": ["--repair"], "refresh": ["--refresh"]}
    found = {
        name: Writing(
            ["build", f"{root}/{name}.yaml", "--workers=1", *options[name], f"--output={root}/{name}"],
            root / name,
            digest,
            root / f"before-{name}",
        )
        for name in contents
    }
    convert = ["convert", str(old / "store"), f"{root}/converted"]
    return {**found, "convert": Writing(convert, root / "converted", digest)}


def of_scores(folder: Path) -> str:
    """The scores of an evaluation, with all that lies beside them."""
    assert not list(folder.glob("owner*"))
    return (folder / "scores.csv").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("command", WRITING)
def test_a_killed_command_goes_on(writings, command):
    check(kills(writings[command], SIZE))


@pytest.mark.slow
@pytest.mark.parametrize("command", WRITING)
def test_a_command_on_a_full_disk_goes_on(writings, command):
    check(full_disks(writings[command], SIZE // 5))


def test_what_another_process_writes_is_left_alone(store, run, tmp_path):
    forecast = forecast_of(open_store(str(store)), str(tmp_path / "drawn"), [1, 2])
    settings = [f"--set={key}={json.dumps(value)}" for key, value in SETTINGS.items()]
    commands = {
        "train": ["--store", store, "--preset", "demo", *settings],
        "sample": ["--store", store, "--checkpoint", run, "--members", 0, "--split", "train"],
        "evaluate": ["--truth", store, "--forecast", forecast.folder.url, "--workers", 1],
    }
    for name, words in commands.items():
        with one_writer(Folder(str(tmp_path / name)), "", "writes"):
            ended = corrstore(name, *words, "--output", tmp_path / name)
        assert ended.returncode == 75 and "is being written by process" in ended.stderr, ended.stderr
        assert not (tmp_path / name).exists()


def test_a_full_disk_is_told_in_one_line(store, tmp_path):
    commands = [["report", store, "--output", tmp_path / "report.html"]]
    commands += [["catalog", "add", store, "--catalog", tmp_path / "catalog"]]
    commands += [["synth", tmp_path / "archive", "--shape=48x64", "--end=2020-07-02T12"]]
    for words in commands:
        with no_file_larger_than(2000):
            ended = corrstore(*words)
        assert ended.returncode == 75 and "cannot write" in ended.stderr and "make room" in ended.stderr, ended.stderr
        assert ended.stderr.count("corrstore: ") == 1 and "Traceback" not in ended.stderr


@pytest.mark.slow
def test_two_commands_at_once_make_one_whole_thing(writings):
    pairs = [("build", "build"), ("build", "build other"), ("train", "train"), ("train", "train other")]
    pairs += [("sample", "sample"), ("sample", "sample other"), ("evaluate", "evaluate"), ("catalog", "catalog")]
    check(*(races(" and ".join(pair), [writings[name] for name in pair], SIZE // 5) for pair in pairs))
