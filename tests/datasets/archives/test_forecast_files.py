"""Forecasts in NetCDF and Zarr: stores that equal them, and what a table must say of their dimensions."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml

from corrstore.datasets.archives.inventory import take_inventory
from corrstore.datasets.archives.references import FieldReference
from corrstore.datasets.archives.table import load_table
from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.periods import Interval, parse_time
from corrstore.datasets.recipe.recipe import recipe_from
from corrstore.datasets.recipe.source import SourceSpec
from corrstore.datasets.samples.reading import read_reference
from corrstore.datasets.store.constants import storage_error
from corrstore.datasets.store.opening import open_store
from corrstore.datasets.variables.channels import channel_named
from tests.conftest import build_in_process
from tests.forecasts_made import (
    LAT,
    LEADS,
    LON,
    RUNS,
    six_hours,
    truth,
    write_dynamical,
    write_sff,
    write_weatherbench,
)

CHANNELS = ["t2m", "tp", "z_500", "t_850"]
HOUR = np.timedelta64(1, "h")


def recipe(path: Path, kind: str, end: str = "2020-06-03T00", **source: object):
    """Every three hours from 2 June of the four channels, on points of the file."""
    grid = {"north": 33, "south": 31, "west": 101, "east": 104, "step": 0.5}
    side = {"source": "runs", "grid": grid, "channels": CHANNELS}
    period = {"start": "2020-06-02T00", "end": end}
    return recipe_from(
        {
            "name": "runs",
            "period": {**period, "frequency": "3h"},
            "splits": {"train": period},
            "sources": {"runs": {"type": kind, "path": str(path), **source}},
            "input": {**side, "halo": 0},
            "target": side,
            "window": "6h",
            "store": {"dtype": "float32", "chunk": 16},
        }
    )


def references(path: Path, kind: str, channels=CHANNELS, start="2020-06-01", end="2020-06-04", **source: object):
    """The references of an archive, as a list of rows."""
    spec = SourceSpec(type=kind, path=str(path), **source)
    period = Interval(parse_time(start), parse_time(end))
    found = take_inventory("runs", spec, [channel_named(each) for each in channels], period)
    assert found.problems == []
    return found.references.to_pylist()


def table(folder: Path, **content: object) -> str:
    """The path of a table of one variable, t2m, and of what is given."""
    path = folder / "table.yaml"
    fields = {"t2m": {"names": "t2m"}, **content.pop("fields", {})}
    path.write_text(yaml.safe_dump({"name": "mine", "files": ["*.nc"], **content, "fields": fields}))
    return str(path)


def of_run(fields: xr.Dataset, time: np.datetime64, run: np.datetime64, member: int = 0) -> list[np.ndarray]:
    """The four channels of one run on the recipe's grid, read from the truth alone."""
    place = {"init": run, "lead": time - run, "member": member}
    box = {"lat": slice(33, 31), "lon": slice(101, 104)}
    found = fields.assign(tp=six_hours(fields)).sel(place).sel(box)
    return [found.t2m.values, found.tp.values, found.z.sel(level=500).values, found.t.sel(level=850).values]


def assert_equals(store, fields: xr.Dataset, runs: dict[str, str], member: int = 0) -> None:
    """Every number of the store is that of the run given for its valid time."""
    assert list(runs) == [str(time)[8:13] for time in store.times]
    for index, run in enumerate(runs.values()):
        expected = of_run(fields, store.times[index], np.datetime64(f"2020-06-{run}", "ns"), member)
        for role in ("input", "target"):
            channels = store.plan.channels(role)
            for channel, found, wanted in zip(channels, store.physical(role, index), expected, strict=True):
                error = 2 * storage_error(store.recipe, channel) + 2e-6 * np.abs(wanted).max()
                np.testing.assert_allclose(found, wanted, atol=error, rtol=0, err_msg=f"{channel.name} {index}")


SHORTEST = {
    "02T00": "01T18", "02T03": "01T18", "02T06": "02T00", "02T09": "02T00",
    "02T12": "02T06", "02T15": "02T06", "02T18": "02T06", "02T21": "02T06",
}  # fmt: skip
"""The last run that is six hours old at least, as the window of rain needs."""


