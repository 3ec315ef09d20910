"""`--processes`: what several processes do together, and how their errors and stops come through."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from corrstore.datasets.store.opening import open_store
from corrstore.training.learning.checkpoint import LAST, read_checkpoint
from corrstore.training.patches.loader import split_order
from corrstore.training.run_config import run_config
from tests.brief_run import BRIEF_RUN
from tests.command import corrstore
from tests.paths import ROOT

SETTINGS = {**BRIEF_RUN, "patches": 16, "save_every": 16, "validate_every": 16}


def started(*words: object) -> subprocess.Popen[str]:
    """The command in a process of its own, its standard error in a pipe."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "corrstore", *map(str, words)], env=environment, stderr=subprocess.PIPE, text=True
    )


def train_words(store, run, **changes) -> list[object]:
    settings = [f"--set={key}={json.dumps(value)}" for key, value in {**SETTINGS, **changes}.items()]
    return ["train", "--store", store, "--preset", "demo", "--output", run, "--processes", 2, *settings]


def test_two_processes_train_and_sample_together_and_speak_once(demo_store, tmp_path):
    store = demo_store.folder.path()
    training = started(*train_words(store, tmp_path / "run", micro_batch=3))
    _, said = training.communicate()
    assert training.returncode == 0, said
    assert said.splitlines() == [
        f"on {store}",
        "8 samples for training, 0 skipped as not valid; 0 of 16 patches seen",
        "micro_batch is 2, not 3: it must divide the 4 patches of an update in each process",
        f"{tmp_path / 'run'}: 16 of 16 patches seen",
    ]
    assert read_checkpoint(tmp_path / "run" / LAST)["patches_seen"] == 16
    words = ["sample", "--store", store, "--checkpoint", tmp_path / "run", "--members", 0, "--threads", 1]
    sampling = started(*words, "--processes", 2, "--output", tmp_path / "shared")
    _, said = sampling.communicate()
    assert sampling.returncode == 0, said
    assert said.count("parts to sample in process 0 of 2") == said.count(f"wrote {tmp_path / 'shared'}") == 1
    assert corrstore(*words, "--output", tmp_path / "alone").returncode == 0
    files = sorted(path.relative_to(tmp_path / "alone") for path in (tmp_path / "alone").rglob("*") if path.is_file())
    assert len(files) > 12
    assert [
        each for each in files if (tmp_path / "alone" / each).read_bytes() != (tmp_path / "shared" / each).read_bytes()
    ] == []


def test_the_error_of_the_process_that_fails_comes_through_alone(demo_store, tmp_path):
    shutil.copytree(demo_store.folder.path(), tmp_path / "store")
    store = open_store(str(tmp_path / "store"))
    draw = split_order(store, "train", run_config("regression", "demo", SETTINGS)).draws(0, 8)[5]
    shard = tmp_path / "store" / store.plan.shard_key("target", draw.sample)
    shard.write_bytes(shard.read_bytes()[:100])
    training = started(*train_words(tmp_path / "store", tmp_path / "run"))
    _, said = training.communicate()
    assert training.returncode == 1, said
    assert [line for line in said.splitlines() if "cannot be read" in line] == said.splitlines()[-1:]
    assert f"corrstore: sample {draw.sample}" in said and "Traceback" not in said


def test_a_signal_stops_all_with_75_and_the_same_command_goes_on(demo_store, tmp_path):
    words = train_words(demo_store.folder.path(), tmp_path / "run", patches=80_000)
    training = started(*words)
    log = tmp_path / "run" / "log.csv"
    while not (log.exists() and len(log.read_text().splitlines()) > 2):
        assert training.poll() is None
        time.sleep(0.01)
    training.send_signal(signal.SIGTERM)
    _, said = training.communicate()
    seen = read_checkpoint(tmp_path / "run" / LAST)["patches_seen"]
    assert training.returncode == 75, said
    assert said.count(f"stopped after {seen:,} of 80,000 patches; give the same command to go on") == 1


def test_a_killed_process_ends_the_others_and_is_told(demo_store, tmp_path):
    training = started(*train_words(demo_store.folder.path(), tmp_path / "run", patches=80_000))
    log = tmp_path / "run" / "log.csv"
    while not (log.exists() and len(log.read_text().splitlines()) > 2):
        assert training.poll() is None
        time.sleep(0.01)
    children = subprocess.run(
        ["ps", "--ppid", str(training.pid), "-o", "pid="], capture_output=True, text=True, check=True
    )
    os.kill(int(children.stdout.split()[-1]), signal.SIGKILL)
    _, said = training.communicate()
    assert training.returncode == 75, said
    assert said.splitlines()[-1].startswith("corrstore: process 1 was killed")
    assert "Traceback" not in said


def test_a_batch_that_the_processes_cannot_share_is_refused_before_any_starts(demo_store, tmp_path):
    ended = corrstore(*train_words(demo_store.folder.path(), tmp_path / "run", batch=9))
    assert ended.returncode == 2
    assert "batch 9 cannot be divided among 2 processes; set batch=8, or 10" in ended.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("batch", "micro_batch", "processes", "fitted"),
    [
        (8, 4, 1, 4),
        (8, 4, 2, 4),
        (8, 4, 4, 2),
        (256, 16, 8, 16),
        (240, 16, 8, 15),
        (10, 4, 1, 5),
        (12, 5, 2, 6),
        (8, 99, 2, 4),
    ],
)
def test_the_nearest_micro_batch_that_divides_is_taken(batch, micro_batch, processes, fitted):
    config = run_config("regression", "demo", {"batch": batch, "micro_batch": micro_batch}).for_processes(processes)
    assert (config.batch, config.micro_batch) == (batch, fitted)
