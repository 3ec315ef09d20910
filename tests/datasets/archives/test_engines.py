"""Archives that an engine of xarray opens."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from corrstore.datasets.archives.contents.survey import survey
from corrstore.datasets.archives.inventory import take_inventory
from corrstore.datasets.archives.references import FieldReference
from corrstore.datasets.recipe.periods import Interval, parse_time
from corrstore.datasets.recipe.source import SourceSpec
from corrstore.datasets.samples.reading import read_reference
from corrstore.datasets.variables.channels import channel_named
from tests.grib_made import made, regular

PERIOD = Interval(parse_time("2020-03-01"), parse_time("2020-03-02"))
SURFACE = {"discipline": 0, "parameterCategory": 0, "dataDate": 20200301, **regular(3, 4)}
FIELD = np.arange(12.0).reshape(3, 4) + 280


@pytest.fixture
def folder(tmp_path):
    """A table of names, and a GRIB file with 2 m temperature at two hours and another parameter at one."""
    (tmp_path / "t.yaml").write_text("name: t\nfiles: ['*.grib']\nfields: {t2m: {names: t2m}, d2m: {names: d2m}}\n")
    two_metres = {"typeOfFirstFixedSurface": 103, "level": 2}
    messages = [
        made(**SURFACE, parameterNumber=0, dataTime=100 * hour, **two_metres, values=FIELD + hour) for hour in (0, 1)
    ]
    (tmp_path / "a.grib").write_bytes(b"".join(messages))
    (tmp_path / "b.txt").write_bytes(made(**SURFACE, parameterNumber=6, dataTime=0, **two_metres, values=FIELD - 9))
    return tmp_path


def fields(folder, *channels, **source):
    spec = SourceSpec(type=str(folder / "t.yaml"), path=str(folder), **source)
    found = take_inventory("a", spec, [channel_named(each) for each in channels], PERIOD)
    assert found.problems == []
    rows = sorted(found.references.to_pylist(), key=lambda row: (row["channel"], row["valid_time"]))
    return [(row, *read_reference(FieldReference.from_row(row), spec.opening)) for row in rows]


def test_cfgrib_opens_grib_for_a_table_of_names(folder):
    (first, values, grid), (second, later, _) = fields(folder, "t2m", engine="cfgrib")
    assert [row["valid_time"].hour for row in (first, second)] == [0, 1]
    assert (first["format"], first["scale"]) == ("engine cfgrib", 1.0)
    np.testing.assert_allclose(values, FIELD, atol=1e-3)
    np.testing.assert_allclose(later, FIELD + 1, atol=1e-3)
    assert (grid.lat[0], grid.lon[0]) == (50.0, 100.0)
    assert not list(folder.glob("*.idx"))


def test_what_cfgrib_would_leave_out_is_refused_with_the_line_that_selects(folder):
    (folder / "a.grib").write_bytes(
        b"".join(
            made(**SURFACE, parameterNumber=0, typeOfFirstFixedSurface=103, level=height, values=FIELD)
            for height in (2, 80)
        )
        + made(**SURFACE, parameterNumber=6, typeOfFirstFixedSurface=103, level=2, values=FIELD)
    )
    (problem,) = take_inventory(
        "a", SourceSpec(type=str(folder / "t.yaml"), path=str(folder), engine="cfgrib"), [channel_named("t2m")], PERIOD
    ).problems
    assert problem.kind == "not_read" and "filter_by_keys" in problem.text
    keys = {"filter_by_keys": {"level": 2}}
    names = [row["channel"] for row, *_ in fields(folder, "t2m", "d2m", engine="cfgrib", engine_options=keys)]
    assert names == ["d2m", "t2m"]


def test_options_reach_the_engine(tmp_path):
    (tmp_path / "t.yaml").write_text("name: t\nfiles: ['*.data']\nfields: {t2m: {names: t2m}}\n")
    time = np.array(["2020-03-01T00"], "M8[ns]")
    content = xr.Dataset(
        {"t2m": (("time", "lat", "lon"), FIELD[None], {"units": "K"})},
        {"time": time, "lat": [3.0, 2.0, 1.0], "lon": [1.0, 2.0, 3.0, 4.0]},
    )
    content.to_netcdf(tmp_path / "a.data", group="deep")
    ((_, values, _),) = fields(tmp_path, "t2m", engine="netcdf4", engine_options={"group": "deep"})
    np.testing.assert_array_equal(values, FIELD)
    content.to_zarr(tmp_path / "b.zarr", group="deep", zarr_format=3, consolidated=False)
    spec = SourceSpec(type=str(tmp_path / "t.yaml"), path=str(tmp_path / "b.zarr" / "deep"), engine="zarr")
    (row,) = take_inventory("a", spec, [channel_named("t2m")], PERIOD).references.to_pylist()
    np.testing.assert_array_equal(read_reference(FieldReference.from_row(row), spec.opening)[0], FIELD)


def test_an_engine_that_is_not_there_and_options_that_may_hold_a_secret_are_refused(folder):
    (problem,) = take_inventory(
        "a", SourceSpec(type=str(folder / "t.yaml"), path=str(folder), engine="nowhere"), [channel_named("t2m")], PERIOD
    ).problems
    assert "engine nowhere is not installed" in problem.text
    with pytest.raises(ValueError, match=r"engine_options\.token: expected one of .*filter_by_keys"):
        SourceSpec(type="era5", path=".", engine="netcdf4", engine_options={"token": "s3cr3t"})
    with pytest.raises(ValueError, match="engine_options need `engine`"):
        SourceSpec(type="era5", path=".", engine_options={"group": "a"})


def test_the_survey_of_an_archive_goes_by_an_engine_too(folder):
    contents, _ = survey(str(folder / "a.grib"), str(folder / "t.yaml"), "cfgrib")
    (held,) = contents.fields
    assert (held.name, held.units, len(held.times)) == ("t2m", "K", 2)
