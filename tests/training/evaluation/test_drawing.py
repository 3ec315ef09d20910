"""Scoring while a forecast is drawn: the same records as of a forecast that was drawn whole, without its fields."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from corrstore.beam_pipelines.evaluation.evaluate import evaluate
from corrstore.beam_pipelines.spreading.spread import Runner
from corrstore.datasets.commands import module_command
from corrstore.datasets.errors import BadInput
from corrstore.datasets.storage.folder import Folder
from corrstore.training.diffusion.sampler import SamplerConfig
from corrstore.training.evaluation.agenda import make_agenda
from corrstore.training.evaluation.predictors.comparison import compare
from corrstore.training.evaluation.records.drawing import DrawnForecast, DrawnScores, Kept
from corrstore.training.evaluation.records.records import Records
from corrstore.training.forecasts.forecast import ForecastSampler
from corrstore.training.forecasts.header import Part
from corrstore.training.forecasts.selection import Selection
from corrstore.training.forecasts.settings import SamplingSettings
from corrstore.training.patches.features import Features
from tests.command import corrstore
from tests.conftest import QUIET
from tests.forecast_store import INITS, store_of_runs
from tests.models import trained_on
from tests.paths import ROOT

DRAWING = SamplingSettings(members=2, tile=(48, 64), overlap=8, sampler=SamplerConfig(steps=2, sigma_max=2.0))
LEADS = ["3h", "9h"]


@pytest.fixture(scope="module")
def sampler(demo_store, tmp_path_factory) -> ForecastSampler:
    """A sampler of two leads of two runs, by an untrained model."""
    runs = store_of_runs(demo_store, tmp_path_factory.mktemp("runs") / "store")
    known = trained_on(demo_store, stirred=True)
    model = replace(
        known,
        features=Features(
            runs, known.features.scales, fields=known.store["fingerprint_fields"], extra=known.config.extra_features
        ),
    )
    return ForecastSampler(model, runs, Selection(leads=LEADS).samples(runs), DRAWING)


@pytest.fixture(scope="module")
def whole(demo_store, sampler, tmp_path_factory):
    """The forecast that was drawn whole, and the folder of its evaluation."""
    folder = tmp_path_factory.mktemp("whole")
    forecast = sampler.forecast(str(folder / "forecast"), "zarr")
    forecast.create()
    list(sampler.draw(forecast, forecast.header.parts))
    agenda = make_agenda(compare(demo_store.folder.url, forecast.folder.url))
    evaluate(agenda, Folder(str(folder / "evaluation")), Runner(workers=1), QUIET)
    return forecast, folder / "evaluation"


def scores_of(store, sampler, folder, words=(), **processes) -> DrawnScores:
    """The work of scoring while drawing into a folder."""
    forecast = sampler.forecast(str(folder), "zarr")
    forecast.create()
    drawn = DrawnForecast(forecast.folder, forecast.header, sampler=sampler)
    agenda = make_agenda(compare(store.folder.url, str(folder)), drawn=drawn)
    records = Records(agenda, Folder(f"{folder}/evaluation"))
    return DrawnScores(records, drawn, Kept.from_words(words, forecast.header), **processes)


def contents(folder) -> dict:
    """The bytes of the records by place and name."""
    return {path.parts[-2:]: path.read_bytes() for path in folder.glob("records/*/*/*.parquet")}


def test_the_records_are_those_of_a_forecast_that_was_drawn_whole(demo_store, sampler, whole, tmp_path):
    forecast, evaluation = whole
    work = scores_of(demo_store, sampler, tmp_path / "drawn", ["regression", f"case:{INITS[0]}"], threads=2)
    assert work.memory == 2 * 4 * 3 * len(forecast.header.channels) * np.prod(forecast.header.target_grid.shape)
    work.run(lambda done: None)
    assert contents(tmp_path / "drawn" / "evaluation") == contents(evaluation) and len(contents(evaluation)) == 10
    assert not work.forecast.held
    kept = [part for part in forecast.header.parts if work.forecast.in_folder(part)]
    first = [part for part in forecast.header.parts if forecast.header.inits[part.time].startswith(INITS[0])]
    assert kept == sorted({*first, *(Part(time, None) for time in range(4))}, key=forecast.header.parts.index)
    for part in kept:
        np.testing.assert_array_equal(work.forecast.read(part, "t2m"), forecast.read(part, "t2m"))


def test_a_member_that_was_not_kept_is_drawn_again_alone(demo_store, sampler, whole, tmp_path):
    forecast, _ = whole
    work = scores_of(demo_store, sampler, tmp_path / "drawn")
    ((_, alone),) = sampler.drawn([Part(3, 1)])
    for position, name in enumerate(forecast.header.channels):
        np.testing.assert_array_equal(alone[position], forecast.read(Part(3, 1), name))
        np.testing.assert_array_equal(work.forecast.read(Part(3, 1), name), alone[position])


def test_what_was_stopped_goes_on_with_more_processes(demo_store, sampler, whole, tmp_path):
    class Stopped(Exception):
        pass

    def stop(done):
        raise Stopped

    with pytest.raises(Stopped):
        scores_of(demo_store, sampler, tmp_path / "drawn").run(stop)
    before = contents(tmp_path / "drawn" / "evaluation")
    assert {place for place, _ in before} == {"fits", "totals"}
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "drawn").glob("evaluation/records/*/fits/*")}
    shares = [scores_of(demo_store, sampler, tmp_path / "drawn", rank=rank, world_size=2) for rank in (0, 1)]
    scored = [[], []]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda share, done: share.run(done.append), shares, scored))
    assert scored == [[0, 1], [0, 1]]
    assert contents(tmp_path / "drawn" / "evaluation") == contents(whole[1])
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())


@pytest.mark.slow
def test_the_command_scores_in_two_processes_what_evaluate_scores(run, demo_store, tmp_path):
    store = demo_store.folder.url
    few = ["--members", "2", "--steps", "2", "--sigma-max", "20", "--threads", "1"]  # sums depend on their number
    asked = ["sample", "--store", store, "--checkpoint", str(run), *few]
    judged = ["--output", str(tmp_path / "judged"), "--score", "--truth", store, "--processes", "2"]
    command = [*module_command("corrstore"), *asked, *judged]
    subprocess.run(command, check=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert not list((tmp_path / "judged").glob("t2m/c/*"))
    assert "Map of" in (tmp_path / "judged" / "evaluation" / "report.html").read_text()
    for words in (
        [*asked, "--output", tmp_path / "whole"],
        ["evaluate", "--truth", store, "--forecast", tmp_path / "whole"],
    ):
        output = ["--output", tmp_path / "evaluation"] if words[0] == "evaluate" else []
        ended = corrstore(*words, *output)
        assert ended.returncode == 0, ended.stderr
    table = (tmp_path / "judged" / "evaluation" / "scores.parquet").read_bytes()
    assert table == (tmp_path / "evaluation" / "scores.parquet").read_bytes()


def test_options_of_scoring_that_say_nothing_are_refused(tmp_path):
    asked = ["--store", tmp_path, "--checkpoint", tmp_path, "--output", tmp_path / "out"]
    unscored = [
        (["--truth", tmp_path], "give --score too"),
        (["--climatology"], "--climatology is of scoring; give --score"),
    ]
    for options, message in (*unscored, (["--score"], "needs --truth")):
        ended = corrstore("sample", *asked, *options)
        assert ended.returncode == 2 and message in ended.stderr
    for days in ("inf", "0"):
        ended = corrstore("evaluate", "--truth", "t", "--forecast", "f", "--output", tmp_path, "--block-days", days)
        assert ended.returncode == 2 and "--block-days" in ended.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["member:0"], "write regression, case"),
        (["case:2031-01-01T00"], "the forecast has no such run; they are from 2020-06-01T12"),
    ],
)
def test_what_cannot_be_kept_is_refused(sampler, tmp_path, words, message):
    with pytest.raises(BadInput, match=message):
        Kept.from_words(words, sampler.forecast(str(tmp_path), "zarr").header)


def test_what_cannot_be_scored_is_refused_before_a_forecast_is_made(run, demo_store, tmp_path):
    store, output = demo_store.folder.url, tmp_path / "judged"
    asked = ["sample", "--store", store, "--checkpoint", run, "--members", "1", "--output", output, "--score"]
    for options, message in (
        (["--baseline", f"none={tmp_path}"], "no training store"),
        (["--baseline", f"itself={store}/"], "is the truth itself"),
        (["--split", "train"], "which the model was trained on"),
        (["--persistence"], "is not of runs"),
        (["--match", "newest"], "available=6h"),
    ):
        ended = corrstore(*asked, "--truth", store, *options)
        assert ended.returncode == 2 and message in ended.stderr, ended.stderr
        assert not output.exists()
