"""Refusals: the most likely cause first, with the line to write."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from corrstore.datasets.archives.contents.state import archive_state
from corrstore.datasets.archives.inventory import take_inventory
from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.periods import Interval, parse_time
from corrstore.datasets.recipe.recipe import recipe_from
from corrstore.datasets.recipe.source import SourceSpec
from corrstore.datasets.samples.preparation import prepare
from corrstore.datasets.samples.streams import refuse_mixtures
from corrstore.datasets.variables.channels import channel_named
from corrstore.datasets.variables.table import VARIABLES
from tests.grib_made import made, regular

HOUR = Interval(parse_time("2020-03-01T00"), parse_time("2020-03-01T01"))
DAY = {"dataDate": 20200301, "dataTime": 0}
T = {"discipline": 0, "parameterCategory": 0, "parameterNumber": 0, **regular(9, 9), **DAY}
T2M = made(**T, typeOfFirstFixedSurface=103, level=2, values=np.full(81, 280.0))


def on_pressure(hectopascals, **more):
    return made(**T, typeOfFirstFixedSurface=100, level=hectopascals, values=np.full(81, 280.0), **more)


def refusal(folder, *channels, static=(), **source):
    """The lines of the refusal of a recipe that asks for the channels."""
    interval = {"start": "2020-03-01T00", "end": "2020-03-01T01"}
    box = {"north": 49, "south": 43, "west": 101, "east": 107, "step": 1}
    part = {"source": "a", "grid": box, "channels": list(channels)}
    recipe = recipe_from(
        {
            **{"name": "refused", "period": interval | {"frequency": "1h"}, "splits": {"train": interval}},
            **{"sources": {"a": {"type": "era5", "path": str(folder), **source}}},
            **{"input": part | {"halo": 0}, "target": part},
            "static": [{"variable": name, "source": "a"} for name in static],
        }
    )
    with pytest.raises(BadInput) as refused:
        prepare(recipe)
    return str(refused.value).splitlines()


def test_a_cut_file_is_the_first_cause_where_nothing_else_explains_the_absence(tmp_path):
    (tmp_path / "a.grib").write_bytes(T2M + on_pressure(850) + on_pressure(500)[:-20])
    first, cut, levels, last = refusal(tmp_path, "t_500")
    assert first.endswith("[2020-03-01T00:00Z, 2020-03-01T01:00Z)")
    assert "truncated" in cut and "fetch the file again" in cut
    assert "its levels are 850 hPa (85000 Pa), not 500 hPa" in levels
    assert "2t" not in cut + levels  # which is t2m, and nothing else
    assert last.startswith("  else remove t_500")


def test_another_level_type_is_no_sooner_the_cause_than_a_cut(tmp_path):
    hybrid = made(**T, typeOfFirstFixedSurface=105, level=60, values=np.full(81, 280.0))
    (tmp_path / "a.grib").write_bytes(hybrid + on_pressure(500)[:-20])
    _, cut, level_type, _ = refusal(tmp_path, "t_500")
    assert "truncated" in cut and "it is on level type 105 (hybrid), level 60" in level_type


def test_another_process_is_the_first_cause_also_where_a_file_is_cut(tmp_path):
    mean = made(
        **T, typeOfFirstFixedSurface=100, level=500, productDefinitionTemplateNumber=8, typeOfStatisticalProcessing=0,
        stepRange="0-1",
    )  # fmt: skip
    (tmp_path / "a.grib").write_bytes(mean + on_pressure(850)[:-20])
    _, process, *_ = refusal(tmp_path, "t_500")
    assert "its statistical process is avg (average) over 1h, the table asks for process: instant" in process


def test_a_variable_without_latitudes_is_there_and_not_of_another_period(tmp_path):
    times = np.array(["2020-03-01T00"], "M8[ns]")
    field = xr.DataArray(np.zeros((1, 3, 4)), {"time": times}, ["time", "row", "column"], attrs={"units": "K"})
    xr.Dataset({"t2m": field}).to_netcdf(tmp_path / "a.nc")
    _, reason, *_ = refusal(tmp_path, "t2m")
    assert "no latitude and longitude among" in reason and "dims: {lat: NAME, lon: NAME}" in reason


def test_a_field_on_a_grid_that_is_not_read_is_a_problem_and_no_stream(tmp_path):
    broken = bytearray(T2M)
    at = 16
    while broken[at + 4] != 3:
        at += int.from_bytes(broken[at : at + 4])
    broken[at + 71] = 0xFF  # the scanning mode
    (tmp_path / "a.grib").write_bytes(T2M + bytes(broken))
    period = Interval(parse_time("2020-03-01"), parse_time("2020-03-02"))
    found = take_inventory("a", SourceSpec(type="era5", path=str(tmp_path)), [channel_named("t2m")], period)
    assert len(found.references) == 1
    (problem,) = found.problems
    assert "the grid of 1 field cannot be read: " in problem.text and "scanning mode is 255" in problem.text


def test_a_product_over_an_interval_without_a_process_is_no_instant(tmp_path):
    unstated = made(
        **T, typeOfFirstFixedSurface=103, level=2, productDefinitionTemplateNumber=8, typeOfStatisticalProcessing=255,
        stepRange="0-1",
    )  # fmt: skip
    (tmp_path / "a.grib").write_bytes(unstated)
    text = "\n".join(refusal(tmp_path, "t2m"))
    assert "its statistical process is 255" in text and 'process: "255"' in text


def write_hour(folder, name, heights=None):
    """2 m temperature at one hour, or, where heights are given, geopotential at the surface."""
    axes = {"latitude": np.arange(50.0, 41.0, -1.0), "longitude": np.arange(100.0, 109.0)}
    if heights is None:
        time = {"time": np.array(["2020-03-01T00"], "M8[ns]")}
        field = xr.DataArray(np.full((1, 9, 9), 280.0), time | axes, ["time", *axes], attrs={"units": "K"})
        xr.Dataset({"t2m": field}).to_netcdf(folder / name)
    else:
        field = xr.DataArray(np.full((9, 9), 9.80665) * heights, axes, list(axes), attrs={"units": "m2 s-2"})
        xr.Dataset({"z": field}).to_netcdf(folder / name)


def test_a_static_field_that_is_absent_is_refused_with_what_is_there(tmp_path):
    write_hour(tmp_path, "a.nc")
    first, held, last = refusal(tmp_path, "t2m", static=["orog"])
    assert "holds no field of orog" in first
    assert held.startswith("  in 1 file it holds t2m (NETCDF); if") and "fields: {orog: {names: NAME}}" in held
    assert last.startswith("  else remove orog")


def test_a_file_without_times_and_one_whose_variables_are_in_a_group_are_told_apart(tmp_path):
    lat, lon = np.arange(50.0, 41.0, -1.0), np.arange(100.0, 109.0)
    fields = xr.Dataset(
        {"t2m": (("latitude", "longitude"), np.full((9, 9), 280.0))}, {"latitude": lat, "longitude": lon}
    )
    (tmp_path / "one").mkdir()
    fields.to_netcdf(tmp_path / "one" / "a.nc")
    _, reason, *_ = refusal(tmp_path / "one", "t2m")
    assert "are there of no time" in reason and "dims: {time: NAME}" in reason
    (tmp_path / "two").mkdir()
    fields.to_netcdf(tmp_path / "two" / "a.nc", group="deep")
    _, reason, *_ = refusal(tmp_path / "two", "t2m")
    assert "its variables are in groups, deep" in reason and "engine_options: {group: deep}" in reason
    fields.to_zarr(str(tmp_path / "three.zarr"), group="deep", zarr_format=2)
    _, reason, *_ = refusal(tmp_path / "three.zarr", "t2m")
    assert f"its variables are in groups, deep; write under the source path: {tmp_path}/three.zarr/deep" in reason


def test_a_parameter_that_another_shipped_table_knows_is_near_though_eccodes_does_not_name_it(tmp_path):
    cloud = made(**{**T, "parameterCategory": 6, "parameterNumber": 1}, typeOfFirstFixedSurface=1, values=np.ones(81))
    (tmp_path / "a.grib").write_bytes(T2M + cloud)
    _, near, *_ = refusal(tmp_path, "tcc")
    assert "is GRIB2, discipline 0, category 6, number 1, the table asks for GRIB1, table 128, parameter 164" in near


@pytest.mark.parametrize("missing", ["outside", "inside"])
def test_a_static_field_with_points_without_a_number_is_refused_with_their_count(missing, tmp_path):
    write_hour(tmp_path, "a.nc")
    heights = np.ones((9, 9))
    heights[4 if missing == "inside" else slice(1), 4] = np.nan
    write_hour(tmp_path, "b.nc", heights)
    if missing == "outside":
        content = xr.load_dataset(tmp_path / "b.nc").isel(latitude=slice(0, 4))
        content.to_netcdf(tmp_path / "b.nc")
    (said,) = refusal(tmp_path, "t2m", static=["orog"])
    count = {"outside": 28, "inside": 1}[missing]
    assert f"{count} of 49 points of the target grid, lat 49 .. 43 (7), lon 101 .. 107 (7), have no number" in said


def test_two_streams_of_one_file_that_the_index_does_not_tell_apart_are_refused_by_their_keys(tmp_path):
    ecmf = {**DAY, "centre": "ecmf", "setLocalDefinition": 1, "indicatorOfParameter": 167, "table2Version": 128}
    both = [
        made("regular_ll_sfc_grib1", **ecmf, **regular(9, 9), stream=stream, values=np.full(81, base) + np.arange(81))
        for stream, base in (("oper", 280.0), ("enda", 281.0))
    ]
    (tmp_path / "a.grib").write_bytes(b"".join(both))
    first, line = refusal(tmp_path, "t2m")
    assert "t2m at 2020-03-01T00:00Z twice, with other numbers" in first and "their stream is oper and enda" in first
    assert line == "keep one of them, as with `grib_copy -w stream=oper IN OUT`"


def test_copies_of_a_field_that_differ_by_their_packing_are_one_field(tmp_path):
    fields = [
        made(**T, typeOfFirstFixedSurface=103, level=2, bitsPerValue=bits, values=280 + np.arange(81) / 7)
        for bits in (8, 16)
    ]
    (tmp_path / "a.grib").write_bytes(b"".join(fields))
    refuse_mixtures(
        "a", take_inventory("a", SourceSpec(type="era5", path=str(tmp_path)), [channel_named("t2m")], HOUR).references
    )


def test_names_and_links_that_cannot_be_read_do_not_stop_a_build(tmp_path):
    (tmp_path / "a.grib").write_bytes(T2M)
    (tmp_path / "b.grib").symlink_to(tmp_path / "nowhere")
    Path(os.fsdecode(os.fsencode(tmp_path / "c") + b"\xff.grib")).write_bytes(T2M)
    spec = SourceSpec(type="era5", path=str(tmp_path))
    before = archive_state("a", spec, VARIABLES)
    (tmp_path / "nowhere").write_bytes(T2M)
    assert before and archive_state("a", spec, VARIABLES) != before