@pytest.mark.parametrize(
    ("kind", "write", "path"),
    [
        ("sff", write_sff, "runs"),
        ("sff", lambda path, fields: write_sff(path, fields, ".zarr"), "runs"),
        ("weatherbench2", write_weatherbench, "runs.zarr"),
        ("dynamical", write_dynamical, "runs.zarr"),
    ],
    ids=["sff", "sff-zarr", "weatherbench2", "dynamical"],
)
def test_every_number_of_a_store_is_that_of_one_run(kind, write, path, tmp_path):
    fields = truth()
    write(tmp_path / path, fields)
    build_in_process(recipe(tmp_path / path, kind), tmp_path / "store")
    store = open_store(str(tmp_path / "store"))
    assert store.valid.all()
    assert_equals(store, fields, SHORTEST)


def test_of_two_runs_in_two_files_the_one_that_lacks_a_lead_is_passed_over_for_that_time(tmp_path):
    fields = truth().isel(init=[1, 2])
    write_sff(tmp_path / "runs", fields)
    last = tmp_path / "runs" / "2020-06-02T00.nc"
    whole = xr.load_dataset(last)
    whole.drop_sel(lead_time=9).to_netcdf(last)
    build_in_process(recipe(tmp_path / "runs", "sff", end="2020-06-02T18"), tmp_path / "store")
    store = open_store(str(tmp_path / "store"))
    assert store.valid.all()
    runs = {"02T00": "01T18", "02T03": "01T18", "02T06": "02T00", "02T09": "01T18", "02T12": "02T00", "02T15": "01T18"}
    assert_equals(store, fields, runs)  # at 15 UTC the total at lead 9 would be needed too


def test_one_of_several_members_is_selected_and_several_are_refused(tmp_path):
    fields = truth(members=3)
    write_dynamical(tmp_path / "runs.zarr", fields)
    with pytest.raises(BadInput, match=r"3 streams of t2m, of different members(?s:.)*select: \{member: 0\}"):
        build_in_process(recipe(tmp_path / "runs.zarr", "dynamical"), tmp_path / "store")
    kept_none = r"select \{member: 7\} keeps none of the \d+ fields of t2m.*, in which member is 0, 1, 2; write a value"
    with pytest.raises(BadInput, match=kept_none):
        build_in_process(recipe(tmp_path / "runs.zarr", "dynamical", select={"member": 7}), tmp_path / "store")
    build_in_process(recipe(tmp_path / "runs.zarr", "dynamical", select={"member": 2}), tmp_path / "store")
    assert_equals(open_store(str(tmp_path / "store")), fields, SHORTEST, member=2)


@pytest.mark.parametrize(("levels", "units"), [([500, 850], "hPa"), ([50000.0, 85000.0], "Pa")])
def test_a_level_is_found_in_the_units_that_the_file_states(levels, units, tmp_path):
    fields = truth().z.isel(member=0, drop=True).to_dataset().rename(init="init_time", lead="lead_time", level="plev")
    fields.assign_coords(plev=("plev", levels, {"units": units})).to_netcdf(tmp_path / "runs.nc")
    found = references(tmp_path, table(tmp_path, fields={"z": {"names": "z"}}), ["z_850"])
    assert len(found) == len(RUNS) * len(LEADS) and {json.loads(row["indexers"])["plev"] for row in found} == {1}


def test_a_member_that_is_not_there_is_no_member(tmp_path):
    write_dynamical(tmp_path / "runs.zarr", truth(members=2))
    assert references(tmp_path / "runs.zarr", "dynamical", ["t2m"], select={"member": "control"}) == []


def test_files_of_one_member_each_are_told_apart(tmp_path):
    fields = truth().t2m.isel(member=0, drop=True).to_dataset().rename(init="init_time", lead="lead_time")
    for member in (3, 4):
        fields.assign_coords(number=member).to_netcdf(tmp_path / f"{member}.nc")
    assert {row["member"] for row in references(tmp_path, table(tmp_path), ["t2m"])} == {3, 4}


@pytest.mark.parametrize(
    ("leads", "units"), [(LEADS, "hours"), (LEADS * 60, "minutes"), (LEADS / 24, "days"), (LEADS * 3600.0, "seconds")]
)
def test_leads_are_read_in_the_units_that_the_file_states(leads, units, tmp_path):
    fields = truth().t2m.isel(member=0, drop=True).to_dataset().rename(init="forecast_reference_time", lead="fh")
    fields = fields.assign_coords(fh=("fh", leads, {"units": units}))
    fields.to_netcdf(tmp_path / "runs.nc")
    found = references(tmp_path, table(tmp_path, dims={"lead": "fh", "lead_units": "days"}), ["t2m"])
    assert Counter(row["lead_time"] for row in found) == dict.fromkeys((LEADS * 3600).tolist(), len(RUNS))
    assert all((row["valid_time"] - row["init_time"]).total_seconds() == row["lead_time"] for row in found)


