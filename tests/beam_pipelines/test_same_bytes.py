"""However a store is built, and however often it is interrupted: one digest."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import yaml

from corrstore.beam_pipelines.build import build
from corrstore.beam_pipelines.spreading.spread import Runner
from corrstore.beam_pipelines.tasks import MeasureSample, WriteSample
from corrstore.datasets.pairing.sources import used_rules
from corrstore.datasets.recipe.files import load_recipe
from corrstore.datasets.recipe.recipe import recipe_from
from corrstore.datasets.samples.preparation import prepare
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.build_record import BuildRecord, write_build_record
from corrstore.datasets.store.constants import constants_from_records
from corrstore.datasets.store.layout import StorePlan
from corrstore.datasets.store.ledger import MEASUREMENTS, RECORDS
from corrstore.datasets.store.pairs_table import write_pairs
from corrstore.datasets.store.records import read_records, write_task_record
from tests.command import corrstore
from tests.conftest import QUIET, build_in_process, few_are_measured, small_recipe_content
from tests.digests import digest


@pytest.fixture(scope="module")
def expected(demo_store) -> str:
    """The digest of the store that Beam builds in one process."""
    return digest(Path(demo_store.folder.url))


def test_a_plain_loop_over_the_functions_gives_the_same_bytes(recipe, tmp_path, expected):
    folder = Folder(str(tmp_path / "store"))
    preparation = prepare(recipe)
    write_pairs(folder, preparation.pairs)
    train = recipe.splits.train.interval.mask(recipe.times).nonzero()[0]
    for index in train:
        write_task_record(folder, MeasureSample(folder, recipe)(int(index)), MEASUREMENTS)
    constants = constants_from_records(recipe, read_records(folder, MEASUREMENTS))
    plan = StorePlan(recipe, constants.normalisations)
    for index in reversed(range(len(recipe.times))):
        write_task_record(folder, WriteSample(folder, plan)(index), RECORDS)
    write_build_record(folder, BuildRecord(recipe, used_rules(recipe), constants))
    result = build(recipe, folder, Runner(workers=1), QUIET)
    assert result.written == 0
    assert digest(tmp_path / "store") == expected


def written_recipe(content: dict, folder: Path) -> Path:
    """A file of that recipe."""
    file = folder / "small.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


@pytest.fixture(scope="module")
def written_by_workers(archive, tmp_path_factory) -> tuple[Path, str]:
    """The file of a recipe of which two workers do no more than write the samples, and its store's digest."""
    folder = tmp_path_factory.mktemp("written-by-workers")
    content = few_are_measured(small_recipe_content(archive))
    build_in_process(recipe_from(content), folder / "store")
    return written_recipe(content, folder), digest(folder / "store")


def test_two_worker_processes_give_the_same_bytes(written_by_workers, tmp_path):
    file, whole = written_by_workers
    build(load_recipe(str(file)), Folder(str(tmp_path / "store")), Runner(workers=2), QUIET)
    assert digest(tmp_path / "store") == whole


@pytest.mark.slow
def test_two_worker_processes_that_measure_too_give_the_same_bytes(recipe, tmp_path, expected):
    build(recipe, Folder(str(tmp_path / "store")), Runner(workers=2), QUIET)
    assert digest(tmp_path / "store") == expected


def test_a_dask_cluster_gives_the_same_bytes(recipe, tmp_path, expected):
    from distributed import Client, LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=None, local_directory=str(tmp_path / "dask")
    ) as cluster:
        options = (
            "--runner=apache_beam.runners.dask.dask_runner.DaskRunner",
            f"--dask_client_address={cluster.scheduler_address}",
            "--dask_npartitions=7",
        )
        build(recipe, Folder(str(tmp_path / "store")), Runner(options), QUIET)
        Client.current().close()  # Beam leaves it, and dask would send all later work of this process to it
    assert digest(tmp_path / "store") == expected


@contextmanager
def building(file: Path, store: Path, workers: int = 2) -> Iterator[subprocess.Popen]:
    """The command in a process group of its own, none of which is left at the end."""
    command = [sys.executable, "-m", "corrstore", "build", str(file), "--output", str(store), f"--workers={workers}"]
    command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def waited(process: subprocess.Popen, until: Callable[[], bool]) -> bool:
    """Whether it is still running when that has come."""
    while process.poll() is None and not until():
        time.sleep(0.002)
    return process.poll() is None


def records(store: Path) -> int:
    """How many records of samples are there."""
    return len(list((store / RECORDS).glob("2*.parquet")))


def continued(file: Path, store: Path) -> str:
    """The digest of the store when the same command has ended that was started again, with one worker."""
    ended = corrstore("build", file, "--output", store, "--workers=1")
    assert ended.returncode == 0, ended.stderr
    return digest(store)


def test_a_killed_build_that_goes_on_gives_the_same_bytes(written_by_workers, tmp_path):
    """SIGKILL between the first record and the last."""
    file, whole = written_by_workers
    store = tmp_path / "store"
    with building(file, store, workers=1) as process:
        assert waited(process, lambda: records(store) >= 2)
        os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert 2 <= records(store) < 14 and not (store / "zarr.json").exists()
    assert continued(file, store) == whole


def test_a_killed_worker_ends_the_build_which_goes_on_when_started_again(written_by_workers, tmp_path):
    """Memory runs out at hour nine: one clear message, not a wait for ever, and nothing is lost.

    Whatever a script has put into the background ignores SIGINT.
    """
    file, whole = written_by_workers
    store = tmp_path / "store"
    with building(file, store) as process:
        assert waited(process, lambda: records(store) >= 1)
        workers = [
            child
            for child in psutil.Process(process.pid).children(recursive=True)
            if "corrstore.beam_pipelines.spreading.worker" in child.cmdline()
        ]
        workers[-1].kill()
        _, said = process.communicate(timeout=60)
    assert process.returncode == 75 and "fewer --workers" in said and "Traceback" not in said
    assert records(store) >= 1 and not (store / "zarr.json").exists()
    assert continued(file, store) == whole


@pytest.mark.slow
def test_a_build_killed_at_five_moments_and_continued_gives_the_same_bytes(archive, tmp_path, expected):
    """SIGKILL to the whole process group, so that workers die too; a moment is a number of records that are left."""
    file, store = written_recipe(small_recipe_content(archive), tmp_path), tmp_path / "store"
    draw = random.Random(20260611)

    def measured_or_written() -> int:
        return records(store) + len(list((store / MEASUREMENTS).glob("2*.parquet")))

    for _ in range(5):
        enough = measured_or_written() + draw.randint(1, 4)
        with building(file, store) as process:
            assert waited(process, lambda: measured_or_written() >= enough)  # noqa: B023 - of this round
            os.killpg(process.pid, signal.SIGKILL)
        assert not (store / "zarr.json").exists()
    with building(file, store) as process:
        assert process.wait(timeout=120) == 0
    assert digest(store) == expected
