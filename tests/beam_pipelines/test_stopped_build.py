"""A build that is stopped or killed ends with a clear message, and continues to the same bytes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import psutil
import pytest
import yaml

from corrstore.datasets.recipe.recipe import recipe_from
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.ledger import MEASUREMENTS, RECORDS
from tests.command import corrstore
from tests.conftest import build_in_process, few_are_measured, small_recipe_content
from tests.digests import digest
from tests.forecasts_made import RUNS, forecast_content, truth, write_sff
from tests.running import running, waited

MINUTES = 600.0  # seconds, in which what would wait for ever is given up


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


def building(file: Path, store: Path, workers: int = 2, ignoring: str = "") -> AbstractContextManager[subprocess.Popen]:
    """A build that runs."""
    return running("build", file, "--output", store, f"--workers={workers}", ignoring=ignoring)


def workers_of(process: subprocess.Popen) -> list[psutil.Process]:
    """The worker processes of a build, from their first moment on."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with suppress(psutil.Error):
            if "corrstore.beam_pipelines.spreading.worker" in child.cmdline():
                found.append(child)
    return found


def records(store: Path) -> int:
    """Return the number of samples' records."""
    return len(list((store / RECORDS).glob("2*.parquet")))


def continued(file: Path, store: Path) -> str:
    """The digest of the store when the same command has ended that was started again, with one worker."""
    ended = corrstore("build", file, "--output", store, "--workers=1")
    assert ended.returncode == 0, ended.stderr
    return digest(store)


@pytest.mark.slow
def test_a_killed_worker_ends_the_build_which_goes_on_when_started_again(written_by_workers, tmp_path):
    """Memory runs out at hour nine: one clear message, not a wait for ever, and nothing is lost.

    Whatever a script has put into the background ignores SIGINT.
    """
    file, whole = written_by_workers
    store = tmp_path / "store"
    with building(file, store, ignoring="SIGINT") as process:
        assert waited(process, lambda: records(store) >= 1)
        workers_of(process)[-1].kill()
        _, said = process.communicate(timeout=MINUTES)
    assert process.returncode == 75 and "fewer --workers" in said and "Traceback" not in said
    assert 1 <= records(store) < 14 and not (store / "zarr.json").exists()
    assert continued(file, store) == whole


@pytest.mark.slow
def test_a_worker_killed_before_it_has_registered_ends_the_build(written_by_workers, tmp_path):
    file, _ = written_by_workers
    with building(file, tmp_path / "store") as process:
        assert waited(process, lambda: bool(workers_of(process)))
        workers_of(process)[0].kill()
        _, said = process.communicate(timeout=MINUTES)
    assert process.returncode == 75 and "fewer --workers" in said and len(said.splitlines()) == 1


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_build_in_one_process_is_stopped_by_a_signal(written_by_workers, tmp_path, monkeypatch, name):
    """The signal comes when the first sample is written; what runs in the background of a shell ignores SIGINT."""
    (file, whole), store, write = written_by_workers, tmp_path / "store", Folder.write
    before = signal.signal(getattr(signal, name), signal.SIG_DFL)

    def write_and_stop(folder: Folder, key: str, *rest: object) -> None:
        write(folder, key, *rest)
        if key.startswith(f"{RECORDS}/2"):
            os.kill(os.getpid(), getattr(signal, name))

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "write", write_and_stop)
        ended = corrstore("build", file, "--output", store, "--workers=1")
    signal.signal(getattr(signal, name), before)
    assert ended.returncode == 75, ended.stderr
    assert ended.stderr.splitlines()[-1] == f"corrstore: stopped by {name}; the same command continues"
    assert records(store) == 1 and not (store / "zarr.json").exists()
    assert continued(file, store) == whole


@pytest.mark.slow
@pytest.mark.parametrize(("name", "workers"), [("SIGTERM", 2), ("SIGINT", 1)])
def test_a_build_stopped_by_a_signal_says_so_and_leaves_no_worker(written_by_workers, tmp_path, name, workers):
    file, whole = written_by_workers
    store = tmp_path / "store"
    with building(file, store, workers) as process:
        assert waited(process, lambda: records(store) >= 1)
        others = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(getattr(signal, name))
        _, said = process.communicate(timeout=MINUTES)
    assert process.returncode == 75
    assert said == f"corrstore: stopped by {name}; the same command continues\n"
    psutil.wait_procs(others, timeout=MINUTES)
    assert not [other for other in others if other.is_running()]
    assert not (store / "zarr.json").exists()
    assert continued(file, store) == whole


@pytest.mark.slow
def test_a_stopped_synthesis_leaves_no_archive(tmp_path):
    with running("synth", tmp_path / "archive", "--end=2020-12-30T12") as process:
        assert waited(process, lambda: any(tmp_path.glob("archive/*/*")))
        process.terminate()
        _, said = process.communicate(timeout=MINUTES)
    assert process.returncode == 75 and said == "corrstore: stopped by SIGTERM; the same command continues\n"
    assert not (tmp_path / "archive/era5").exists() and not (tmp_path / "archive/cma_rra").exists()


def content_of_runs(folder: Path) -> dict:
    """The content of a recipe of four runs of seven leads each, and their archive in the folder."""
    write_sff(folder / "runs", truth())
    content = forecast_content(folder / "runs", inits=[str(run)[:13] for run in RUNS])
    content["forecast"]["leads"]["every"] = "3h"
    return content


@pytest.mark.slow
@pytest.mark.parametrize("of_runs", [False, True])
def test_a_build_killed_at_five_moments_and_continued_gives_the_same_bytes(archive, tmp_path, of_runs):
    """SIGKILL to the whole process group, so that workers die too; a moment is a number of records that are left."""
    content = content_of_runs(tmp_path) if of_runs else small_recipe_content(archive)
    file, store = written_recipe(content, tmp_path), tmp_path / "store"
    build_in_process(recipe_from(content), tmp_path / "whole")
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
        assert process.wait(timeout=MINUTES) == 0
    assert digest(store) == digest(tmp_path / "whole")
