"""Stores of forecasts: runs and lead times as axes, every number of its own run, later runs appended."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from corrstore.beam_pipelines.build import build
from corrstore.beam_pipelines.plan import plan
from corrstore.beam_pipelines.spreading.spread import Runner
from corrstore.beam_pipelines.verify import verify
from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.files import load_recipe
from corrstore.datasets.recipe.recipe import recipe_from
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.constants import storage_error
from corrstore.datasets.store.ledger import SAMPLES, STATISTICS
from corrstore.datasets.store.opening import Store, open_store
from corrstore.training.patches.loader import Loader
from corrstore.training.patches.patches import Patch, PatchOrder
from tests.conftest import QUIET, build_in_process
from tests.digests import digest
from tests.forecasts_made import RUNS, forecast_content, six_hours, truth, write_sff

RUN_NAMES = [str(run)[:13] for run in RUNS]


def assert_equals(store: Store, fields: xr.Dataset, samples: list[int]) -> None:
    """Every number of these samples is that of their own run and lead, read from the truth alone."""
    box = {"lat": slice(33, 31), "lon": slice(101, 104)}
    fields = fields.assign(tp=six_hours(fields)).sel(box).isel(member=0)
    for index in samples:
        one = fields.sel(init=store.axes.init_times[index], lead=store.axes.lead_times[index])
        wanted = [one.t2m.values, one.tp.values, one.z.sel(level=500).values, one.t.sel(level=850).values]
        for role in ("input", "target"):
            for channel, found, numbers in zip(
                store.plan.channels(role), store.physical(role, index), wanted, strict=True
            ):
                error = 2 * storage_error(store.recipe, channel) + 2e-6 * np.abs(numbers).max()
                np.testing.assert_allclose(found, numbers, atol=error, rtol=0, err_msg=f"{channel.name} {index}")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> tuple[Path, xr.Dataset]:
    """Four runs in files, the third of which ends at lead 15 h."""
    folder, fields = tmp_path_factory.mktemp("runs") / "sff", truth()
    write_sff(folder, fields)
    short = folder / f"{RUN_NAMES[2]}.nc"
    xr.load_dataset(short).sel(lead_time=slice(0, 15)).to_netcdf(short)
    return folder, fields


@pytest.fixture(scope="module")
def store(runs, tmp_path_factory) -> Store:
    """The store of the first three runs; do not change it."""
    folder = tmp_path_factory.mktemp("store") / "store"
    result = build_in_process(recipe_from(forecast_content(runs[0], max_missing_share=0.5)), folder)
    assert (result.report.samples, result.report.valid, result.report.missing) == (12, 10, 2)
    return open_store(str(folder))


def test_every_number_is_that_of_its_own_run_and_what_the_run_lacks_is_missing(store, runs):
    assert_equals(store, runs[1], [int(index) for index in np.flatnonzero(store.valid)])
    assert [store.axes.label(index) for index in np.flatnonzero(~store.valid)] == [
        "2020-06-02T00:00Z + 18h",
        "2020-06-02T00:00Z + 24h",
    ]
    reasons = store.table(SAMPLES).to_pylist()[-1]["reasons"]
    lacks = "input tp: runs holds no tp over 6h at 2020-06-03T00:00Z in the run of 2020-06-02T00:00Z"
    assert lacks in reasons
    assert verify(store, Runner(workers=1), QUIET, against_source=3).passed


def test_xarray_opens_it_with_runs_and_leads_as_axes(store):
    group = xr.open_zarr(store.folder.path(), chunks={})
    assert group.input.dims[:2] == group.target.dims[:2] == group.valid.dims == ("init_time", "lead_time")
    assert list(group.init_time.values) == list(RUNS[:3])
    assert group.lead_time.dtype.kind == "m" and list(group.expected_lead_times.values) == [4, 4, 4]
    assert (group.valid_time == group.init_time + group.lead_time).all()
    assert group.init_time.attrs["standard_name"] == "forecast_reference_time"
    physical = store.dataset("target", ["t2m"])
    assert physical.t2m.dims == ("init_time", "lead_time", "lat", "lon")
    place = {"init_time": "2020-06-01T18", "lead_time": "12h"}
    np.testing.assert_allclose(physical.t2m.sel(place), store.physical("target", 5)[0], rtol=1e-6)
    np.testing.assert_array_equal(group.target.sel(place), store.stored("target", 5))


def test_loaders_that_know_other_archives_select_runs_and_leads_by_the_names_that_they_know(store):
    """WeatherBench-X selects arrays of init_time and lead_time, dynamical.org's users one of each or a valid_time."""
    inits, leads = RUNS[:2], np.array([6, 12], "m8[h]")
    for opened in (xr.open_zarr(store.folder.path(), chunks={}), store.dataset("target", ["t2m"])):
        assert {"init_time", "lead_time", "valid_time", "lat", "lon"} <= set(opened.coords)
        chunk = opened.rename(lat="latitude", lon="longitude").sel(init_time=inits, lead_time=leads)
        assert chunk.sizes["init_time"] == chunk.sizes["lead_time"] == 2 and "latitude" in chunk.dims
        np.testing.assert_array_equal(chunk.valid_time.values, inits[:, None] + leads)
    one = chunk.t2m.isel(init_time=1, lead_time=0)
    np.testing.assert_allclose(one, store.physical("target", 4)[0], rtol=1e-6)
    same_time = store.dataset("target", ["t2m"]).t2m.stack(run=("init_time", "lead_time"))
    assert (same_time.valid_time == np.datetime64("2020-06-02T12")).sum() == 3


