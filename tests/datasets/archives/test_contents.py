"""What an archive holds, without a recipe: every real file, and what a refusal tells of it."""

import gzip
import json
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
import yaml

from corrstore.datasets.archives.contents.near import variables_of
from corrstore.datasets.archives.contents.printing import as_lines, as_table
from corrstore.datasets.archives.contents.survey import survey
from corrstore.datasets.archives.inventory import take_inventory
from corrstore.datasets.archives.table import load_table
from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.periods import Interval, parse_time
from corrstore.datasets.recipe.source import SourceSpec
from corrstore.datasets.variables.channels import channel_named
from tests.command import corrstore
from tests.grib_made import changed, made
from tests.paths import ROOT, SHARED, needs_shared

FIELDS = 5
NUL = "nothing but NUL bytes, as a transfer leaves that was cut: fetch it again"
GOLDEN = ROOT / "tests" / "datasets" / "archives" / "real_files.txt"


def table_of_real_files() -> str:
    """The contents of every real file and folder of files, each under its name; of many fields the first ones."""
    said = []
    for path in sorted(SHARED.glob("*/*")):
        contents, table = survey(str(path))
        few = replace(contents, fields=contents.fields[:FIELDS])
        said += [f"== {path.relative_to(SHARED)}, {len(contents.fields)} distinct fields", *as_lines(few, table)]
    return "\n".join(said).replace(f"{SHARED}/", "") + "\n"


