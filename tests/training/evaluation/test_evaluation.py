"""Evaluations of forecasts on the small store, against the same scores taken from their files by other means."""

from __future__ import annotations

import csv
import io
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
import xarray as xr
from scores.probability import crps_for_ensemble

from corrstore.beam_pipelines.evaluation.evaluate import evaluate as spread_evaluation
from corrstore.beam_pipelines.spreading.spread import Runner
from corrstore.datasets.errors import BadInput, DamagedData
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.ledger import parquet_bytes
from corrstore.datasets.store.opening import Store
from corrstore.training.diffusion.sampler import SamplerConfig
from corrstore.training.evaluation.agenda import make_agenda
from corrstore.training.evaluation.evaluate import evaluate
from corrstore.training.evaluation.pages.report import left_out, write_evaluation_report
from corrstore.training.evaluation.predictors.comparison import compare
from corrstore.training.evaluation.predictors.matching import BELOW_GROUND
from corrstore.training.evaluation.predictors.names import (
    ENSEMBLE,
    INTERPOLATION,
    MEAN,
    MEMBER,
    PREDICTORS,
    REGRESSION,
    SHAPED,
    WHITE,
)
from corrstore.training.evaluation.scoring.cells import cell_maps
from corrstore.training.evaluation.scoring.registry import BY_NAME
from corrstore.training.forecasts.files import Forecast
from corrstore.training.forecasts.forecast import ForecastSampler
from corrstore.training.forecasts.header import Header, Part
from corrstore.training.forecasts.selection import Selection
from corrstore.training.forecasts.settings import SamplingSettings
from tests.command import corrstore
from tests.conftest import QUIET
from tests.models import trained_on
from tests.results import forecast_of


@pytest.fixture(scope="module")
def forecast(demo_store, tmp_path_factory) -> Forecast:
    """Four members of an untrained model at the times of the test split."""
    drawing = SamplingSettings(4, (48, 64), 8, sampler=SamplerConfig(steps=2, sigma_max=2.0))
    sampler = ForecastSampler(
        trained_on(demo_store, stirred=True), demo_store, Selection("test").samples(demo_store), drawing
    )
    found = sampler.forecast(str(tmp_path_factory.mktemp("forecast") / "forecast"), "zarr")
    found.create()
    list(sampler.draw(found, found.header.parts))
    return found


@pytest.fixture(scope="module")
def evaluation(demo_store, forecast):
    """The evaluation of that forecast."""
    return evaluate(demo_store.folder.url, forecast.folder.url)


@pytest.fixture(scope="module")
def fields(demo_store, forecast):
    """Truth, input and forecast as xarray reads them."""
    content = xr.open_zarr(forecast.folder.url).load()
    at = {"time": content.time}
    return demo_store.dataset("target").sel(at).load(), demo_store.dataset("input").sel(at).load(), content


def channel_named(evaluation, name):
    """One of the evaluation's channels."""
    return next(channel for channel in evaluation.channels if channel.name == name)


def mean_of(field):
    """The mean over all pixels and times, weighted by latitude."""
    return float(field.weighted(np.cos(np.deg2rad(field.lat))).mean())


def test_every_predictor_of_every_channel_is_scored(evaluation, demo_store):
    assert len(evaluation.times) == 2 and evaluation.incomplete == 0
    for channel in evaluation.channels:
        expected = [each for each in PREDICTORS if channel.name != "refc" or not each.startswith(INTERPOLATION)]
        assert evaluation.predictors(channel) == expected


