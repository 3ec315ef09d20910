"""`--processes`: what several processes do together, and how their errors and stops come through."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from corrstore.datasets.store.opening import open_store
from corrstore.training.learning.checkpoint import LAST, read_checkpoint
from corrstore.training.learning.process_group import in_process_group
from corrstore.training.patches.loader import split_order
from corrstore.training.run_config import run_config
from tests.brief_run import BRIEF_RUN
from tests.command import corrstore
from tests.paths import ROOT

MINUTES = 300.0  # seconds, in which what would wait for ever is given up
SETTINGS = {**BRIEF_RUN, "patches": 16, "save_every": 16, "validate_every": 16}


def started(*words: object, before: str = "", ignoring: bool = False) -> subprocess.Popen[str]:
    """The command in a process of its own, its standard error in a pipe.

    SIGHUP is ignored, or as by default; SIGINT is as by default, also where a shell has put the tests into the
    background.
    """
    code = f"""
import signal, sys
signal.signal(signal.SIGHUP, signal.{"SIG_IGN" if ignoring else "SIG_DFL"})
signal.signal(signal.SIGINT, signal.default_int_handler)
from corrstore.command_line import main
from corrstore.training.learning import process_group
{before}
main()
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)], env=environment, stderr=subprocess.PIPE, text=True
    )


WAITING = """
import os, pathlib, sys, time
from corrstore.training.learning.process_group import end_with_parent
end_with_parent()
pathlib.Path(sys.argv[-1], os.environ["RANK"]).touch()
time.sleep(300)
"""


def started_with_waiting_ranks(folder: Path, seconds_to_stop: float = MINUTES) -> tuple[subprocess.Popen[str], list]:
    """A command of two processes that do nothing, but start and end as all do; and these, in the order of ranks."""
    folder.mkdir()
    ranks = f"process_group.module_command = lambda _: [sys.executable, '-c', {WAITING!r}]"
    stop = f"process_group.SECONDS_TO_STOP, process_group._SECONDS_TO_END = {seconds_to_stop}, 1"
    words = ["sample", "--store", "S", "--checkpoint", "R", "--processes", 2, "--output", folder]
    command = started(*words, before=f"{ranks}\n{stop}")
    while len(list(folder.iterdir())) < 2:
        assert command.poll() is None
        time.sleep(0.01)
    return command, sorted(psutil.Process(command.pid).children(), key=lambda child: int(child.environ()["RANK"]))


def suspend(child: psutil.Process) -> None:
    """Suspend a process, and wait until it is: a signal that is sent before may come first."""
    child.suspend()
    while child.status() != psutil.STATUS_STOPPED:
        time.sleep(0.01)


def updates(run: Path) -> int:
    """Return the number of updates that a run has logged."""
    log = run / "log.csv"
    return len(log.read_text().splitlines()) - 1 if log.exists() else 0


def wait_for_updates(training: subprocess.Popen[str], run: Path, count: int) -> None:
    """Wait until the run has logged that many updates."""
    while updates(run) < count:
        assert training.poll() is None
        time.sleep(0.01)


def train_words(store, run, **changes) -> list[object]:
    settings = [f"--set={key}={json.dumps(value)}" for key, value in {**SETTINGS, **changes}.items()]
    return ["train", "--store", store, "--preset", "demo", "--output", run, "--processes", 2, *settings]


@pytest.mark.slow
def test_two_processes_train_until_a_signal_and_speak_once(demo_store, tmp_path):
    store = demo_store.folder.path()
    training = started(*train_words(store, tmp_path / "run", batch=9, micro_batch=3, patches=80_000))
    wait_for_updates(training, tmp_path / "run", 2)
    training.send_signal(signal.SIGTERM)
    _, said = training.communicate()
    seen = read_checkpoint(tmp_path / "run" / LAST)["patches_seen"]
    assert training.returncode == 75, said
    assert said.splitlines() == [
        f"on {store}",
        "8 samples for training, 0 skipped as not valid; 0 of 80,000 patches seen",
        "batch is 8, not 9: it must be a multiple of the 2 processes",
        "micro_batch is 2, not 3: it must divide the 4 patches of an update in each process",
        f"corrstore: stopped after {seen:,} of 80,000 patches; the same command continues",
    ]


@pytest.mark.slow
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


@pytest.mark.parametrize(
    ("rank", "name", "code", "message"),
    [
        (0, "SIGSEGV", 70, "was ended by SIGSEGV, an error of corrstore or of a library it uses"),
        (1, "SIGKILL", 75, "was killed by SIGKILL, most often because memory ran out"),
    ],
)
def test_a_process_that_a_signal_ends_ends_the_others_and_is_told(tmp_path, rank, name, code, message):
    command, children = started_with_waiting_ranks(tmp_path / "begun")
    suspend(children[1 - rank])  # it cannot fail for its part
    children[rank].send_signal(getattr(signal, name))
    _, said = command.communicate(timeout=MINUTES)
    assert command.returncode == code, said
    assert said.splitlines()[-1].startswith(f"corrstore: process {rank} {message}")
    assert "Traceback" not in said
    assert not any(child.is_running() for child in children)


