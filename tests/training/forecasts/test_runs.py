"""Forecasts drawn from a store of runs and lead times: what is chosen, its noise, its files."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.periods import parse_time
from corrstore.datasets.store.opening import Store
from corrstore.training.diffusion.noise import TemporalNoise, member_key, member_noise
from corrstore.training.diffusion.sampler import SamplerConfig
from corrstore.training.evaluation.evaluate import evaluate
from corrstore.training.forecasts.files import open_forecast
from corrstore.training.forecasts.forecast import ForecastSampler
from corrstore.training.forecasts.header import Part
from corrstore.training.forecasts.selection import Selection
from corrstore.training.forecasts.settings import SamplingSettings
from corrstore.training.learning.checkpoint import load_checkpoint
from corrstore.training.patches.features import Features
from tests.command import corrstore
from tests.forecast_store import INITS, store_of_runs
from tests.models import gain, trained_on

DRAWING = SamplingSettings(members=2, tile=(32, 40), overlap=12, seed=5, sampler=SamplerConfig(steps=3, sigma_max=20.0))
LATER = replace(DRAWING, temporal_noise=TemporalNoise.from_text("6h"))


@pytest.fixture(scope="module")
def runs(demo_store, tmp_path_factory):
    """The store of two runs."""
    return store_of_runs(demo_store, tmp_path_factory.mktemp("runs") / "store")


@pytest.fixture(scope="module")
def model(demo_store, runs):
    """A model of the training store, with the features of the runs."""
    known = trained_on(demo_store)
    fields = known.store["fingerprint_fields"]
    return replace(
        known, features=Features(runs, known.features.scales, fields=fields, extra=known.config.extra_features)
    )


def drawn(model, store, settings, selection=None):
    """The residuals of all members (sample, member, channel, lat, lon), as the model draws them."""
    samples = (selection or Selection()).samples(store)
    sampler = ForecastSampler(model, store, samples, settings)
    parts = [Part(time, member) for time in range(len(samples)) for member in (None, *range(settings.members))]
    fields = dict(sampler.drawn(parts))
    return np.array(
        [[fields[Part(t, m)] - fields[Part(t, None)] for m in range(settings.members)] for t in range(len(samples))]
    )


@pytest.mark.parametrize(
    ("selection", "labels"),
    [
        (Selection(), ["12+3", "12+6", "12+9", "12+12", "18+3", "18+9"]),
        (Selection(inits=["2020-06-01T18"]), ["18+3", "18+9"]),
        (Selection(leads=["3h", "6h"]), ["12+3", "12+6", "18+3"]),
        (Selection(inits=["2020-06-01T18"], leads=["540min"]), ["18+9"]),
        (Selection(times=["2020-06-01T21"]), ["12+9", "18+3"]),
        (Selection(period="2020-06-01T20/2020-06-02T01"), ["12+9", "12+12", "18+3"]),
    ],
)
def test_runs_leads_times_and_period_choose(runs, selection, labels):
    axes = runs.axes
    found = [
        f"{str(axes.init_times[i])[11:13]}+{axes.lead_times[i].astype(int) // 3600}" for i in selection.samples(runs)
    ]
    assert found == labels


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (
            Selection(inits=["2020-06-01T13"]),
            r"--init 2020-06-01T13:00Z is not there; it has 2, .* nearest are 2020-06-01T12:00Z, 2020-06-01T18:00Z",
        ),
        (Selection(leads=["4h"]), r"--lead 4h is not there; it has 4, from 3h to 12h; the nearest are 3h, 6h, 9h"),
        (
            Selection(times=["2020-06-03"]),
            r"--times 2020-06-03T00:00Z is not there; it has 5, from .* to 2020-06-02T03",
        ),
        (Selection(times=["tomorrow"]), r"--times: 'tomorrow' is not a UTC time"),
        (Selection(period="2021"), r"no sample of split all, period 2021; it has 6 valid ones, from .*12:00Z \+ 3h"),
        (Selection(inits=[INITS[1]], leads=["12h"]), r"no sample of split all, inits 2020-06-01T18, leads 12h"),
        (Selection(inits=[INITS[1]], leads=["6h"]), r"none of the 1 samples of .* is valid; `corrstore report`"),
        (Selection("test"), r"has no split 'test'; give all"),
    ],
)
def test_what_is_not_there_is_refused_with_what_there_is(runs, selection, message):
    with pytest.raises(BadInput, match=message):
        selection.samples(runs)


def test_a_store_of_valid_times_has_no_runs(demo_store):
    with pytest.raises(BadInput, match="valid times, not runs; leave out --init and --lead"):
        Selection(leads=["3h"]).samples(demo_store)
    assert len(Selection().samples(demo_store)) == len(Selection("test").samples(demo_store)) == 2
    assert list(Selection(times=["2020-06-01T03"]).samples(demo_store)) == [0]


def test_noise_is_of_seed_run_lead_and_member(model, runs, demo_store):
    residuals = drawn(model, runs, DRAWING, Selection(times=["2020-06-01T21"]))
    position = model.features.target_names.index("t2m")
    scale, std = model.residual_scale.std[position], demo_store.plan.normalisations["target"][position].std
    for sample, (init, _) in enumerate([("12", "9h"), ("18", "3h")]):
        key = member_key(parse_time("2020-06-01T21"), 1, DRAWING.seed, parse_time(f"2020-06-01T{init}"))
        noise = member_noise(key, 0, residuals.shape[2:]).numpy()[position]
        expected = noise * gain(DRAWING.sampler) * float(scale) / 0.5 + 0.05
        np.testing.assert_allclose(residuals[sample, 1, position] / std, expected, atol=2e-3)
    assert abs(np.corrcoef(residuals[0, 1, position].ravel(), residuals[1, 1, position].ravel())[0, 1]) < 0.1


def test_noise_is_correlated_along_the_leads_whatever_is_drawn(model, runs):
    """Residuals of the 4 leads of a run have the correlation exp(-gap / 6h), to 5 standard errors of 3072 pixels."""
    position = model.features.target_names.index("t2m")
    whole = drawn(model, runs, LATER, Selection(inits=INITS[:1]))
    found = np.corrcoef([each.ravel() for each in whole[:, 0, position]])
    gaps = np.abs(np.subtract.outer(np.arange(4), np.arange(4))) * 3
    np.testing.assert_allclose(found, np.exp(-gaps / 6), atol=5 / np.sqrt(3072))
    alone = drawn(model, runs, LATER, Selection(inits=INITS[:1], leads=["9h"]))
    np.testing.assert_array_equal(alone[0], whole[2])
    shared = drawn(
        model, runs, replace(LATER, temporal_noise=TemporalNoise.from_text("shared")), Selection(leads=["9h"])
    )
    first = drawn(model, runs, DRAWING, Selection(leads=["3h"]))
    np.testing.assert_allclose(shared[:, 0, position], first[:, 0, position], atol=1e-3)


@pytest.mark.parametrize("form", ["zarr", "netcdf"])
def test_a_forecast_of_runs_is_cf_and_goes_on_where_it_stopped(model, runs, tmp_path, form):
    sampler = ForecastSampler(model, runs, Selection().samples(runs), LATER)
    forecast = sampler.forecast(str(tmp_path / form), form)
    for wanted in (forecast.header.parts[:4], forecast.header.parts):
        forecast.create()
        list(sampler.draw(forecast, [part for part in wanted if not forecast.has(part)]))
    content = (
        xr.open_zarr(tmp_path / form, chunks=None)
        if form == "zarr"
        else xr.open_mfdataset(
            sorted((tmp_path / form).glob("*.nc")), combine="by_coords", join="outer", compat="no_conflicts"
        )
    )
    assert content.sizes == {"init_time": 2, "lead_time": 4, "realization": 2, "lat": 48, "lon": 64}
    assert content.t2m.dims == ("init_time", "lead_time", "realization", "lat", "lon")
    assert content.t2m_regression.dims == ("init_time", "lead_time", "lat", "lon")
    for name, standard_name in (
        ("init_time", "forecast_reference_time"),
        ("lead_time", "forecast_period"),
        ("valid_time", "time"),
        ("realization", "realization"),
    ):
        assert content[name].attrs["standard_name"] == standard_name
    assert content.valid_time.dims == ("init_time", "lead_time")
    assert content.lead_time.dtype.kind == "m" and content.tp.attrs["cell_methods"] == "time: sum (interval: 3h)"
    there = np.isfinite(content.t2m.isel(realization=1)).all(("lat", "lon")).values
    np.testing.assert_array_equal(there, (runs.axes.due & runs.valid).reshape(2, 4))
    valid_times = (content.init_time + content.lead_time).values
    np.testing.assert_array_equal(content.valid_time.values[there], valid_times[there])
    part = Part(5, 1)
    fields = dict(sampler.drawn([part]))[part]
    np.testing.assert_array_equal(
        content.refc.sel(init_time="2020-06-01T18", lead_time="9h", realization=1), fields[-1]
    )
    np.testing.assert_array_equal(open_forecast(str(tmp_path / form)).read(part, "refc"), fields[-1])
    assert content.attrs["title"] == "SYNTHETIC forecast from SYNTHETIC runs"
    assert content.attrs["corrstore_store_fingerprint"] == runs.fingerprint
    assert content.attrs["corrstore_store"] == runs.folder.url and content.attrs["corrstore_seed"] == "5"
    assert content.attrs["corrstore_temporal_noise"] == "6h" and "SYNTHETIC" in content.attrs["corrstore_synthetic"]


def test_a_forecast_of_runs_is_scored_against_a_store_with_truth(model, runs, demo_store, tmp_path):
    sampler = ForecastSampler(model, runs, Selection(leads=["9h", "12h"]).samples(runs), DRAWING)
    forecast = sampler.forecast(str(tmp_path / "forecast"), "zarr")
    forecast.create()
    list(sampler.draw(forecast, forecast.header.parts))
    found = evaluate(demo_store.folder.url, forecast.folder.url)
    assert [str(time)[:13] for time in found.times] == ["2020-06-01T21", "2020-06-02T00", "2020-06-02T03"]


def test_the_command_draws_chosen_runs_from_a_store_of_inputs(runs, run, tmp_path):
    words = ["sample", "--store", runs.folder.url, "--checkpoint", run, "--members", 1, "--steps", 2, "--threads", 1]
    chosen = ["--init", INITS[1], "--tile", 32, 40, "--temporal-noise", "12h", "--region", "103,31.5,103.5,32"]
    ended = corrstore(*words, *chosen, "--output", tmp_path / "forecast")
    assert ended.returncode == 0, ended.stderr
    assert "2 times (1 more are not valid), 1 members: 4 of 4 parts" in " ".join(ended.stderr.split())
    header = open_forecast(str(tmp_path / "forecast")).header
    assert header.lineage["checkpoint"] == str(run / "best.pt") and len(header.lineage["checkpoint_sha256"]) == 64
    assert header.target_grid.bounds == pytest.approx((31.51, 103.0, 31.99, 103.48), abs=0.02)


def test_a_store_without_input_is_refused(runs, run):
    recipe = {**runs.attributes["recipe"], "target": {**runs.attributes["recipe"]["input"]}}
    for key in ("halo", "regrid"):
        del recipe["target"][key]
    del recipe["input"]
    with pytest.raises(BadInput, match="has no input"):
        load_checkpoint(run, Store(runs.folder, {**runs.attributes, "recipe": recipe, "fingerprint": "none"}))
