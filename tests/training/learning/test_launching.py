"""Launching a training from a catalog: which store is found, what is kept of it, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from corrstore.catalog.tables.registration import register_store
from corrstore.datasets.errors import BadInput, DamagedData
from corrstore.datasets.recipe.recipe import recipe_from
from corrstore.datasets.store.opening import Store, open_store
from corrstore.training.learning.checkpoint import LAST, read_checkpoint
from corrstore.training.learning.launching import RUN_RECORD, query_for, store_for
from corrstore.training.learning.trainer import train
from corrstore.training.patches.loader import split_order
from corrstore.training.run_config import run_config
from tests.brief_run import BRIEF_RUN
from tests.command import corrstore
from tests.conftest import build_in_process, small_recipe_content
from tests.digests import digest
from tests.paths import ROOT

torch.set_num_threads(1)
SETTINGS = {**BRIEF_RUN, "patches": 16, "save_every": 16, "validate_every": 16}
PERIOD = "2020-06-01T06/2020-06-01T18"
DEMO = ["--preset", "demo", *(f"--set={key}={json.dumps(value)}" for key, value in SETTINGS.items())]


@pytest.fixture(scope="module")
def coarser(archive, tmp_path_factory) -> Store:
    """A store of half the resolution with two of the targets; do not change it."""
    content = small_recipe_content(archive)
    content["name"] = "coarser"
    content["target"]["channels"] = ["t2m", "refc"]
    content["target"]["grid"] = {"north": 32.70, "south": 31.32, "west": 102.52, "east": 104.32, "step": 0.06}
    folder = tmp_path_factory.mktemp("coarser") / "store"
    build_in_process(recipe_from(content), folder)
    return open_store(str(folder))


@pytest.fixture
def catalog(demo_store, coarser, tmp_path) -> Path:
    """A catalog of both stores."""
    for store in (demo_store, coarser):
        register_store(str(tmp_path / "catalog"), store.folder.path())
    return tmp_path / "catalog"


def asked(catalog: Path, *variables: str, period: str | None = None, **more):
    """The period of a run's config, asked of the catalog."""
    config = run_config("regression", "demo", {**SETTINGS, "period": period})
    known = {"resolution": None, "region": None, **more}
    return query_for(None, str(catalog), list(variables), config.period, known["resolution"], known["region"])


def words(catalog: Path, run: Path, *variables: str) -> list[str]:
    return ["train", "--catalog", str(catalog), *(f"--variable={name}" for name in variables), "--output", str(run)]


def test_the_only_store_that_holds_it_all_is_trained_on_and_written_down(catalog, demo_store, tmp_path):
    run = tmp_path / "run"
    ended = corrstore(*words(catalog, run, "tp", "t2m"), "--period", PERIOD, *DEMO)
    assert ended.returncode == 0, ended.stderr
    assert "4 samples for training, 0 skipped" in ended.stderr
    record = json.loads((run / RUN_RECORD).read_text())
    assert record["store"] == {
        "url": demo_store.folder.path(),
        "fingerprint": demo_store.fingerprint,
        "targets": ["t2m", "u10m", "v10m", "tp", "z_500", "refc"],
    }
    assert record["query"]["variables"] == ["t2m", "tp"]
    assert record["query"]["period"] == record["config"]["period"] == "2020-06-01T06:00:00/2020-06-01T18:00:00"
    content = read_checkpoint(run / LAST)
    assert content["patches_seen"] == 16
    assert content["store"]["url"] == demo_store.folder.path()
    assert content["config"]["period"] == record["config"]["period"]


def test_a_run_stays_with_its_store_whatever_is_registered_later(catalog, demo_store, tmp_path):
    run, stop = tmp_path / "run", threading.Event()
    stop.set()
    query = asked(catalog, "tp", period=PERIOD)
    config = run_config("regression", "demo", {**SETTINGS, "period": PERIOD})
    assert train(open_store(store_for(query, run)), config, run, stop=stop, query=query) == 8
    shutil.copytree(demo_store.folder.path(), tmp_path / "twin")
    register_store(str(catalog), str(tmp_path / "twin"))
    with pytest.raises(BadInput, match=r"2 stores of .* have tp"):
        store_for(query, tmp_path / "another")
    ended = corrstore(*words(catalog, run, "tp"), "--period", PERIOD, *DEMO)
    assert ended.returncode == 0, ended.stderr
    assert "8 of 16 patches seen" in ended.stderr
    assert read_checkpoint(run / LAST)["patches_seen"] == 16
    assert json.loads((run / RUN_RECORD).read_text())["store"]["url"] == demo_store.folder.path()