@pytest.mark.parametrize("units", [None, "furlongs"])
def test_a_lead_without_units_is_refused_with_the_line_to_write(units, tmp_path):
    fields = truth().t2m.isel(member=0, drop=True).to_dataset().rename(init="init_time", lead="lead_time")
    fields = fields.assign_coords(lead_time=("lead_time", LEADS, {"units": units} if units else {}))
    fields.to_netcdf(tmp_path / "runs.nc")
    with pytest.raises(BadInput, match=r"lead lead_time .*write in the source's table dims: \{lead_units: hours\}"):
        references(tmp_path, table(tmp_path), ["t2m"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda fields: fields.drop_vars("init").rename(lead="lead_time"), r"dims: \{init: NAME\}"),
        (lambda fields: fields.rename(lead="lead_time", init="run"), r"dims: \{init: NAME\}"),
        (lambda fields: fields.rename(lead="hour", init="init_time"), r"dims: \{lead: NAME\}"),
        (lambda fields: fields.rename(lead="lead_time", init="init_time", member="draw"), r"dims: \{member: draw\}"),
    ],
    ids=["no init", "init of another name", "lead of another name", "unknown dimension"],
)
def test_an_unknown_dimension_is_refused_with_the_line_to_write(change, says, tmp_path):
    change(truth(members=2).t2m.to_dataset()).to_netcdf(tmp_path / "runs.nc")
    with pytest.raises(BadInput, match=says):
        references(tmp_path, table(tmp_path), ["t2m"])


def test_the_run_may_be_an_attribute_of_the_file(tmp_path):
    fields = truth().t2m.isel(member=0, init=0, drop=True).to_dataset().rename(lead="lead_time")
    fields.assign_attrs(init_time="2020-06-01 12:00:00Z").to_netcdf(tmp_path / "runs.nc")
    assert {str(row["init_time"]) for row in references(tmp_path, table(tmp_path), ["t2m"])} == {"2020-06-01 12:00:00"}


def test_a_file_of_valid_times_and_a_scalar_run_is_a_forecast_and_one_without_a_run_is_none(tmp_path):
    fields = truth().t2m.isel(member=0, init=0).drop_vars("member").to_dataset()
    fields = fields.assign_coords(time=("lead", (RUNS[0] + fields.lead).values)).swap_dims(lead="time")
    fields = fields.drop_vars("lead").rename(init="forecast_reference_time")
    kind = table(tmp_path)
    fields.to_netcdf(tmp_path / "forecast.nc")
    fields.drop_vars("forecast_reference_time").to_netcdf(tmp_path / "times.nc")
    forecast, times = (references(tmp_path, kind, ["t2m"], files=[name]) for name in ("forecast.nc", "times.nc"))
    assert [row["lead_time"] for row in forecast] == (LEADS * 3600).tolist()
    assert len(times) == len(LEADS) and {(row["init_time"], row["lead_time"]) for row in times} == {(None, 0)}


