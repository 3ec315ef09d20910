"""The records of an evaluation are the same on every runner, and after kills."""

from __future__ import annotations

import numpy as np
import pytest

from corrstore.beam_pipelines.evaluation.evaluate import evaluate
from corrstore.beam_pipelines.spreading.spread import Runner
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.ledger import parquet_bytes
from corrstore.training.evaluation.agenda import make_agenda
from corrstore.training.evaluation.predictors.comparison import compare
from tests.beam_pipelines.test_same_bytes import dask_cluster
from tests.command import corrstore
from tests.conftest import QUIET
from tests.results import forecast_of
from tests.running import running, waited

KILLS = 10
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def forecast(demo_store, tmp_path_factory) -> str:
    """A SYNTHETIC forecast of all valid times."""
    times = np.flatnonzero(demo_store.valid).tolist()
    return forecast_of(demo_store, str(tmp_path_factory.mktemp("forecast") / "forecast"), times).folder.url


@pytest.fixture(scope="module")
def agenda(demo_store, forecast):
    """Its agenda; nothing was trained."""
    return make_agenda(compare(demo_store.folder.url, forecast))


def contents(folder) -> dict[str, bytes]:
    """The bytes of all records by their path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob("records/**/*.parquet"))}


@pytest.fixture(scope="module")
def expected(agenda, tmp_path_factory):
    """The records of one process, and the table of scores."""
    folder = tmp_path_factory.mktemp("one")
    found = evaluate(agenda, Folder(str(folder)), Runner(workers=1), QUIET)
    return contents(folder), parquet_bytes(found.table)


def test_two_processes_and_dask_leave_the_same_records(agenda, expected, tmp_path):
    with dask_cluster(tmp_path / "dask") as dask:
        for name, runner in (("two", Runner(workers=2)), ("dasks", dask)):
            found = evaluate(agenda, Folder(str(tmp_path / name)), runner, QUIET)
            assert contents(tmp_path / name) == expected[0], name
            assert parquet_bytes(found.table) == expected[1]


def test_after_ten_kills_the_records_are_the_same(demo_store, forecast, expected, tmp_path):
    """The command is killed with all that it started as soon as it has left another record, and then given again."""
    asked = ["evaluate", "--truth", demo_store.folder.url, "--forecast", forecast, "--output", tmp_path / "out"]
    for _ in range(KILLS):
        before = len(contents(tmp_path / "out"))
        with running(*asked, "--workers", "1") as process:
            assert waited(process, lambda before=before: len(contents(tmp_path / "out")) > before)
    ended = corrstore(*asked, "--workers", "1")
    assert ended.returncode == 0, ended.stderr
    assert contents(tmp_path / "out") == expected[0]
    assert (tmp_path / "out" / "scores.parquet").read_bytes() == expected[1]