def test_what_is_asked_for_anew_is_refused_with_both_values(catalog, demo_store, tmp_path):
    run, stop = tmp_path / "run", threading.Event()
    stop.set()
    query = asked(catalog, "tp", period=PERIOD)
    train(demo_store, run_config("regression", "demo", {**SETTINGS, "period": PERIOD}), run, stop=stop, query=query)
    with pytest.raises(BadInput) as refusal:
        store_for(asked(catalog, "t2m", period="2020-06-01T06/2020-06-01T12", resolution=0.03), run)
    assert "variables: began with ('tp',), now ('t2m',)" in str(refusal.value)
    assert "T18:00:00', now '2020-06-01T06:00:00/2020-06-01T12:00:00'" in str(refusal.value)
    assert "resolution: began with None, now 0.03" in str(refusal.value)
    assert "catalog" not in str(refusal.value).splitlines()[1]
    ended = corrstore("train", "--store", demo_store.folder.path(), "--output", run, *DEMO)
    assert ended.returncode == 2
    assert "period: began with '2020-06-01T06:00:00/2020-06-01T18:00:00', now None" in ended.stderr


def test_a_run_goes_on_with_a_copy_of_its_store_that_is_named(catalog, demo_store, tmp_path):
    run, stop = tmp_path / "run", threading.Event()
    stop.set()
    query = asked(catalog, "tp")
    train(demo_store, run_config("regression", "demo", SETTINGS), run, stop=stop, query=query)
    shutil.copytree(demo_store.folder.path(), tmp_path / "moved")
    ended = corrstore("train", "--store", tmp_path / "moved", "--output", run, *DEMO)
    assert ended.returncode == 0, ended.stderr
    assert json.loads((run / RUN_RECORD).read_text())["store"]["url"] == str(tmp_path / "moved")
    with pytest.raises(BadInput, match=r"was begun with --store .*moved, but now a catalog is asked for tp"):
        store_for(query, run)


def test_a_store_that_is_another_by_now_is_refused(catalog, demo_store, coarser, tmp_path):
    shutil.copytree(demo_store.folder.path(), tmp_path / "store")
    query = asked(catalog, "tp")
    run, stop = tmp_path / "run", threading.Event()
    stop.set()
    train(open_store(str(tmp_path / "store")), run_config("regression", "demo", SETTINGS), run, stop=stop, query=query)
    shutil.rmtree(tmp_path / "store")
    shutil.copytree(coarser.folder.path(), tmp_path / "store")
    both = f"of fingerprint {demo_store.fingerprint}, which has {coarser.fingerprint} now"
    with pytest.raises(BadInput, match=both):
        store_for(query, run)
    (run / RUN_RECORD).write_text("{")
    with pytest.raises(DamagedData, match=r"config\.json is damaged"):
        store_for(query, run)


def test_several_stores_are_listed_with_what_sets_them_apart(catalog, demo_store, coarser, tmp_path):
    with pytest.raises(BadInput) as refusal:
        store_for(asked(catalog, "t2m", "refc", period=PERIOD), tmp_path)
    first, *lines = str(refusal.value).splitlines()
    assert "2 stores" in first and "--resolution or --region" in first and "--store" in first
    by_name = {line.split()[0]: line for line in lines}
    assert f"coarser at {coarser.folder.path()}: resolution 0.06 x 0.06; region " in by_name["coarser"]
    assert f"small at {demo_store.folder.path()}: resolution 0.03 x 0.03; region " in by_name["small"]
    assert "targets t2m, refc; fingerprint" in by_name["coarser"]
    assert "inputs" not in by_name["small"] and "dtype" not in by_name["small"]
    assert store_for(asked(catalog, "t2m", resolution=0.06), tmp_path) == coarser.folder.path()
    assert store_for(asked(catalog, "t2m", region="102.48,31.29,104.39,32.72"), tmp_path) == demo_store.folder.path()


def test_where_none_is_right_it_is_said_what_each_lacks(catalog, demo_store, coarser, tmp_path):
    with pytest.raises(BadInput) as refusal:
        store_for(asked(catalog, "tp", "sp", period="2020-06-01T06/2020-06-02T06"), tmp_path)
    assert "is right for sp, tp; [2020-06-01T06:00Z, 2020-06-02T06:00Z):" in str(refusal.value)
    assert f"small at {demo_store.folder.path()} has no target sp\n" in f"{refusal.value}\n"
    assert "has no target sp, tp" in str(refusal.value)
    with pytest.raises(BadInput, match=r"has the train split \[2020-06-01T03:00Z, 2020-06-02T03:00Z\)"):
        store_for(asked(catalog, "tp", period="2020-06-01T06/2020-06-02T06"), tmp_path)
    with pytest.raises(BadInput, match="none of its 2 stores has valid samples of any of it"):
        store_for(asked(catalog, "tp", period="2021"), tmp_path)


