"""A store has one digest, however it is built."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import yaml

from corrstore.beam_pipelines.build import build
from corrstore.beam_pipelines.spreading.spread import Runner
from corrstore.beam_pipelines.tasks import MeasureSample, WriteSample
from corrstore.datasets.pairing.sources import used_rules
from corrstore.datasets.recipe.recipe import recipe_from
from corrstore.datasets.samples.checksums import files_in_use, with_present_states
from corrstore.datasets.samples.preparation import prepare
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.build_record import BuildRecord, write_build_record, write_plans
from corrstore.datasets.store.constants import constants_from_records
from corrstore.datasets.store.layout import StorePlan
from corrstore.datasets.store.ledger import MEASUREMENTS, RECORDS
from corrstore.datasets.store.records import read_records, write_task_record
from tests.conftest import QUIET, build_in_process
from tests.digests import digest
from tests.forecasts_made import forecast_content, truth, write_sff
from tests.running import running, waited


@pytest.fixture(scope="module")
def expected(demo_store) -> str:
    """The digest of the store that Beam builds in one process."""
    return digest(Path(demo_store.folder.url))


def test_a_plain_loop_over_the_functions_gives_the_same_bytes(recipe, tmp_path, expected):
    folder = Folder(str(tmp_path / "store"))
    preparation = prepare(recipe)
    used = files_in_use(preparation.files, preparation.pairs)
    write_plans(folder, with_present_states(preparation.pairs, used, folder, set()))
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


@pytest.mark.slow
def test_two_worker_processes_that_measure_too_give_the_same_bytes(recipe, tmp_path, expected):
    build(recipe, Folder(str(tmp_path / "store")), Runner(workers=2), QUIET)
    assert digest(tmp_path / "store") == expected


@contextmanager
def dask_cluster(place: Path) -> Iterator[Runner]:
    """The runner of a Dask cluster of one worker."""
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, local_directory=str(place)) as cluster:
        yield Runner(
            (
                "--runner=apache_beam.runners.dask.dask_runner.DaskRunner",
                f"--dask_client_address={cluster.scheduler_address}",
                "--dask_npartitions=7",
            )
        )
        with suppress(ValueError):  # Beam leaves its clients, and dask would send all later work of this process there
            while True:
                Client.current().close()


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same_bytes(recipe, tmp_path, expected):
    with dask_cluster(tmp_path / "dask") as runner:
        build(recipe, Folder(str(tmp_path / "store")), runner, QUIET)
    assert digest(tmp_path / "store") == expected


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same_store_of_forecasts_also_after_kills(tmp_path):
    """Builds that Dask does are killed when some of their samples are measured or written, and go on with Dask."""
    write_sff(tmp_path / "runs", truth())
    content = forecast_content(tmp_path / "runs")
    build_in_process(recipe_from(content), tmp_path / "embedded")
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(content))
    killed = tmp_path / "killed"
    with dask_cluster(tmp_path / "dask") as runner:
        build(recipe_from(content), Folder(str(tmp_path / "store")), runner, QUIET)
        for place, enough in ((MEASUREMENTS, 1), (RECORDS, 1), (RECORDS, 3)):
            with running("build", tmp_path / "recipe.yaml", "--output", killed, *runner.options) as process:
                assert waited(process, lambda: len(list((killed / place).glob("2*"))) >= enough)  # noqa: B023
                process.kill()
            assert not (killed / "zarr.json").exists()
        build(recipe_from(content), Folder(str(killed)), runner, QUIET)
    assert digest(tmp_path / "store") == digest(killed) == digest(tmp_path / "embedded")