@pytest.mark.parametrize("name", ["t2m", "tp", "refc", "z_500"])
def test_scores_are_those_of_the_files(evaluation, fields, name):
    target, coarse, content = fields
    truth, members, regression = target[name].astype(float), content[name].astype(float), content[f"{name}_regression"]
    crps = crps_for_ensemble(members, truth, "realization", method="fair", preserve_dims="all")
    expected = {
        (REGRESSION, "mae"): mean_of(abs(regression - truth)),
        (REGRESSION, "bias"): mean_of(regression - truth),
        (REGRESSION, "crps"): mean_of(abs(regression - truth)),
        (MEAN, "mae"): mean_of(abs(members.mean("realization") - truth)),
        (MEAN, "rmse"): mean_of((members.mean("realization") - truth) ** 2) ** 0.5,
        (ENSEMBLE, "crps"): mean_of(crps),
        (ENSEMBLE, "spread"): mean_of(members.var("realization", ddof=1)) ** 0.5,
    }
    if name in coarse:
        interpolated = coarse[name].astype(float).interp(lat=truth.lat, lon=truth.lon)
        expected[INTERPOLATION, "mae"] = mean_of(abs(interpolated - truth))
        expected[INTERPOLATION, "rmse"] = mean_of((interpolated - truth) ** 2) ** 0.5
    channel = channel_named(evaluation, name)
    for (predictor, score), number in expected.items():
        assert evaluation.score(channel, predictor, score).value == pytest.approx(number, rel=1e-4, abs=1e-7), score


def test_the_truth_itself_is_a_perfect_forecast(demo_store, forecast, tmp_path):
    """The truth, written as regression and as every member, has no error, the truth's spectrum and all the skill."""
    perfect = Forecast(Folder(str(tmp_path / "perfect")), forecast.header)
    perfect.create()
    for part in perfect.header.parts:
        index = Selection("test").samples(demo_store)[part.time]
        perfect.write(part, demo_store.physical("target", index).astype(np.float32))
    found = evaluate(demo_store.folder.url, str(tmp_path / "perfect"))
    for row in found.rows:
        if row.predictor not in (REGRESSION, MEAN, ENSEMBLE) or np.isnan(row.value):
            continue
        best = {"highest": 1, "one": 1, "lowest": 0, "zero": 0, "none": 0}[BY_NAME[row.score].best]
        assert row.value == pytest.approx(best, abs=1e-6), row
    assert any(row.score == "fss" and row.value == 1 for row in found.rows)


def test_times_that_are_not_complete_are_left_out_and_counted(demo_store, forecast, tmp_path):
    partial = Forecast(Folder(str(tmp_path / "partial")), forecast.header)
    partial.create()
    with pytest.raises(BadInput, match="none of its 2 times is complete"):
        evaluate(demo_store.folder.url, str(tmp_path / "partial"))
    for part in [Part(0, 0), *(part for part in forecast.header.parts if part.time == 1)]:
        partial.write(part, np.stack([forecast.read(part, name) for name in forecast.header.channels]))
    found = evaluate(demo_store.folder.url, str(tmp_path / "partial"))
    assert (len(found.times), found.incomplete) == (1, 1)
    assert found.times[0] == forecast.header.valid_times[1]


def test_workers_leave_records_that_are_not_made_again(demo_store, forecast, evaluation, tmp_path):
    agenda, folder = make_agenda(compare(demo_store.folder.url, forecast.folder.url)), Folder(str(tmp_path))
    assert spread_evaluation(agenda, folder, Runner(workers=1), QUIET).csv == evaluation.csv
    place = tmp_path / "records" / agenda.digest
    for name in ("0123456789abcdef", "notes"):
        (tmp_path / "records" / name).mkdir()
    (place / "scores" / f"{agenda.keys[0]}.parquet").unlink()
    kept = {path: path.stat().st_mtime_ns for path in [*place.glob("fits/*"), *place.glob("scores/*")]}
    assert len(kept) == 3
    assert spread_evaluation(agenda, folder, Runner(workers=1), QUIET).table.equals(evaluation.table)
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    assert {path.name for path in (tmp_path / "records").iterdir()} == {agenda.digest, "notes"}
    (place / "scores" / f"{agenda.keys[0]}.parquet").write_bytes(b"nothing")
    with pytest.raises(DamagedData, match="remove it"):
        spread_evaluation(agenda, folder, Runner(workers=1), QUIET)
    shutil.copy(*(place / "scores" / f"{key}.parquet" for key in agenda.keys[1::-1]))
    with pytest.raises(DamagedData, match=f"it is the record of {agenda.keys[1]}"):
        spread_evaluation(agenda, folder, Runner(workers=1), QUIET)


