"""Climatology, forecasts of a box of the domain, and times that a model was trained on."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.periods import Interval, format_time
from corrstore.datasets.statistics.histograms import physical_edges
from corrstore.datasets.storage.folder import Folder
from corrstore.training.evaluation.agenda import make_agenda
from corrstore.training.evaluation.evaluate import evaluate
from corrstore.training.evaluation.predictors.climatology import MEMBERS, Climatology
from corrstore.training.evaluation.predictors.comparison import compare
from corrstore.training.evaluation.predictors.names import CLIMATOLOGY, ENSEMBLE, INTERPOLATION, MEAN, REGRESSION
from corrstore.training.evaluation.predictors.regions import Region
from corrstore.training.forecasts.files import Forecast
from corrstore.training.forecasts.header import Header
from corrstore.training.learning.checkpoint import write_checkpoint
from tests.results import forecast_of


@pytest.mark.parametrize("name", ["t2m", "tp"])
def test_climatology_is_quantiles_of_the_train_split_at_that_hour(demo_store, name):
    train = demo_store.recipe.splits.intervals["train"]
    there = train.mask(demo_store.times) & demo_store.valid
    valid = demo_store.times[there][0] + np.timedelta64(10, "D")
    hours = demo_store.times.astype("datetime64[h]").astype(int) % 24
    same = np.flatnonzero(there & (hours == valid.astype("datetime64[h]").astype(int) % 24))
    place = demo_store.recipe.channel_names("target").index(name)
    values = np.sort(np.concatenate([demo_store.physical("target", int(k))[place].ravel() for k in same]))
    found = Climatology(demo_store).members(name, valid)
    shares = (np.arange(MEMBERS) + 0.5) / MEMBERS
    widest = np.diff(physical_edges(demo_store.recipe.channels["target"][place].variable)).min()
    np.testing.assert_allclose(found, np.quantile(values, shares, method="inverted_cdf"), rtol=0.03, atol=widest)
    if name == "tp":
        assert np.count_nonzero(found == 0) == np.count_nonzero(np.quantile(values, shares) < 0.02) > 0


def test_climatology_is_scored_and_without_a_train_split_refused(demo_store, tmp_path):
    forecast_of(demo_store, str(tmp_path / "forecast"), [11])
    found = evaluate(demo_store.folder.url, str(tmp_path / "forecast"), climatology=True)
    channel = found.channels[0]
    (index,) = np.flatnonzero(demo_store.times == found.times[0])
    truth = demo_store.physical("target", int(index))[0]
    members = Climatology(demo_store).members(channel.name, found.times[0]).astype(float)
    weights = np.cos(np.deg2rad(demo_store.grid("target").lat))[:, None] * np.ones(truth.shape)
    bias = found.score(channel, CLIMATOLOGY, "bias").value
    assert bias == pytest.approx(np.average(members.mean() - truth, weights=weights), abs=1e-4)
    with pytest.raises(BadInput, match="leave out climatology"):
        Climatology(demo_store).members("d2m", found.times[0])


def test_a_forecast_of_a_box_has_the_scores_of_that_region(demo_store, tmp_path):
    whole = forecast_of(demo_store, str(tmp_path / "whole"), [11, 12])
    grid = demo_store.grid("target")
    rows, columns = slice(4, 30), slice(10, 50)
    part = type(grid)(grid.lat[rows], grid.lon[columns])
    box = Forecast(Folder(str(tmp_path / "box")), Header(**{**whole.header.content, "grid": part.to_dict()}))
    box.create()
    for each in box.header.parts:
        box.write(each, np.stack([whole.read(each, name)[rows, columns] for name in whole.header.channels]))
    south, west, north, east = part.bounds
    url = demo_store.folder.url
    region = {"box": Region(box=(west, south, east, north))}
    baselines = {"other": str(tmp_path / "whole")}
    expected = {
        row[:7]: row.value
        for row in evaluate(url, str(tmp_path / "whole"), baselines=baselines, regions=region).grouped_rows
        if (row.region, row.lead, row.period) == ("box", "all", "all")
    }
    found = evaluate(url, str(tmp_path / "box"), baselines=baselines)
    compared = 0
    for row in found.rows:
        alike = row.predictor in (INTERPOLATION, REGRESSION, MEAN, ENSEMBLE, "other")
        if alike and row.score in ("mae", "rmse", "bias", "crps", "csi", "brier", "energy", "vector_rmse"):
            assert row.value == pytest.approx(expected[row[:7]], rel=1e-9, nan_ok=True), row
            compared += 1
    assert compared > 100 and found.domain.grid == part
    elsewhere = type(grid)(grid.lat[rows] + 0.013, grid.lon[columns])
    Forecast(Folder(str(tmp_path / "none")), Header(**{**whole.header.content, "grid": elsewhere.to_dict()})).create()
    with pytest.raises(BadInput, match="is no part; give the store of its grid"):
        make_agenda(compare(url, str(tmp_path / "none")))


def lineage(path, store, period):
    """The lineage of a forecast whose model was trained on this period, and its checkpoint."""
    known = {"url": store.folder.url, "fingerprint_fields": store.attributes["fingerprint_fields"]}
    write_checkpoint(path, {"config": {"period": period}, "store": known, "regression": None})
    return {"checkpoint": str(path), "checkpoint_sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def test_times_outside_the_period_of_a_training_may_be_judged_and_those_inside_not(demo_store, tmp_path):
    train = demo_store.recipe.splits.intervals["train"]
    index = int(np.flatnonzero(train.mask(demo_store.times) & demo_store.valid)[-1])
    url, late = str(tmp_path / "forecast"), demo_store.times[index]
    forecast = forecast_of(demo_store, url, [index])
    before = Interval(train.start, late - np.timedelta64(6, "h"))
    for period, refused in ((None, True), (Interval(late, train.end), True), (before, False)):
        period = period and f"{format_time(period.start)}/{format_time(period.end)}"
        header = {**forecast.header.content, "lineage": lineage(tmp_path / "run.pt", demo_store, period)}
        (tmp_path / "forecast" / "forecast.json").write_text(json.dumps(header))
        agenda = compare(demo_store.folder.url, url)
        if refused:
            with pytest.raises(BadInput, match="1 of 1 truth times lie in"):
                make_agenda(agenda)
            assert "say nothing about new weather" in make_agenda(agenda, allow_training=True).marked
        else:
            assert make_agenda(agenda).marked == ""