@needs_shared
@pytest.mark.slow
def test_every_real_file_is_told_as_it_was():
    assert table_of_real_files() == GOLDEN.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four hours, one of which lacks, of 2 m temperature; gusts as hourly maxima; and a text."""
    folder = tmp_path_factory.mktemp("contents")
    hours = [made(typeOfFirstFixedSurface=103, level=2, parameterNumber=0, stepRange=hour) for hour in (0, 1, 3, 4)]
    gust = {"discipline": 0, "parameterCategory": 2, "parameterNumber": 22, "typeOfFirstFixedSurface": 103, "level": 10}
    maximum = made(productDefinitionTemplateNumber=8, typeOfStatisticalProcessing=2, **gust, stepRange="0-1")
    (folder / "a.grib").write_bytes(b"".join([*hours, maximum]))
    (folder / "note.txt").write_text("a text", encoding="utf-8")
    return folder


@pytest.mark.parametrize("count", [510, 70_000])
def test_bytes_that_a_transfer_filled_up_are_told_and_what_follows_is_read(count, tmp_path):
    (tmp_path / "a.grib").write_bytes(bytes(count) + made())
    with gzip.open(tmp_path / "b.grib.gz", "wb") as file:
        file.write(bytes(count) + made())
    (tmp_path / "c.grib").write_bytes(bytes(70_000))
    contents, _ = survey(str(tmp_path))
    assert contents.files == {"grib": 2, NUL: 1} and contents.fields[0].count == 2
    assert sorted(problem.kind for problem in contents.problems) == ["not_grib", "padding", "padding"]


def test_a_message_behind_bytes_of_a_program_is_read_and_they_are_told(tmp_path):
    (tmp_path / "a.grib").write_bytes(b"\0\0\0\x16" * 3000 + made())
    contents, _ = survey(str(tmp_path))
    assert contents.files == {"grib": 1} and contents.fields[0].count == 1
    assert "12000 bytes that are no GRIB message" in contents.problems[0].text


def test_fields_are_told_apart_and_compared_with_a_table(folder):
    ran = corrstore("archive", folder, "--type", "cma_rra", "--json")
    assert ran.returncode == 0, ran.stderr
    t2m, gust = json.loads(ran.stdout)["fields"]
    assert (t2m["is"], t2m["times"]["count"], len(t2m["holes"]), t2m["leads"]) == (["t2m"], 4, 1, [0, 4 * 3600])
    assert (gust["process"], gust["window"], gust["levels"]) == ("max", 3600, [10.0])
    assert "level_type: 103, level: 10, process: max}], accumulates: encoded}" in gust["line"]


def test_a_table_to_start_from_is_a_table(folder, tmp_path):
    written = tmp_path / "mine.yaml"
    assert corrstore("archive", folder, "--table", written).returncode == 0
    content = yaml.safe_load(written.read_text(encoding="utf-8"))
    assert content["files"] == ["**/*.grib"] and list(content["fields"]) == ["gust"]  # t2m is of what it is like
    assert content["fields"]["gust"]["grib"][0]["process"] == "max"
    contents, table = survey(str(folder), str(written))
    assert "  is t2m of the table mine" in list(as_lines(contents, table))
    assert load_table(str(written)).name == "mine"
    assert as_table(contents, table, "again").startswith("name: again\nlike: mine\n")


def test_a_line_to_write_has_the_units_of_the_table_that_knows_the_field(tmp_path):
    """Geopotential height in metres is known to the table of CMA, and not to that of ERA5."""
    height = {"discipline": 0, "parameterCategory": 3, "parameterNumber": 5, "typeOfFirstFixedSurface": 100}
    (tmp_path / "a.grib2").write_bytes(made(**height, level=500))
    contents, table = survey(str(tmp_path), "era5")
    (near,) = variables_of(contents.fields[0], table)
    assert near.differences
    (tmp_path / "mine.yaml").write_text(f"name: mine\nlike: era5\nfields: {{{near.line}}}\n", encoding="utf-8")
    spec = SourceSpec(type=str(tmp_path / "mine.yaml"), path=str(tmp_path))
    ever = Interval(parse_time("2000-01-01"), parse_time("2030-01-01"))
    (row,) = take_inventory("a", spec, [channel_named("z_500")], ever).references.to_pylist()
    assert row["scale"] == 9.80665


def test_what_is_no_data_is_told_by_its_first_bytes(folder):
    contents, table = survey(str(folder))
    assert [line for line in as_lines(contents, table) if "note.txt" in line and "begins with b'a text'" in line]


def test_a_window_that_a_message_states_is_not_overruled(tmp_path):
    rain = {"discipline": 0, "parameterCategory": 1, "parameterNumber": 193, "typeOfFirstFixedSurface": 1}
    three = made(productDefinitionTemplateNumber=8, typeOfStatisticalProcessing=1, **rain, stepRange="0-3")
    (tmp_path / "a.grib").write_bytes(three)
    spec = SourceSpec(type="era5", path=str(tmp_path))
    with pytest.raises(BadInput, match=r"tp: .*states a window of 3h \(0-3 h of its run\).* accumulates: hour; write"):
        take_inventory("a", spec, [channel_named("tp")], Interval(parse_time("2000-01-01"), parse_time("2030-01-01")))


def rain(hour: int, step: int) -> bytes:
    """Rain in GRIB1 over the hour before a step of the run of an hour, as ERA5 and ERA5-Land have it."""
    keys = {"indicatorOfParameter": 228, "table2Version": 128, "centre": 98, "indicatorOfTypeOfLevel": 1, "level": 0}
    window = {"timeRangeIndicator": 4, "P1": step - 1, "P2": step}
    return made("regular_ll_pl_grib1", **keys, dataDate=20200101, dataTime=100 * hour, **window)


@pytest.mark.parametrize(("hour", "type", "other"), [(0, "era5", "era5_land"), (6, "era5_land", "era5")])
def test_hourly_rain_of_era5_and_totals_since_midnight_of_era5_land_are_told_apart_by_their_runs(
    hour, type, other, tmp_path
):
    (tmp_path / "a.grib").write_bytes(rain(hour, 1) + rain(hour, 2))
    ever = Interval(parse_time("2000-01-01"), parse_time("2030-01-01"))
    with pytest.raises(BadInput, match=rf"tp: .*a run at {hour:02} UTC, .* write the source's type: {other}$"):
        take_inventory("a", SourceSpec(type=type, path=str(tmp_path)), [channel_named("tp")], ever)
    found = take_inventory("a", SourceSpec(type=other, path=str(tmp_path)), [channel_named("tp")], ever)
    assert len(found.references) == 2
    contents, table = survey(str(tmp_path))
    assert table.name == other
    (near,) = variables_of(contents.fields[0], load_table(type))
    assert near.differences and load_table(other).fields["tp"].accumulates in near.line


def test_a_first_hour_is_the_same_by_either_table(tmp_path):
    (tmp_path / "a.grib").write_bytes(rain(0, 1))
    ever = Interval(parse_time("2000-01-01"), parse_time("2030-01-01"))
    assert len(take_inventory("a", SourceSpec(type="era5", path=str(tmp_path)), [channel_named("tp")], ever).references)


def test_a_field_that_the_table_does_not_know_has_the_windows_of_those_that_it_knows(tmp_path):
    (tmp_path / "a.grib").write_bytes(rain(0, 2) + changed(rain(0, 2), indicatorOfParameter=182))
    contents, table = survey(str(tmp_path))
    assert "process: accum}], accumulates: day}" in as_table(contents, table, "mine")


def test_a_tie_of_two_tables_is_told_and_a_table_that_is_there_is_kept(tmp_path):
    xr.Dataset(
        {"tp": (("valid_time", "latitude", "longitude"), np.zeros((1, 2, 2)), {"units": "m"})},
        {"valid_time": [np.datetime64("2020-01-01", "ns")], "latitude": [1.0, 0.9], "longitude": [1.0, 1.1]},
    ).to_netcdf(tmp_path / "a.nc")
    mine = tmp_path / "mine.yaml"
    ran = corrstore("archive", tmp_path / "a.nc", "--table", mine)
    assert "era5_land knows as many fields as era5, and reads tp (scale: 1000.0, accumulates: day, not" in ran.stderr
    mine.write_text("edited", encoding="utf-8")
    again = corrstore("archive", tmp_path / "a.nc", "--table", mine)
    assert again.returncode == 2 and "is there already" in again.stderr and mine.read_text(encoding="utf-8") == "edited"


def test_an_engine_that_is_not_there_is_refused(folder):
    with pytest.raises(BadInput, match=r"engine netcdf5 is not installed; .* netcdf4"):
        survey(str(folder), engine="netcdf5")