def test_a_folder_that_holds_something_else_is_refused_and_left_alone(demo_store, forecast, tmp_path):
    (tmp_path / "records/radiosondes").mkdir(parents=True)
    (tmp_path / "scores.csv").write_text("mine")
    options = ["--truth", demo_store.folder.url, "--forecast", forecast.folder.url]
    for output in (tmp_path, demo_store.folder.url, forecast.folder.url):
        ended = corrstore("evaluate", *options, "--output", output)
        assert ended.returncode == 2 and "is no evaluation; give another --output" in ended.stderr, ended.stderr
    assert (tmp_path / "scores.csv").read_text() == "mine" and (tmp_path / "records/radiosondes").is_dir()


@pytest.mark.slow
def test_two_processes_find_what_one_does(demo_store, tmp_path):
    forecast = forecast_of(demo_store, str(tmp_path / "forecast"), list(range(9, 14)))
    agenda = make_agenda(compare(demo_store.folder.url, forecast.folder.url))
    found = [spread_evaluation(agenda, Folder(str(tmp_path / str(n))), Runner(workers=n), QUIET).table for n in (1, 2)]
    assert parquet_bytes(found[0]) == parquet_bytes(found[1])


def test_channels_that_the_store_lacks_are_left_out(demo_store, forecast, tmp_path):
    header = {**forecast.header.content, "channels": {"d2m": forecast.header.channels["t2m"]}}
    Forecast(Folder(str(tmp_path / "none")), Header(**header)).create()
    with pytest.raises(BadInput, match="has d2m, none of which is a target"):
        evaluate(demo_store.folder.url, str(tmp_path / "none"))
    two = {name: forecast.header.channels[name] for name in ("v10m", "t2m")}
    fewer = Forecast(Folder(str(tmp_path / "two")), Header(**{**header, "channels": two}))
    fewer.create()
    for part in fewer.header.parts:
        fewer.write(part, np.stack([forecast.read(part, name) for name in two]))
    assert [channel.name for channel in evaluate(demo_store.folder.url, fewer.folder.url).channels] == ["t2m", "v10m"]


def test_a_store_of_another_grid_is_refused(demo_store, forecast, tmp_path):
    header = {**forecast.header.content, "grid": demo_store.grid("input").to_dict()}
    Forecast(Folder(str(tmp_path / "other")), Header(**header)).create()
    with pytest.raises(BadInput, match="give the store of its grid"):
        evaluate(demo_store.folder.url, str(tmp_path / "other"))


def test_the_csv_holds_every_score(evaluation):
    rows = list(csv.DictReader(io.StringIO(evaluation.csv)))
    assert {row["score"] for row in rows} == set(BY_NAME)
    rain = [row for row in rows if row["score"] == "fss" and row["channel"] == "tp" and row["predictor"] == REGRESSION]
    assert {float(row["threshold"]) for row in rain} == {0.1, 1, 5, 10}
    assert {round(float(row["width_km"]), 1) for row in rain} == {3.3, 16.7, 43.4, 103.4}
    kelvin = next(row for row in rows if row["channel"] == "t2m" and row["score"] == "mae")
    assert kelvin["units"] == "K" and float(kelvin["value"]) > 0


class Page(HTMLParser):
    """The articles, pictures, paths and table cells of a page."""

    def __init__(self, text):
        super().__init__()
        self.articles, self.cells, self.row = {}, {}, None
        self.name = self.cell = None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if tag == "article":
            self.name = found["id"].removeprefix("channel-")
            self.articles[self.name] = {"img": [], "path": []}
        elif tag in ("img", "path") and self.name:
            self.articles[self.name][tag].append(found)
        elif tag == "tr" and "data-channel" in found:
            self.row = found["data-channel"], found["data-predictor"]
        elif tag == "td" and self.row:
            self.cell = found.get("class", "").split(" ")[0]
        elif tag == "data" and self.row and self.cell:
            self.cells[(*self.row, self.cell)] = float(found["value"])