def test_a_store_that_has_vanished_is_not_taken(demo_store, tmp_path):
    shutil.copytree(demo_store.folder.path(), tmp_path / "store")
    register_store(str(tmp_path / "catalog"), str(tmp_path / "store"))
    assert store_for(asked(tmp_path / "catalog", "tp"), tmp_path) == str(tmp_path / "store")
    shutil.rmtree(tmp_path / "store")
    with pytest.raises(BadInput, match=r"small at .*store is vanished"):
        store_for(asked(tmp_path / "catalog", "tp"), tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--store", "S", "--variable", "tp"], "--store names the store; leave out"),
        (["--store", "S", "--catalog", "C"], "--store names the store; leave out"),
        (["--catalog", "C"], "with a --variable for each target"),
        (["--variable", "tp"], "--store STORE, or --catalog CATALOG"),
        (["--catalog", "C", "--variable", "tp", "--period", "soon"], "'soon' is no date"),
    ],
)
def test_it_must_be_said_on_which_store(tmp_path, options, message):
    ended = corrstore("train", "--output", tmp_path / "run", *options)
    assert ended.returncode == 2
    assert message in ended.stderr


def test_a_plan_from_a_catalog_writes_nothing(catalog, tmp_path):
    ended = corrstore(*words(catalog, tmp_path / "run", "tp"), "--period", PERIOD, *DEMO, "--plan")
    assert ended.returncode == 0 and "4, and 0 skipped as not valid" in ended.stdout
    assert not (tmp_path / "run").exists()


def test_the_help_shows_how():
    shown = " ".join(corrstore("train", "--help").stdout.split())
    assert "corrstore train --catalog C --variable t2m --variable tp --period" in shown


def test_a_period_takes_the_samples_of_the_train_split_that_lie_in_it(demo_store):
    config = run_config("regression", "demo", {**SETTINGS, "period": PERIOD})
    times = demo_store.times[split_order(demo_store, "train", config).samples]
    assert times.astype("datetime64[h]").astype(str).tolist() == [f"2020-06-01T{hour:02d}" for hour in (6, 9, 12, 15)]
    whole = run_config("regression", "demo", SETTINGS)
    for split, count in (("train", 8), ("validation", 2)):
        assert len(split_order(demo_store, split, whole).samples) == count
    assert len(split_order(demo_store, "validation", config).samples) == 2


def test_a_period_that_cannot_be_is_refused(demo_store):
    for period, message in (
        ("2020-06-01", r"\[2020-06-01T00:00Z, .* is not inside the train split \[2020-06-01T03:00Z"),
        ("2020-06-01T04/2020-06-01T05", r"has no valid sample in \[2020-06-01T04:00Z"),
    ):
        with pytest.raises(BadInput, match=message):
            split_order(demo_store, "train", run_config("regression", "demo", {**SETTINGS, "period": period}))
    with pytest.raises(BadInput, match=r"period: .*'June' is no date"):
        run_config("regression", "demo", {"period": "June"})


def test_one_period_is_the_same_however_it_is_written():
    written = ("2020-06", "2020-06-01/2020-06-30", "2020-06-01T00/2020-07-01T00:00Z")
    assert len({run_config("regression", "demo", {"period": each}).period for each in written}) == 1


def torchrun(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The command in two processes, as on a machine of two GPUs, but on the CPU."""
    two = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "corrstore"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [*two, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.slow
def test_torchrun_trains_on_two_processes_as_one_does(catalog, demo_store, tmp_path):
    """Without dropout, whose masks are each process's own."""
    shared = torchrun(*words(catalog, tmp_path / "two", "tp"), "--period", PERIOD, *DEMO, "--set=dropout=0")
    assert shared.returncode == 0, shared.stderr
    assert " ".join(shared.stderr.split()).count("16 of 16 patches seen") == 1
    config = run_config("regression", "demo", {**SETTINGS, "period": PERIOD, "dropout": 0})
    train(demo_store, config, tmp_path / "one")
    one, two = (read_checkpoint(tmp_path / run / LAST)["model"] for run in ("one", "two"))
    torch.testing.assert_close(two, one, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_torchrun_and_processes_draw_what_one_process_does(demo_store, tmp_path):
    train(demo_store, run_config("regression", "demo", SETTINGS), tmp_path / "regression")
    train(demo_store, run_config("diffusion", "demo", SETTINGS), tmp_path / "diffusion", tmp_path / "regression")
    drawing = ["sample", "--store", demo_store.folder.path(), "--checkpoint", tmp_path / "diffusion", "--members", 3]
    drawing += ["--steps", 2, "--threads", 1, "--tile", 48, 64, "--temporal-noise", "6h"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    launchers = {
        "torchrun": ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "corrstore", *drawing],
        "processes": ["corrstore", *drawing, "--processes", "2"],
        "alone": ["corrstore", *drawing],
    }
    for name, words in launchers.items():
        command = [sys.executable, "-m", *map(str, words), "--output", str(tmp_path / name)]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert ended.returncode == 0, ended.stderr
        for said in ("parts to sample in process 0", f"wrote {tmp_path / name}"):
            assert name != "processes" or ended.stderr.count(said) == 1
    assert digest(tmp_path / "torchrun") == digest(tmp_path / "processes") == digest(tmp_path / "alone")
