"""Archives that an engine of xarray opens."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from pyproj import Proj

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


def as_hdf5(folder):
    """The path of a table of names, and its file, which h5netcdf opens."""
    (folder / "t.yaml").write_text("name: t\nfiles: ['*.h5']\nfields: {t2m: {names: t2m}}\n")
    axes = {"time": np.array(["2020-03-01T00"], "M8[ns]"), "lat": [3.0, 2.0, 1.0], "lon": [1.0, 2.0, 3.0, 4.0]}
    xr.Dataset({"t2m": (tuple(axes), FIELD[None], {"units": "K"})}, axes).to_netcdf(folder / "a.h5", group="deep")


def test_h5netcdf_opens_hdf5(tmp_path):
    pytest.importorskip("h5netcdf")
    pytest.importorskip("h5py")
    as_hdf5(tmp_path)
    ((_, values, _),) = fields(tmp_path, "t2m", engine="h5netcdf", engine_options={"group": "deep"})
    np.testing.assert_array_equal(values, FIELD)


@pytest.mark.parametrize("projected", [False, True])
def test_rasterio_opens_a_terrain_in_degrees_and_in_metres_of_a_projection(projected, tmp_path):
    rasterio = pytest.importorskip("rasterio")
    pytest.importorskip("rioxarray")
    (tmp_path / "t.yaml").write_text("name: t\nfiles: ['*.tif']\nfields: {orog: {names: band_data}}\n")
    west, north, side = (500000, 5600000, 1000) if projected else (99.5, 50.5, 1)
    transform = rasterio.transform.from_origin(west, north, side, side)
    size = {"height": 3, "width": 4, "count": 1, "dtype": "int16", "nodata": -32768}
    crs = "EPSG:32633" if projected else "EPSG:4326"
    with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", crs=crs, transform=transform, **size) as file:
        file.write(np.where(FIELD == 283, -32768, FIELD).astype(np.int16), 1)
    ((_, values, grid),) = fields(tmp_path, "orog", engine="rasterio")
    np.testing.assert_array_equal(values, np.where(FIELD == 283, np.nan, FIELD))
    if projected:
        assert (grid.x[0], grid.y[0]) == (500500, 5599500)
        lat, lon = grid.latlon()
        x, y = Proj("EPSG:32633")(lon, lat)
        np.testing.assert_allclose([x, y], np.meshgrid(grid.x, grid.y), atol=1e-3)
    else:
        assert (grid.lat[0], grid.lon[0]) == (50, 100)


def test_cfgrib_winds_along_the_grid_are_told_by_the_message_and_not_by_the_name(tmp_path):
    """cfgrib calls them eastward_wind, whatever they are along."""
    lambert = {"gridType": "lambert", "Nx": 4, "Ny": 3, "DxInMetres": 25000, "DyInMetres": 25000, "LaDInDegrees": 48.0}
    of_grid = {"latitudeOfFirstGridPointInDegrees": 48.0, "longitudeOfFirstGridPointInDegrees": 30.0}
    tangent = {"Latin1InDegrees": 48.0, "Latin2InDegrees": 48.0, "LoVInDegrees": 0.0}
    wind = {"discipline": 0, "parameterCategory": 2, "typeOfFirstFixedSurface": 103, "level": 10, "dataDate": 20200301}
    messages = [
        made(**lambert, **of_grid, **tangent, uvRelativeToGrid=1, **wind, parameterNumber=number, values=FIELD)
        for number in (2, 3)
    ]
    (tmp_path / "a.grib").write_bytes(b"".join(messages))
    (tmp_path / "t.yaml").write_text(
        "name: t\nfiles: ['*.grib']\ndims: {lat: latitude, lon: longitude}\nfields: {u10m: {names: u10}}\n"
    )
    spec = SourceSpec(type=str(tmp_path / "t.yaml"), path=str(tmp_path), engine="cfgrib")
    found = take_inventory("a", spec, [channel_named("u10m")], Interval(parse_time("2000-01-01"), PERIOD.end))
    assert found.references["grid_relative"].to_pylist() == [True]