def test_the_report_shows_every_channel_and_its_scores(evaluation, demo_store, forecast, tmp_path):
    agenda = make_agenda(compare(demo_store.folder.url, forecast.folder.url))
    write_evaluation_report(evaluation, agenda, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    page = Page(text)
    assert list(page.articles) == [channel.name for channel in evaluation.channels]
    for channel in evaluation.channels:
        found = page.articles[channel.name]
        maps = [image["alt"] for image in found["img"] if image["alt"].startswith("Map of")]
        interpolated = INTERPOLATION in evaluation.predictors(channel)
        assert len(maps) == 2 * (1 + 2 * (4 + interpolated)) + 2 * (2 + interpolated)  # two cases, and mean errors
        assert len(found["path"]) >= len(evaluation.predictors(channel)) + 2 + 2
        for predictor in evaluation.predictors(channel):
            for score in ("mae", "rmse", "crps"):
                expected = evaluation.score(channel, predictor, score).value
                assert page.cells[channel.name, predictor, score] == pytest.approx(float(expected))
    assert "SYNTHETIC" in text and len(text) < 8e6
    assert text.count('name="case"') == 2 and 'class="contour" d="M' in text and 'href="#outline"' in text
    assert not re.search(r"(src|href)=\"(?!data:|#)", text)


def test_a_report_of_a_regression_alone(demo_store, tmp_path):
    sampler = ForecastSampler(
        trained_on(demo_store, diffusion=False),
        demo_store,
        Selection("test").samples(demo_store),
        SamplingSettings(0, (48, 64), 8),
    )
    alone = sampler.forecast(str(tmp_path / "mean"), "netcdf")
    alone.create()
    list(sampler.draw(alone, alone.header.parts))
    found = evaluate(demo_store.folder.url, str(tmp_path / "mean"))
    assert {MEAN, MEMBER, ENSEMBLE}.isdisjoint(found.predictors(found.channels[0]))
    assert {WHITE, SHAPED} < set(found.predictors(found.channels[0]))
    agenda = make_agenda(compare(demo_store.folder.url, str(tmp_path / "mean")))
    write_evaluation_report(found, agenda, tmp_path / "r.html")
    assert "0 members" in (tmp_path / "r.html").read_text()


def test_a_pressure_level_is_scored_above_the_ground_and_what_lies_below_is_counted(
    evaluation, demo_store, forecast, fields, monkeypatch
):
    """The small store's target has z_500 and the terrain's height, which is raised to above that here."""
    target, _, content = fields
    assert evaluation.left_out["z_500", BELOW_GROUND][0] == 0 and not left_out(evaluation)
    names = [each.variable for each in demo_store.recipe.static]
    raised = demo_store.static.copy()
    raised[names.index("orog"), :, :20] = 9000
    monkeypatch.setattr(Store, "static", property(lambda store: raised))
    found = evaluate(demo_store.folder.url, forecast.folder.url)
    below, pixels = found.left_out["z_500", BELOW_GROUND]
    assert (below, pixels) == (20 * target.sizes["lat"] * 2, target.z_500.size)
    assert left_out(found) == [f"z_500: {below:,.0f} of {pixels:,.0f} pixels lie below the ground and are not scored."]
    error = abs(content.z_500_regression - target.z_500)[..., 20:]
    assert found.score(channel_named(found, "z_500"), REGRESSION, "mae").value == pytest.approx(
        mean_of(error), rel=1e-5
    )
    spectrum = [each.tallies["z_500", REGRESSION].spectrum for each in (found, evaluation)]
    np.testing.assert_array_equal(*spectrum)


def test_errors_in_cells_are_those_of_their_pixels(evaluation, fields):
    target, _, content = fields
    mean, rmse = cell_maps(evaluation.cells["t2m", REGRESSION])
    side = -(-max(target.sizes["lat"], target.sizes["lon"]) // mean.shape[1])
    error = (content.t2m_regression - target.t2m).values.astype(float)
    for row, column in ((0, 0), (1, 3), (mean.shape[0] - 1, mean.shape[1] - 1)):
        inside = error[:, row * side : (row + 1) * side, column * side : (column + 1) * side]
        assert mean[row, column] == pytest.approx(inside.mean(), abs=1e-5)
        assert rmse[row, column] == pytest.approx(np.sqrt((inside**2).mean()), rel=1e-5)
    assert ("t2m", WHITE) not in evaluation.cells