def test_patches_of_forecasts_are_loaded_as_they_are_stored(store):
    order = PatchOrder(np.flatnonzero(store.valid), Patch(0, 0, 5, 7), Patch(0, 0, 4, 4), 1, 0)
    (batch,) = Loader(store, order).batches([(0, 10)])
    assert sorted(draw.sample for draw in batch.draws) == list(range(10))
    for draw, patch in zip(batch.draws, batch.target.numpy(), strict=True):
        stored = store.stored("target", draw.sample)
        np.testing.assert_array_equal(patch, stored[:, *draw.patch.slices])


def test_the_tables_of_the_ledger_have_the_run(store):
    statistics = store.table(STATISTICS).to_pandas()
    of_run = statistics[(statistics.role == "input") & (statistics.channel == "t2m")]
    assert list(of_run.init_time) == list(np.repeat(RUNS[:3].astype("M8[s]"), 4))
    assert list(store.table(SAMPLES)["init_time"].to_numpy()) == list(np.repeat(RUNS[:3], 4))


def test_later_runs_are_appended_and_the_bytes_are_those_of_one_build(runs, tmp_path):
    two = forecast_content(runs[0], inits=RUN_NAMES[:2])
    build_in_process(recipe_from(two), tmp_path / "store")
    first = (tmp_path / "store" / "target" / "c" / "0" / "0" / "0" / "0" / "0").read_bytes()
    assert build_in_process(recipe_from(two), tmp_path / "store").written == 0
    all_four = forecast_content(runs[0], inits=[*RUN_NAMES[:2], RUN_NAMES[3]])
    assert build_in_process(recipe_from(all_four), tmp_path / "store").written == 4
    assert (tmp_path / "store" / "target" / "c" / "0" / "0" / "0" / "0" / "0").read_bytes() == first
    build_in_process(recipe_from(all_four), tmp_path / "at once")
    assert digest(tmp_path / "at once") == digest(tmp_path / "store")
    later = {"train": {"start": "2020-06-02T12", "end": "2020-06-02T18"}}
    with pytest.raises(BadInput, match=r"forecast\.inits: \['2020-06-01T12:00Z', .* in the store, \['2020-06-02T06"):
        build_in_process(recipe_from(forecast_content(runs[0], inits=RUN_NAMES[3:], splits=later)), tmp_path / "store")


def test_a_list_or_a_period_in_place_of_a_schedule_is_refused_with_the_difference(store, runs):
    listed = forecast_content(runs[0], inits=RUN_NAMES[:3])
    period = forecast_content(runs[0], period={"start": "2020-06-01T18", "end": "2020-06-02T18", "frequency": "6h"})
    del period["forecast"]
    for content in (listed, period):
        with pytest.raises(BadInput, match=r"forecast.inits.end: '2020-06-02T06:00Z' in the store, None in the recipe"):
            build_in_process(recipe_from(content), Path(store.folder.url))


def test_runs_that_the_archive_lacks_are_named_beside_those_that_it_has(runs):
    train = {"start": "2020-06-01T21", "end": "2020-06-02T12"}
    with pytest.raises(BadInput, match=r"runs of 2020-06-01T15:00Z, but sources.runs, .* those of 2020-06-01T12:00Z, "):
        plan(recipe_from(forecast_content(runs[0], inits=["2020-06-01T15"], splits={"train": train})))


@pytest.mark.slow
def test_two_worker_processes_give_the_same_bytes(store, runs, tmp_path):
    recipe = recipe_from(forecast_content(runs[0], max_missing_share=0.5))
    build(recipe, Folder(str(tmp_path / "store")), Runner(workers=2), QUIET)
    assert digest(tmp_path / "store") == digest(Path(store.folder.url))


