"""A build on a Dask cluster whose worker, scheduler or driver is killed ends as docs/promises.md says."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from corrstore.datasets.recipe.recipe import recipe_from
from corrstore.datasets.store.ledger import RECORDS
from tests.command import corrstore
from tests.conftest import build_in_process, few_are_measured, small_recipe_content
from tests.digests import digest
from tests.running import running, waited

pytestmark = pytest.mark.slow


class Cluster:
    """A scheduler and two workers with their guards, as a user starts them."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        file = folder / "scheduler.json"
        self.options = (
            "--runner=apache_beam.runners.dask.dask_runner.DaskRunner",
            f"--dask_scheduler_file={file}",
            "--dask_npartitions=8",
        )
        self.scheduler = self._started("scheduler", "--no-dashboard", "--port", "0", "--scheduler-file", file)
        while not file.exists():
            time.sleep(0.1)
        worker = ("worker", "--scheduler-file", file, "--nthreads", 1, "--no-dashboard", "--local-directory", folder)
        self.workers = [self._started(*worker) for _ in range(2)]

    @staticmethod
    def _started(*words: object) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", *map(str, words)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def close(self) -> None:
        """Kill what is left."""
        for process in (self.scheduler, *self.workers):
            for each in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []:
                each.kill()
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path) -> Iterator[Cluster]:
    found = Cluster(tmp_path / "cluster")
    yield found
    found.close()


@pytest.mark.parametrize("dies", ["worker", "scheduler", "driver", "driver by Ctrl-C"])
def test_a_build_whose_cluster_loses_a_process_goes_on_to_the_same_bytes(archive, cluster, tmp_path, dies):
    content = few_are_measured(small_recipe_content(archive))
    build_in_process(recipe_from(content), tmp_path / "embedded")
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(content))
    store = tmp_path / "store"
    with running("build", tmp_path / "recipe.yaml", "--output", store, *cluster.options) as build:
        assert waited(build, lambda: len(list((store / RECORDS).glob("2*"))) >= 2)
        if dies == "worker":
            for child in psutil.Process(cluster.workers[0].pid).children(recursive=True):
                child.kill()  # its guard starts another one
            cluster.workers[1].kill()
        elif dies == "scheduler":
            cluster.scheduler.kill()
        else:
            build.send_signal(signal.SIGKILL if dies == "driver" else signal.SIGINT)
        said = build.communicate(timeout=300)[1]
    assert build.returncode == {"worker": 0, "driver": -signal.SIGKILL}.get(dies, 75), said
    assert "Traceback" not in said
    if dies == "scheduler":
        assert "DaskRunner has ended, and left" in said and "the same command goes on" in said
    if dies != "worker":
        assert not (store / "zarr.json").exists()
        again = corrstore("build", tmp_path / "recipe.yaml", "--output", store, "--workers=1")
        assert again.returncode == 0, again.stderr
    assert digest(store) == digest(tmp_path / "embedded")


def test_a_scheduler_that_does_not_answer_is_told_in_one_line(archive, tmp_path):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(small_recipe_content(archive)))
    options = ["--runner=apache_beam.runners.dask.dask_runner.DaskRunner", "--dask_client_address=tcp://127.0.0.1:9"]
    ended = corrstore(
        "build", tmp_path / "recipe.yaml", "--output", tmp_path / "store", *options, "--dask_connection_timeout=2"
    )
    assert ended.returncode == 75 and "see that its scheduler and workers run" in ended.stderr, ended.stderr
    assert ended.stderr.count("corrstore: ") == 1 and "Traceback" not in ended.stderr
