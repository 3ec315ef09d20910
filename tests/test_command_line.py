"""The command line as a script meets it: JSON, exit codes, help with an example."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import yaml
from typer.main import get_command

from corrstore.command_line import app
from corrstore.datasets.commands import print_json
from tests.command import corrstore
from tests.conftest import small_recipe_content
from tests.paths import ROOT

GROUPS = {"": get_command(app), "catalog": get_command(app).commands["catalog"]}


@pytest.mark.parametrize(
    "words", [*GROUPS, *(f"{group} {name}" for group in GROUPS for name in GROUPS[group].commands)]
)
def test_every_command_and_group_has_help_with_an_example(words):
    shown = corrstore(*words.split(), "--help")
    assert shown.returncode == 0 and f"Example: corrstore {words.strip()}" in " ".join(shown.stdout.split())


def test_the_contract_in_json(tmp_path):
    """synth, plan, build, verify, inspect on a small SYNTHETIC archive with a hole in it."""
    root = tmp_path / "archive"
    period = ["--start", "2020-06-01T03", "--end", "2020-06-01T18", "--frequency", "3"]
    forecasts = ["--forecast-runs", "2", "--forecast-leads", "1", "--forecast-fault", "cold_start"]
    made = corrstore("synth", root, *period, "--shape", "48x64", *forecasts, "--json")
    assert made.returncode == 0, made.stderr
    told = json.loads(made.stdout)
    assert len(told["files"]) == 1 + 5 + 2 * 3 + 1  # a month of ERA5, five times of CMA-RRA, two runs, a cold start
    assert [fault["kind"] for fault in told["faults"]] == ["cold_start"]
    content = small_recipe_content(root)
    content["period"] = {"start": "2020-06-01T03", "end": "2020-06-01T21", "frequency": "3h"}
    content["splits"] = {"train": {"start": "2020-06-01T03", "end": "2020-06-01T12"}}
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(content))

    planned = corrstore("plan", recipe, "--json")
    assert planned.returncode == 1, planned.stderr  # 18 UTC is not there, and the recipe allows no gap
    assert json.loads(planned.stdout)["samples_that_lack_something"] == 1
    built = corrstore("build", recipe, "--output", tmp_path / "store", "--workers=1", "--json")
    assert built.returncode == 1 and "falls short: 1 of 6 samples" in " ".join(built.stderr.split())
    assert json.loads(built.stdout)["missing"] == 1
    again = corrstore(
        "build", recipe, "--output", tmp_path / "store", "--workers=1", "--json", "--set", "max_missing_share=0.2"
    )
    assert again.returncode == 0 and json.loads(again.stdout)["written"] == 0
    verified = corrstore("verify", tmp_path / "store", "--against-source", "--workers=1", "--json")
    assert verified.returncode == 0 and json.loads(verified.stdout)["compared"] == 5
    shown = json.loads(corrstore("inspect", tmp_path / "store", "--json").stdout)
    assert shown["valid"] == 5 and shown["target"]["shape"] == [48, 64]

    (tmp_path / "store/target/c/2/0/0/0").write_bytes(b"")
    condemned = corrstore("verify", tmp_path / "store", "--workers=1", "--json")
    assert condemned.returncode == 1 and json.loads(condemned.stdout)["rebuild"] == [2]


def test_the_schema_is_json():
    assert json.loads(corrstore("schema").stdout)["title"] == "Recipe"


@pytest.mark.parametrize(
    "command",
    [
        ["-c", "import datasets, corrstore.datasets.errors; assert datasets.theirs"],
        ["-m", "corrstore", "schema"],
        pytest.param(
            ["-m", "torch.distributed.run", "--standalone", "-m", "corrstore", "schema"], marks=pytest.mark.slow
        ),
    ],
    ids=["an import", "the module", "torchrun"],
)
def test_beside_another_package_named_datasets_both_are_imported(tmp_path, command):
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "__init__.py").write_text("theirs = True\n")
    ended = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_processes_of_a_command_import_nothing_from_the_folder_that_it_is_given_in(tmp_path):
    """The command `corrstore` does not import from there, and no more do the processes that it starts."""
    (tmp_path / "typer.py").write_text("raise SystemExit('theirs')\n")
    words = ["sample", "--processes", "2", "--store", "S", "--checkpoint", "R", "--output", "F", "--help"]
    code = f"from corrstore.training.learning.process_group import *; sys.argv[1:] = {words}; run_in_processes(2)"
    ended = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "Usage" in ended.stdout and "theirs" not in ended.stderr


def test_importing_the_pipelines_leaves_the_hooks_of_the_process_alone():
    code = """
import logging, signal, sys, threading
before = [list(logging.root.filters), signal.getsignal(signal.SIGTERM), sys.excepthook, threading.excepthook]
import corrstore.beam_pipelines, corrstore.beam_pipelines.commands
assert before == [logging.root.filters, signal.getsignal(signal.SIGTERM), sys.excepthook, threading.excepthook]
"""
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_stops_a_command_while_its_libraries_are_loaded(name):
    code = f"""
import os, runpy, signal, sys
for each in ("SIGTERM", "SIGINT", "SIGHUP"):
    signal.signal(getattr(signal, each), signal.SIG_DFL)
class Signals:
    def find_spec(self, module, *_):
        if module == "corrstore.command_line":
            os.kill(os.getpid(), signal.{name})
sys.meta_path.insert(0, Signals())
runpy.run_module("corrstore", run_name="__main__")
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    said = f"corrstore: stopped by {name}; the same command continues\n"
    assert (ended.returncode, ended.stderr) == (75, said)


def test_the_version_is_printed():
    shown = corrstore("--version")
    assert shown.returncode == 0 and re.fullmatch(r"corrstore \d+\.\d+\.\d+\n", shown.stdout)


def test_a_full_disk_and_a_folder_that_is_none_end_differently(tmp_path):
    (tmp_path / "file").write_text("")
    recipe = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); import signal;"
    recipe += "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); from corrstore.datasets.storage.folder import Folder\n"
    recipe += "from corrstore.datasets.errors import BadInput, OutOfResources\n"
    recipe += "try: Folder(%r).write('key', bytes(8192))\nexcept %s as error: print(error)\n"
    for folder, error in ((tmp_path / "full", "OutOfResources"), (tmp_path / "file" / "under", "BadInput")):
        ended = subprocess.run(
            [sys.executable, "-c", recipe % (str(folder), error)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.stdout.startswith(f"cannot write {folder}"), ended.stderr
        assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "file"]


def test_numbers_that_are_not_finite_are_null_in_json(capsys):
    print_json({"value": np.float32(np.nan), "each": [np.inf, (1.5, np.int64(2))], "time": np.datetime64("2020-06-01")})
    assert json.loads(capsys.readouterr().out) == {"value": None, "each": [None, [1.5, 2]], "time": "2020-06-01"}