def test_leads_that_a_run_does_not_have_by_schedule_are_not_due(runs, tmp_path):
    shorter = forecast_content(runs[0])
    shorter["forecast"]["leads"]["last"] = {12: "24h", 18: "24h", 0: "12h"}
    recipe = recipe_from(shorter)
    assert len(recipe.axes.due_samples) == 10
    assert build_in_process(recipe, tmp_path / "store").report.valid == 10
    store = open_store(str(tmp_path / "store"))
    group = xr.open_zarr(store.folder.path(), chunks={})
    assert list(group.expected_lead_times.values) == [4, 4, 2]
    assert not (tmp_path / "store" / "input" / "c" / "2" / "2").exists()
    with pytest.raises(BadInput, match=r"2020-06-02T00:00Z \+ 18h\) of .* is not due"):
        store.stored("input", 10, allow_invalid=True)
    assert np.isnan(store.dataset("input").t2m[2, 2:].values).all()
    assert verify(store, Runner(workers=1), QUIET).passed


def test_a_store_of_inputs_alone_is_like_a_training_store(runs, store, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(
        f"name: inputs\nlike: {store.folder.url}\ninput: {{source: runs}}\n"
        "forecast: {inits: [2020-06-02T06], leads: {first: 6h, last: 12h}}\n"
        f"sources: {{runs: {{type: sff, path: {runs[0]}}}}}\n"
    )
    recipe = load_recipe(str(path))
    build_in_process(recipe, tmp_path / "inputs")
    inputs = open_store(str(tmp_path / "inputs"))
    assert inputs.roles == ("input",) and inputs.recipe.input.halo == 0 and inputs.recipe.window == "6h"
    ours, theirs = (each.attributes["fingerprint_fields"] for each in (inputs, store))
    assert ours["input"] == theirs["input"] and ours["target"] == {"grid": theirs["target"]["grid"]}
    assert ours["window"] == theirs["window"] and ours["dtype"] == theirs["dtype"]
    assert not (tmp_path / "inputs" / "target").exists()
    fields = runs[1].sel(init=RUNS[3], lead=np.timedelta64(6, "h")).isel(member=0)
    wanted = fields.t2m.sel(lat=slice(33, 31), lon=slice(101, 104)).values
    np.testing.assert_allclose(inputs.physical("input", 0)[0], wanted, atol=1e-3)
    with pytest.raises(BadInput, match=r"role: got 'target', expected one of input"):
        inputs.stored("target", 0)
    for key, value, said in (
        ("input.halo", "3", "3, but 0"),
        ("floors", "{tp: 0}", r"{'tp': 0}, but {}"),
        ("caps", "{tp: 3}", r"{'tp': 3}, but {}"),
        ("transforms", "{tp: sqrt}", r"{'tp': 'sqrt'}, but {}"),
        ("normalisation.constants_from", "other", "'other', but `like` takes the constants of"),
    ):
        with pytest.raises(BadInput, match=rf"{key} is {said} (in )?.*store.*; remove {key}"):
            load_recipe(str(path), [f"{key}={value}"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"period": {"start": "2020-06-01", "end": "2020-06-02"}}, r"expected one of period .* got both"),
        ({"forecast": None}, r"got neither"),
        ({"input": None, "target": None}, r"input and target are missing"),
        ({"splits": {}}, r"splits.train: is missing"),
        ({"inits": ["2020-06-02", "2020-06-01"]}, r"inits: 2020-06-01T00:00Z follows 2020-06-02T00:00Z"),
        ({"inits": ["2020-06-02", "2020-06-02"]}, r"inits: 2020-06-02T00:00Z follows 2020-06-02T00:00Z; write each"),
        ({"inits": {"start": "2020-06-01T01", "end": "2020-06-01T05", "hours": [6]}}, r"no.*2020-06-01T05.*\[6\]"),
        ({"inits": {"start": "2020-06-01", "end": "2020-06-02", "hours": [True]}}, r"inits.hours.0: .* true"),
        ({"leads": {"first": 6, "last": "12h"}}, r"leads.first: 6 has no unit; write 6h"),
        ({"leads": {"first": "6h", "last": {}}}, r"leads.last: expected at least 1"),
        ({"leads": {"first": "6h", "last": "999990h"}}, r"leads.last is 999990h, expected at most 87840h"),
        ({"inits": {"start": "2020-06-01", "end": "2020-06-02", "hours": []}}, r"inits.hours: expected at least 1"),
        ({"leads": {"first": "6h", "last": "13h"}}, r"leads: leads.last 13h is not leads.first 6h and a multiple"),
        ({"leads": {"first": "6h", "last": {0: "12h"}}}, r"leads.last names the runs of \[0\] UTC, but .* of 12 UTC"),
        ({"sources": {"runs": {"type": "sff", "path": "x", "lead": {"to": "6h"}}}}, r"sources.runs.lead chooses runs"),
    ],
)
def test_what_contradicts_itself_is_refused(changes, message):
    written = forecast_content(Path("unused"))
    for key in ("inits", "leads"):
        if key in changes:
            written["forecast"][key] = changes.pop(key)
    with pytest.raises(BadInput, match=message):
        recipe_from({**written, **changes})