@pytest.mark.parametrize("ending", ["its minute is over", "a second signal"])
def test_processes_that_a_signal_does_not_stop_are_killed(tmp_path, ending):
    """A process that cannot answer, as in the libraries of PyTorch, is one that is suspended."""
    command, children = started_with_waiting_ranks(tmp_path / "begun", 1 if ending == "its minute is over" else MINUTES)
    for child in children:
        suspend(child)
    command.send_signal(signal.SIGTERM)
    if ending == "a second signal":
        time.sleep(0.5)
        assert command.poll() is None
        command.send_signal(signal.SIGINT)
    _, said = command.communicate(timeout=MINUTES)
    assert command.returncode == 75, said
    assert said.splitlines()[-1] == "corrstore: stopped by SIGTERM; the same command continues"
    assert not any(child.is_running() for child in children)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone can tell a process that its parent is gone")
def test_no_process_outlives_a_command_that_is_killed(tmp_path):
    command, children = started_with_waiting_ranks(tmp_path / "begun")
    command.kill()
    command.communicate(timeout=MINUTES)
    psutil.wait_procs(children, timeout=MINUTES)
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)


@pytest.mark.slow
def test_a_command_whose_terminal_is_gone_stops_and_one_under_nohup_goes_on(demo_store, tmp_path):
    words = train_words(demo_store.folder.path(), tmp_path / "run", patches=80_000, batch=9)
    for ignored in (True, False):
        training = started(*words, ignoring=ignored)
        wait_for_updates(training, tmp_path / "run", before := updates(tmp_path / "run") + 2)
        training.send_signal(signal.SIGHUP)
        if ignored:
            wait_for_updates(training, tmp_path / "run", before + 5)
            training.terminate()
        _, said = training.communicate(timeout=MINUTES)
        assert training.returncode == 75, said
        assert "stopped after" in said.splitlines()[-1]


def test_one_variable_of_torchrun_alone_makes_no_group(demo_store, tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    assert not in_process_group()
    ended = corrstore(*train_words(demo_store.folder.path(), tmp_path / "run")[:-1], "--set=batch=8", "--plan")
    assert ended.returncode == 0, ended.stderr
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert in_process_group()


@pytest.mark.parametrize(
    ("batch", "processes", "fitted", "micro_batch"), [(9, 2, 8, 4), (8, 2, 8, 4), (3, 4, 4, 1), (7, 3, 6, 2)]
)
def test_a_batch_that_the_processes_cannot_share_becomes_one_that_they_can(batch, processes, fitted, micro_batch):
    asked = run_config("regression", "demo", {"batch": batch, "micro_batch": 4})
    found = asked.for_processes(processes)
    assert (found.batch, found.micro_batch) == (fitted, micro_batch)
    said = f"batch is {fitted}, not {batch}: it must be a multiple of the {processes} processes"
    assert (said in found.fitted_from(asked, processes)) == (fitted != batch)
    assert found.for_processes(processes) == found


@pytest.mark.parametrize(
    ("batch", "micro_batch", "processes", "fitted"),
    [
        (8, 4, 1, 4),
        (8, 4, 2, 4),
        (8, 4, 4, 2),
        (256, 16, 8, 16),
        (240, 16, 8, 15),
        (10, 4, 1, 2),
        (12, 5, 2, 3),
        (14, 6, 1, 2),
        (13, 6, 1, 1),
        (8, 99, 2, 4),
    ],
)
def test_the_largest_micro_batch_that_divides_and_is_not_above_the_one_given_is_taken(
    batch, micro_batch, processes, fitted
):
    config = run_config("regression", "demo", {"batch": batch, "micro_batch": micro_batch}).for_processes(processes)
    assert (config.batch, config.micro_batch) == (batch, fitted)


@pytest.mark.parametrize(
    ("batch", "micro_batch", "processes", "better"),
    [(8, 3, 2, None), (8, 99, 2, None), (26, 6, 2, 24), (13, 6, 1, 12), (7, 5, 1, 5)],
)
def test_a_micro_batch_under_half_of_the_one_given_is_said_with_a_better_batch(batch, micro_batch, processes, better):
    asked = run_config("regression", "demo", {"batch": batch, "micro_batch": micro_batch})
    (said,) = asked.for_processes(processes).fitted_from(asked, processes)
    assert f"micro_batch is {asked.for_processes(processes).micro_batch}, not {micro_batch}" in said
    assert ("batch=" in said) == (better is not None)
    if better:
        assert f"batch={better} would let it be {micro_batch}" in said
        improved = run_config("regression", "demo", {"batch": better, "micro_batch": micro_batch})
        assert improved.for_processes(processes).micro_batch == micro_batch
