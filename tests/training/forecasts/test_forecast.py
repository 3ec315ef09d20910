"""Forecasts: what is drawn, in closed form; how it is written, shared, stopped and continued."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
import xarray as xr
from typer.testing import CliRunner

from corrstore.command_line import app
from corrstore.datasets.errors import BadInput, DamagedData, OutOfResources
from corrstore.datasets.grids.regrid import regridder
from corrstore.datasets.recipe.recipe import recipe_from
from corrstore.datasets.store.opening import open_store
from corrstore.training.diffusion.noise import member_key, member_noise
from corrstore.training.diffusion.sampler import SamplerConfig
from corrstore.training.forecasts.files import open_forecast
from corrstore.training.forecasts.forecast import ForecastSampler, parts_of_process
from corrstore.training.forecasts.header import Part
from corrstore.training.forecasts.selection import Selection, region_patch
from corrstore.training.forecasts.settings import SamplingSettings, tile_size
from corrstore.training.learning.checkpoint import load_checkpoint
from tests.command import corrstore
from tests.conftest import brief_content, build_in_process, small_recipe_content
from tests.digests import digest
from tests.full_disk import no_file_larger_than
from tests.models import floor_error, gain, trained_on

DRAWING = SamplingSettings(members=2, tile=(32, 40), overlap=12, seed=5, sampler=SamplerConfig(steps=3, sigma_max=20.0))


@pytest.fixture(scope="module")
def samples(demo_store):
    """The samples of the test split."""
    return np.flatnonzero(demo_store.recipe.splits.intervals["test"].mask(demo_store.times))


@pytest.fixture(scope="module")
def sampler(demo_store, samples):
    """Return a sampler of models that add nothing to what they must add."""
    return ForecastSampler(trained_on(demo_store), demo_store, samples, DRAWING)


@pytest.fixture(scope="module")
def stirred(demo_store, samples):
    """Return a sampler of models whose networks add something."""
    return ForecastSampler(trained_on(demo_store, stirred=True), demo_store, samples, DRAWING)


def drawn_one(sampler, part):
    """The fields of one part."""
    return dict(sampler.drawn([part]))[part]


def written(sampler, folder, form="zarr", parts=None):
    """The forecast, with all its parts, or these."""
    forecast = sampler.forecast(str(folder), form)
    forecast.create()
    list(sampler.draw(forecast, forecast.header.parts if parts is None else parts))
    return forecast


def test_the_mean_of_an_untrained_regression_is_interpolation(sampler, demo_store, samples):
    fields = drawn_one(sampler, Part(1, None))
    physical = demo_store.physical("input", samples[1]).astype(np.float32)
    upsampled = regridder(demo_store.grid("input"), demo_store.grid("target"))(physical)
    for position, name in enumerate(demo_store.recipe.target.channels):
        if name in demo_store.recipe.input.channels:
            expected = upsampled[demo_store.recipe.input.channels.index(name)]
            spread = demo_store.plan.normalisations["target"][position].std
            tolerance = 2e-4 * spread + floor_error(demo_store, "target", position)
            np.testing.assert_allclose(fields[position], expected, atol=tolerance, rtol=2e-6)


def test_members_are_the_mean_and_white_noise_of_the_residuals_size(sampler, demo_store, samples):
    """One noise field over all tiles: the residual is that of the key's, pixel by pixel, times the sampler's gain."""
    mean, member = (drawn_one(sampler, Part(0, which)) for which in (None, 1))
    scale = sampler.trained.residual_scale
    noise = member_noise(member_key(demo_store.times[samples[0]], 1, DRAWING.seed), 0, mean.shape).numpy()
    for position, normalisation in enumerate(demo_store.plan.normalisations["target"]):
        if normalisation.transform.name == "identity" and demo_store.recipe.target.channels[position] != "refc":
            residual = (member - mean)[position] / normalisation.std
            expected = noise[position] * gain(DRAWING.sampler) * float(scale.std[position]) / 0.5 + 0.05
            np.testing.assert_allclose(residual, expected, atol=2e-3)


def test_a_part_is_the_same_drawn_alone_and_differs_from_all_others(stirred):
    parts = [Part(0, None), Part(0, 0), Part(0, 1), Part(1, 1)]
    together = dict(stirred.drawn(parts))
    for part in parts:
        np.testing.assert_array_equal(drawn_one(stirred, part), together[part])
    for part, other in pairwise(parts):
        assert np.abs(together[part] - together[other]).max() > 0.01


def test_a_region_is_that_part_of_the_whole_drawn_by_the_tiles_around(stirred, demo_store, samples):
    """The mean is the same; a member differs by less than a thousandth of its residual."""
    narrow = replace(DRAWING, tile=(16, 16), overlap=4)
    box = region_patch("102.7,31.4,102.8,32", demo_store.grid("target"))
    whole, part = (
        ForecastSampler(stirred.trained, demo_store, samples, replace(narrow, region=region)) for region in (None, box)
    )
    assert (len(part.tiling.tiles), len(whole.tiling.tiles)) == (8, 20)
    grid = part.forecast("none", "zarr").header.target_grid
    assert grid.bounds == pytest.approx((31.415, 102.715, 31.985, 102.785), abs=0.0151)
    for member in (None, 1):
        ours, theirs = drawn_one(part, Part(0, member)), box.crop(drawn_one(whole, Part(0, member)))
        assert ours.shape == (6, *grid.shape)
        if member is None:
            np.testing.assert_array_equal(ours, theirs)
        else:
            residual = (theirs - box.crop(drawn_one(whole, Part(0, None)))).std(axis=(1, 2))
            assert (np.abs(ours - theirs).max(axis=(1, 2)) < 1e-3 * residual).all()


def test_numbers_are_raised_to_the_recipes_floors(sampler, demo_store):
    fields = drawn_one(sampler, Part(0, 0))
    for name, floor in demo_store.recipe.floors.items():
        field = fields[demo_store.recipe.target.channels.index(name)]
        assert field.min() == floor and (field > floor).any()


@pytest.mark.parametrize("form", ["zarr", "netcdf"])
def test_a_forecast_is_cf_in_physical_units(stirred, demo_store, samples, tmp_path, form):
    folder = tmp_path / form
    forecast = written(stirred, folder, form)
    content = (
        xr.open_zarr(folder, chunks=None)
        if form == "zarr"
        else xr.open_mfdataset(sorted(folder.glob("*.nc")), combine="by_coords", join="outer")
    )
    assert content.attrs["Conventions"] == "CF-1.11"
    assert content.sizes == {"time": len(samples), "realization": 2, "lat": 48, "lon": 64}
    np.testing.assert_array_equal(content.time.values, demo_store.times[samples])
    np.testing.assert_array_equal(content.lat.values, demo_store.grid("target").lat)
    assert content.realization.attrs["standard_name"] == "realization"
    assert content.time.attrs["standard_name"] == "time"
    assert (content.t2m.attrs["standard_name"], content.t2m.attrs["units"]) == ("air_temperature", "K")
    assert content.tp.attrs["cell_methods"] == "time: sum (interval: 3h)"
    assert content.t2m_regression.dims == ("time", "lat", "lon")
    member = drawn_one(stirred, Part(1, 1))
    for position, name in enumerate(demo_store.recipe.target.channels):
        np.testing.assert_array_equal(content[name].isel(time=1, realization=1), member[position])
        np.testing.assert_array_equal(open_forecast(str(folder)).read(Part(1, 1), name), member[position])
        assert np.isfinite(content[name]).all()
    assert all(forecast.has(part) for part in forecast.header.parts)


@pytest.mark.parametrize("form", ["zarr", "netcdf"])
def test_a_forecast_goes_on_where_it_stopped(stirred, tmp_path, form):
    whole = written(stirred, tmp_path / "whole", form)
    parts = whole.header.parts
    stopped = written(stirred, tmp_path / "stopped", form, parts[:2])
    assert [stopped.has(part) for part in parts] == [True, True] + [False] * (len(parts) - 2)
    continued = stirred.forecast(str(tmp_path / "stopped"), form)
    continued.create()
    missing = [part for part in parts if not continued.has(part)]
    assert list(stirred.draw(continued, missing)) == parts[2:]
    if form == "zarr":
        assert digest(tmp_path / "stopped") == digest(tmp_path / "whole")
    for part in parts:
        np.testing.assert_array_equal(continued.read(part, "t2m"), whole.read(part, "t2m"))


def test_a_part_stopped_between_two_fields_is_not_there(stirred, tmp_path):
    forecast = written(stirred, tmp_path / "cut", parts=[Part(0, None), Part(0, 0)])
    (tmp_path / "cut" / "refc" / "c" / "0" / "0" / "0" / "0").unlink()
    assert forecast.has(Part(0, None)) and not forecast.has(Part(0, 0))


def test_processes_share_the_parts_and_write_what_one_would(stirred, tmp_path):
    alone = written(stirred, tmp_path / "alone")
    parts = alone.header.parts
    shares = [parts_of_process(parts, rank, 4) for rank in range(4)]
    assert [part for share in shares for part in share] == parts
    assert {len(share) for share in shares} <= {len(parts) // 4, len(parts) // 4 + 1}
    for share in reversed(shares):
        written(stirred, tmp_path / "shared", parts=share)
    assert digest(tmp_path / "shared") == digest(tmp_path / "alone")


def test_another_forecast_is_not_mixed_in(stirred, demo_store, samples, tmp_path):
    written(stirred, tmp_path / "first", parts=[])
    other = ForecastSampler(stirred.trained, demo_store, samples[:1], SamplingSettings(2, (32, 40), 12, seed=6))
    with pytest.raises(BadInput) as error:
        other.forecast(str(tmp_path / "first"), "zarr").create()
    assert all(f"  {key}:" in str(error.value) for key in ("seed", "sampler", "times"))
    assert "  tile:" not in str(error.value)


def test_a_forecast_without_members_holds_the_mean_alone(demo_store, samples, tmp_path):
    regression = trained_on(demo_store, diffusion=False)
    with pytest.raises(BadInput, match="0 members"):
        ForecastSampler(regression, demo_store, samples, DRAWING)
    alone = ForecastSampler(regression, demo_store, samples, SamplingSettings(0, (32, 40), 12))
    written(alone, tmp_path / "mean")
    assert set(xr.open_zarr(tmp_path / "mean").data_vars) == {
        f"{name}_regression" for name in demo_store.recipe.target.channels
    }


def test_numbers_that_are_not_finite_are_refused(demo_store, samples):
    broken = trained_on(demo_store)
    torch.nn.init.constant_(broken.regression.network.last.bias, torch.nan)
    with pytest.raises(BadInput, match="not finite"):
        drawn_one(ForecastSampler(broken, demo_store, samples, DRAWING), Part(0, None))


def test_the_tile_is_the_trainings_patch_as_far_as_there_is_empty(sampler):
    assert tile_size(sampler.trained) == (32, 32)
    assert tile_size(sampler.trained, (48, 56)) == (48, 56)
    for wrong in ((20, 32), (56, 32), (0, 8)):
        with pytest.raises(BadInput, match="multiples of 8"):
            tile_size(sampler.trained, wrong)


def test_no_forecast_is_told_from_one(tmp_path):
    with pytest.raises(BadInput, match=r"no forecast at .* forecast\.json"):
        open_forecast(str(tmp_path))


def test_processes_that_torchrun_started_finish_one_forecast_that_is_scored(demo_store, run, tmp_path, monkeypatch):
    def command(*arguments):
        found = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
        assert found.exit_code == 0, found.output
        return found.output

    store, output = demo_store.folder.url, tmp_path / "forecast"
    drawing = ["--members", 2, "--steps", 2, "--tile", 32, 40, "--threads", 1]
    shared = ["sample", "--store", store, "--checkpoint", run, "--output", output, *drawing]
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, there, said in (("1", 3, ""), ("0", 6, "3 of 6 parts to sample in process 0 of 2")):
        monkeypatch.setenv("RANK", rank)
        assert said in command(*shared)
        forecast = open_forecast(str(output))
        assert sum(map(forecast.has, forecast.header.parts)) == there
    monkeypatch.delenv("WORLD_SIZE")
    monkeypatch.delenv("RANK")
    monkeypatch.setenv("COLUMNS", "120")
    before = digest(output)
    notices = command(*shared)
    assert "0 of 6 parts" in notices
    assert "seams of tiles may show in t2m" in notices
    assert digest(output) == before
    table = command("evaluate", "--truth", store, "--forecast", output, "--output", tmp_path / "evaluation")
    assert "CorrDiff ensemble" in table
    assert sorted(path.name for path in (tmp_path / "evaluation").iterdir()) == [
        *("evaluation.json", "records", "report.html", "scores.csv", "scores.parquet")
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split", "none"], "none"),
        (["--tile", "20", "32"], "multiples of 8"),
        (["--sigma-min", "3", "--sigma-max", "2"], "sigma_min"),
        (["--device", "abacus"], "abacus"),
        (["--overlap", "40"], "overlap"),
        (["--lead", "3h"], "valid times, not runs"),
        (["--temporal-noise", "often"], "write independent, shared, or the time"),
        (["--region", "100,20,120,40"], "beyond the domain, which is 102.49,31.3,104.38,32.71"),
        (["--region", "103,31.501,103.01,31.502"], "between the points of the grid"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_message(demo_store, run, tmp_path, arguments, message):
    shared = ["sample", "--store", demo_store.folder.url, "--checkpoint", str(run), "--output", str(tmp_path / "f")]
    found = CliRunner().invoke(app, [*shared, "--threads", "1", *arguments])
    assert found.exit_code and message in str(found.exception) + found.output
    assert not (tmp_path / "f").exists()


def later_store(archive, folder, **normalisation):
    """A store of the last hours alone, which the model has not seen."""
    content = small_recipe_content(archive)
    content["period"]["start"] = "2020-06-02T09"
    content["splits"] = {
        "train": {"start": "2020-06-02T09", "end": "2020-06-02T15"},
        "test": {"start": "2020-06-02T18", "end": content["period"]["end"]},
        "embargo": "3h",
    }
    build_in_process(recipe_from({**content, "normalisation": normalisation}), folder)
    return open_store(str(folder))


def test_a_store_of_the_same_constants_is_drawn_from_and_another_is_refused(archive, demo_store, run, tmp_path):
    same = later_store(archive, tmp_path / "same", constants_from=demo_store.folder.url)
    last = [np.flatnonzero(store.times == same.times[-1]) for store in (same, demo_store)]
    ours, theirs = (
        drawn_one(ForecastSampler(load_checkpoint(run, store), store, index, DRAWING), Part(0, 1))
        for store, index in zip((same, demo_store), last, strict=True)
    )
    np.testing.assert_array_equal(ours, theirs)
    other = later_store(archive, tmp_path / "other")
    with pytest.raises(BadInput, match=r"target\.normalisation"):
        load_checkpoint(run, other)


def test_stopped_sampling_ends_with_75_and_keeps_its_parts(demo_store, run, tmp_path):
    output = tmp_path / "forecast"
    words = ["sample", "--store", demo_store.folder.path(), "--checkpoint", run, "--output", output, "--threads", 1]

    def send_signal_after_the_first_part():
        while not over.is_set() and not (output / "refc_regression" / "c" / "0" / "0" / "0").exists():
            time.sleep(0.005)
        if not over.is_set():
            os.kill(os.getpid(), signal.SIGTERM)

    over = threading.Event()
    sender = threading.Thread(target=send_signal_after_the_first_part, daemon=True)
    before = signal.signal(signal.SIGTERM, lambda *_: None)  # where it comes too late
    try:
        sender.start()
        ended = corrstore(*words, "--members", 8, "--steps", 400)
    finally:
        over.set()
        sender.join()
        signal.signal(signal.SIGTERM, before)
    assert ended.returncode == 75
    assert ended.stderr.splitlines()[-1] == "corrstore: stopped by SIGTERM; the same command continues"
    forecast = open_forecast(str(output))
    assert 1 <= sum(map(forecast.has, forecast.header.parts)) < len(forecast.header.parts)


@pytest.mark.parametrize("form", ["zarr", "netcdf"])
def test_a_full_disk_ends_sampling_with_75(stirred, tmp_path, form):
    forecast = stirred.forecast(str(tmp_path / form), form)
    forecast.create()
    with no_file_larger_than(4_000), pytest.raises(OutOfResources, match=f"cannot write .*{form}"):
        list(stirred.draw(forecast, forecast.header.parts[:1]))
    assert not forecast.has(forecast.header.parts[0])


def test_a_store_with_a_train_split_alone_names_it(archive, tmp_path):
    build_in_process(recipe_from(brief_content(archive)), tmp_path / "store")
    with pytest.raises(BadInput, match="has no split 'test'; give one of train, or all"):
        Selection("test").samples(open_store(str(tmp_path / "store")))


@pytest.fixture
def whole(sampler, tmp_path):
    """A forecast of two parts in Zarr, and its digest."""
    forecast = written(sampler, tmp_path / "forecast", parts=[Part(0, None), Part(0, 1)])
    return forecast, digest(tmp_path / "forecast")


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def replace_by_a_folder(path):
    path.unlink()
    path.mkdir()


def test_a_damaged_part_of_a_forecast_is_drawn_anew(sampler, whole, tmp_path):
    (forecast, before), part = whole, Part(0, 1)
    chunk = tmp_path / "forecast" / "t2m/c/0/1/0/0"
    for damage in (flip, type(chunk).unlink, replace_by_a_folder):
        damage(chunk)
        with pytest.raises(
            DamagedData, match=r"t2m of .*_001 is damaged .* last channel's refc/c/0/1/0/0, and give the same"
        ):
            open_forecast(forecast.folder.url).read(part, "t2m")
        if chunk.is_dir():
            chunk.rmdir()
        (tmp_path / "forecast" / "refc/c/0/1/0/0").unlink()
        written(sampler, tmp_path / "forecast", parts=[part])
        assert digest(tmp_path / "forecast") == before


@pytest.mark.parametrize("key", ["zarr.json", "lat/c/0", "forecast.json"])
def test_damaged_metadata_of_a_forecast_is_written_anew(sampler, whole, tmp_path, key):
    (forecast, before), path = whole, tmp_path / "forecast" / key
    flip(path)
    if key != "lat/c/0":
        with pytest.raises(DamagedData, match=rf"{key} is damaged .*give the same `corrstore sample` again"):
            open_forecast(forecast.folder.url).read(Part(0, 1), "t2m")
    if key == "forecast.json":
        path.unlink()
        with pytest.raises(BadInput, match="holds parts of another forecast"):
            replace(sampler, sampling=replace(DRAWING, seed=6)).forecast(forecast.folder.url, "zarr").create()
    sampler.forecast(forecast.folder.url, "zarr").create()
    assert digest(tmp_path / "forecast") == before


def test_a_header_that_is_a_link_to_nothing_is_damage_that_can_be_healed(tmp_path):
    with pytest.raises(BadInput, match="no forecast at"):
        open_forecast(str(tmp_path))
    (tmp_path / "forecast.json").symlink_to(tmp_path / "nothing")
    with pytest.raises(
        DamagedData, match=r"forecast.json is damaged .*remove it, and give the same `corrstore sample`"
    ):
        open_forecast(str(tmp_path))
