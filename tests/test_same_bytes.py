"""However a store is built, and however often it is interrupted: one digest."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from beam_pipelines.build import build
from beam_pipelines.spread import Runner
from beam_pipelines.tasks import MeasureSample, WriteSample
from datasets.constants import constants_from_records
from datasets.layout import StorePlan
from datasets.ledger import MEASUREMENTS, RECORDS, Begun, read_records, write_begun, write_pairs, write_record
from datasets.pairing import used_rules
from datasets.preparation import prepare
from datasets.storage import Folder
from tests.conftest import QUIET, build_in_process, small_recipe_content
from tests.digests import digest


@pytest.fixture(scope="module")
def expected(recipe, tmp_path_factory) -> str:
    """The digest of the store that Beam builds in one process."""
    folder = tmp_path_factory.mktemp("expected") / "store"
    build_in_process(recipe, folder)
    return digest(folder)


def test_a_plain_loop_over_the_functions_gives_the_same_bytes(recipe, tmp_path, expected):
    folder = Folder(str(tmp_path / "store"))
    preparation = prepare(recipe)
    write_pairs(folder, preparation.pairs)
    train = recipe.splits.train.interval.mask(recipe.times).nonzero()[0]
    for index in train:
        write_record(folder, MeasureSample(folder, recipe)(int(index)), MEASUREMENTS)
    constants = constants_from_records(recipe, read_records(folder, MEASUREMENTS))
    plan = StorePlan(recipe, constants.normalisations)
    for index in reversed(range(len(recipe.times))):
        write_record(folder, WriteSample(folder, plan)(index), RECORDS)
    write_begun(folder, Begun(recipe, used_rules(recipe), constants))
    result = build(recipe, folder, Runner(workers=1), QUIET)
    assert result.written == 0
    assert digest(tmp_path / "store") == expected


def test_two_worker_processes_give_the_same_bytes(recipe, tmp_path, expected):
    build(recipe, Folder(str(tmp_path / "store")), Runner(workers=2), QUIET)
    assert digest(tmp_path / "store") == expected


def test_a_dask_cluster_gives_the_same_bytes(recipe, tmp_path, expected):
    port = _free_port()
    address = f"tcp://127.0.0.1:{port}"
    scheduler = [
        sys.executable,
        "-m",
        "distributed.cli.dask_scheduler",
        "--host=127.0.0.1",
        f"--port={port}",
        "--no-dashboard",
    ]
    worker = [
        sys.executable,
        "-m",
        "distributed.cli.dask_worker",
        address,
        "--nthreads=1",
        "--no-dashboard",
        "--no-nanny",
    ]
    started = [subprocess.Popen(scheduler, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)]
    try:
        started += [
            subprocess.Popen(
                [*worker, f"--local-directory={tmp_path}/w{i}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            for i in range(2)
        ]
        options = (
            "--runner=apache_beam.runners.dask.dask_runner.DaskRunner",
            f"--dask_client_address={address}",
            "--dask_npartitions=7",
        )
        build(recipe, Folder(str(tmp_path / "store")), Runner(options), QUIET)
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()
    assert digest(tmp_path / "store") == expected


def test_a_build_killed_at_five_moments_and_continued_gives_the_same_bytes(archive, tmp_path, expected):
    """SIGKILL to the whole process group, so that workers die too; a moment is a number of records left."""
    recipe_file = tmp_path / "small.yaml"
    recipe_file.write_text(yaml.safe_dump(small_recipe_content(archive)))
    folder = tmp_path / "store"
    command = [sys.executable, "-m", "corrstore", "build", str(recipe_file), "--output", str(folder), "--workers=2"]
    draw = random.Random(20260611)
    kills = 0
    for _ in range(5):
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        before = _records(folder)
        enough = before + draw.randint(1, 4)
        while process.poll() is None and _records(folder) < enough:
            time.sleep(0.005)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
        assert not (folder / "zarr.json").exists() or process.returncode == 0
    assert kills == 5
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    assert digest(folder) == expected


def _records(folder: Path) -> int:
    return sum(len(list((folder / "ledger" / kind).glob("2*.parquet"))) for kind in ("measurements", "records"))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_killed_worker_ends_the_build_which_goes_on_when_started_again(archive, tmp_path, expected):
    """Memory runs out at hour nine: one clear message, not a wait for ever, and nothing is lost."""
    recipe_file = tmp_path / "small.yaml"
    recipe_file.write_text(yaml.safe_dump(small_recipe_content(archive)))
    folder = tmp_path / "store"
    command = [sys.executable, "-m", "corrstore", "build", str(recipe_file), "--output", str(folder), "--workers=2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not _records(folder):
        time.sleep(0.01)
    workers = [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if "beam_pipelines.worker" in child.cmdline()
    ]
    workers[-1].kill()
    _, said = process.communicate(timeout=120)
    assert process.returncode == 2 and "fewer --workers" in said and "Traceback" not in said
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    assert digest(folder) == expected