def windows(folder: Path, leads: list[int], accumulates: str) -> dict[int, float]:
    """The length in hours of the window of each lead that has one."""
    shape = (1, len(leads), len(LAT), len(LON))
    coordinates = {"init_time": [np.datetime64("2020-06-01T18", "ns")], "lat": LAT, "lon": LON}
    dataset = xr.Dataset({"tp": (("init_time", "lead_time", "lat", "lon"), np.zeros(shape))}, coordinates)
    dataset.assign_coords(lead_time=("lead_time", leads, {"units": "hours"})).to_netcdf(folder / "rain.nc")
    kind = table(folder, fields={"tp": {"names": "tp", "accumulates": accumulates}})
    rows = references(folder, kind, ["tp"])
    assert all(row["init_time"] is not None for row in rows)
    return {row["lead_time"] // 3600: (row["valid_time"] - row["window_start"]).total_seconds() / 3600 for row in rows}


def test_a_static_field_needs_no_run_and_names_of_latitude_and_longitude_are_the_tables(tmp_path):
    height = xr.Dataset({"h": (("rows", "columns"), np.arange(12.0).reshape(3, 4))})
    height = height.assign_coords(rows=[32.0, 31.5, 31.0], columns=[102.0, 102.5, 103.0, 103.5])
    height.assign_coords(init_time=RUNS[0], lead_time=("lead_time", LEADS)).to_netcdf(tmp_path / "height.nc")
    kind = table(tmp_path, dims={"lat": "rows", "lon": "columns"}, fields={"orog": {"names": "h"}})
    (row,) = references(tmp_path, kind, ["orog"])
    values, grid = read_reference(FieldReference.from_row(row), {})
    assert values.tolist() == height.h.values.tolist()
    assert (grid.lat.tolist(), grid.lon.tolist()) == (height.rows.values.tolist(), height.columns.values.tolist())


def test_the_lead_of_a_file_of_one_time_is_that_time_less_its_run(tmp_path):
    fields = truth().t2m.isel(member=0, init=0, lead=2).drop_vars(["member", "lead"]).to_dataset()
    fields = fields.rename(init="init_time").assign_coords(time=RUNS[0] + 6 * HOUR)
    fields.to_netcdf(tmp_path / "one.nc")
    assert [row["lead_time"] for row in references(tmp_path, table(tmp_path), ["t2m"])] == [6 * 3600]


@pytest.mark.parametrize(
    ("leads", "accumulates", "lengths"),
    [
        ([0, 3, 6, 12], "run", {3: 3, 6: 6, 12: 12}),
        ([0, 3, 6, 12], "step", {3: 3, 6: 3, 12: 6}),
        ([3, 6, 9], "step", {3: 3, 6: 3, 9: 3}),
        ([6, 9, 12], "step", {9: 3, 12: 3}),
        ([0, 1, 2], "hour", {1: 1, 2: 1}),
        ([0, 3, 6, 12], "6h", {6: 6, 12: 6}),
        ([0, 3, 6, 12, 30], "day", {3: 3, 6: 6, 12: 6, 30: 24}),
    ],
)
def test_windows_end_at_the_valid_time_and_begin_within_the_run(leads, accumulates, lengths, tmp_path):
    assert windows(tmp_path, leads, accumulates) == lengths


def test_a_window_since_the_start_of_the_run_needs_a_run(tmp_path):
    fields = truth().t2m.isel(member=0, init=0, drop=True).to_dataset(name="tp")
    fields = (
        fields.assign_coords(time=("lead", (RUNS[0] + fields.lead).values)).swap_dims(lead="time").drop_vars("lead")
    )
    fields.to_netcdf(tmp_path / "rain.nc")
    with pytest.raises(BadInput, match=r"rain.nc: variable tp accumulates over a run, .* dims: \{init: NAME\}"):
        references(tmp_path, table(tmp_path, fields={"tp": {"names": "tp", "accumulates": "run"}}), ["tp"])


def test_a_grib_message_of_a_run_total_may_be_told_by_the_table(archive, tmp_path):
    numbers = load_table("cma_rra").fields["tp"].grib[0].model_dump(exclude_none=True)
    kind = table(tmp_path, files=["**/*.grib2"], fields={"tp": {"grib": [numbers], "accumulates": "run"}})
    encoded, told = (references(archive / "cma_rra", each, ["tp"]) for each in ("cma_rra", kind))
    assert told and told == encoded


@pytest.mark.parametrize(
    "rule",
    [
        {"names": "tp", "accumulates": "encoded"},
        {"names": "tp", "accumulates": "sometimes"},
        {"names": "tp", "rate": True},
        {"grib": [{"discipline": 0}], "accumulates": "step"},
    ],
)
def test_a_rule_that_no_file_could_follow_is_refused(rule, tmp_path):
    with pytest.raises(BadInput, match=r"fields\.tp"):
        load_table(table(tmp_path, fields={"tp": rule}))


def test_one_lead_alone_does_not_tell_its_step(tmp_path):
    with pytest.raises(BadInput, match="accumulates: 6h, the length of the window"):
        windows(tmp_path, [6], "step")


def test_only_the_runs_and_leads_of_the_period_are_listed_and_no_field_is_read(tmp_path):
    fields = truth()
    write_weatherbench(tmp_path / "runs.zarr", fields)
    for chunk in (tmp_path / "runs.zarr" / "2m_temperature").glob("[0-9]*"):
        chunk.write_bytes(b"no chunk")
    found = references(tmp_path / "runs.zarr", "weatherbench2", ["t2m"], "2020-06-02T00", "2020-06-02T04")
    assert {str(row["valid_time"]) for row in found} == {"2020-06-02 00:00:00", "2020-06-02 03:00:00"}
    assert len(found) == 6  # of the runs of 12, 18 and 00 UTC
