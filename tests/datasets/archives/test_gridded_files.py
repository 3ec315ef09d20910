"""NetCDF files as they come: their units, levels, longitudes, calendars and projections."""

from __future__ import annotations

import json

import netCDF4
import numpy as np
import pytest
import xarray as xr
from pyproj import CRS, Proj

from corrstore.datasets.archives.inventory import take_inventory
from corrstore.datasets.archives.references import FieldReference
from corrstore.datasets.errors import BadInput
from corrstore.datasets.grids.projected import ProjectedGrid
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.grids.regrid import regridder
from corrstore.datasets.grids.rotated_pole import RotatedPole
from corrstore.datasets.grids.winds import earth_relative
from corrstore.datasets.recipe.periods import Interval, parse_time
from corrstore.datasets.recipe.source import SourceSpec
from corrstore.datasets.samples.reading import read_reference
from corrstore.datasets.variables.channels import channel_named

LAT, LON = np.arange(50.0, 45.5, -0.5), np.arange(10.0, 14.5, 0.5)
PERIOD = Interval(parse_time("2020-03-01"), parse_time("2020-03-02"))
TIME = ("time", np.array(["2020-03-01T00"], "M8[ns]"))


def plane(lat, lon):
    return 280 + 0.5 * (lat - 48) + 0.25 * (lon - 12)


def written(folder, name, units, numbers, lat=LAT, lon=LON, **more):
    fields = {name: (("time", "latitude", "longitude"), numbers[None].astype(np.float32), {"units": units})}
    content = xr.Dataset(fields, {"time": TIME, "latitude": lat, "longitude": lon, **more})
    content.to_netcdf(folder / "a.nc")


def fields(folder, *channels):
    """The fields of the channels in the order of the archive, in corrstore's units, and their grids."""
    spec = SourceSpec(type="era5", path=str(folder))
    rows = take_inventory("a", spec, [channel_named(each) for each in channels], PERIOD).references.to_pylist()
    read = [(row, *read_reference(FieldReference.from_row(row), {})) for row in rows]
    return [(row["channel"], values * row["scale"] + row["add_offset"], grid) for row, values, grid in read]


@pytest.mark.parametrize(
    ("units", "says"),
    [
        ("mm/day", r"tp is in mm/day, .* it is a rate: .*\{tp: \{names: tp, accumulates: hour, rate: true\}\}"),
        ("furlong", "furlong, which are no known units, .*names: tp, units: kg m-2"),
        ("K", "tp is in K, the source's table takes it for tp in kg m-2"),
    ],
)
def test_units_that_the_table_does_not_expect_are_refused(units, says, tmp_path):
    """Though the table has a scale of its own, as of metres."""
    written(tmp_path, "tp", units, np.ones((9, 9)))
    with pytest.raises(BadInput, match=says):
        fields(tmp_path, "tp")


def test_the_units_of_a_table_go_with_its_scale(tmp_path):
    written(tmp_path, "rain", "furlong", np.full((9, 9), 3.0))
    (tmp_path / "t.yaml").write_text(
        "name: t\nfiles: ['*.nc']\nfields: {tp: {names: rain, accumulates: hour, scale: 10, units: mm}}\n"
    )
    spec = SourceSpec(type=str(tmp_path / "t.yaml"), path=str(tmp_path))
    (row,) = take_inventory("a", spec, [channel_named("tp")], PERIOD).references.to_pylist()
    assert (row["scale"], row["add_offset"]) == (10.0, 0.0)


@pytest.mark.parametrize(
    ("name", "levels", "units"),
    [("lev", [850, 500], "hPa"), ("plev", [85000.0, 50000.0], None), ("isobaric", [50000.0, 85000.0], "Pa")],
)
def test_levels_are_pressures_whatever_they_are_called(name, levels, units, tmp_path):
    numbers = np.stack([np.full((9, 9), 0.2 * level / (100 if level > 1100 else 1)) for level in levels])
    content = xr.Dataset(
        {"t": (("time", name, "latitude", "longitude"), numbers[None].astype(np.float32), {"units": "K"})},
        {
            **{"time": TIME, "latitude": LAT, "longitude": LON},
            name: (name, levels, {"units": units} if units else {}),
        },
    )
    content.to_netcdf(tmp_path / "a.nc")
    found = {channel: values[0, 0] for channel, values, _ in fields(tmp_path, "t_850", "t_500")}
    assert found == pytest.approx({"t_850": 170.0, "t_500": 100.0})


@pytest.mark.parametrize(("units", "held"), [("hPa", ["t_850"]), ("1", [])])
def test_numbers_of_model_levels_are_no_pressures_and_a_single_level_is_only_itself(units, held, tmp_path):
    written(tmp_path, "t", "K", plane(LAT[:, None], LON), level=((), 850, {"units": units}))
    assert [channel for channel, *_ in fields(tmp_path, "t_850", "t_500")] == held


@pytest.mark.parametrize(
    "lon",
    [
        np.arange(0.0, 360.0, 0.5),
        np.arange(0.0, 360.5, 0.5),
        np.arange(-180.0, 180.0, 0.5)[::-1],
        np.roll(np.arange(0.0, 360.0, 0.5), 300),
    ],
    ids=["whole circle", "first point again", "westward", "begins within"],
)
def test_longitudes_in_any_order_are_one_grid(lon, tmp_path):
    written(tmp_path, "t2m", "K", plane(LAT[:, None], (lon + 180) % 360 - 180), lon=lon)
    ((_, values, grid),) = fields(tmp_path, "t2m")
    assert grid.is_global_in_lon and grid.lon.size == 720
    box = RectilinearGrid.from_box(49, 47, -3, 3, 0.5)
    np.testing.assert_allclose(regridder(grid, box)(values), plane(*box.latlon()), atol=1e-4)


@pytest.mark.parametrize("calendar", ["GREGORIAN", "julian"])
def test_a_calendar_is_the_worlds_however_it_is_spelled(calendar, tmp_path):
    written(tmp_path, "t2m", "K", plane(LAT[:, None], LON))
    with netCDF4.Dataset(tmp_path / "a.nc", "a") as file:
        file["time"].calendar = calendar
    if calendar == "GREGORIAN":
        assert len(fields(tmp_path, "t2m")) == 1
    else:
        with pytest.raises(BadInput, match=r"a\.nc: time has the calendar julian"):
            fields(tmp_path, "t2m")


def test_times_in_fractions_of_days_are_rounded_to_seconds(tmp_path):
    written(tmp_path, "t2m", "K", plane(LAT[:, None], LON))
    with netCDF4.Dataset(tmp_path / "a.nc", "a") as file:
        file["time"].units = "days since 2020-01-01"
        file.renameVariable("time", "was")
        file.createVariable("time", "f8", ("time",))[:] = 60 + 7 / 24 - 1e-9
        file["time"].units = "days since 2020-01-01"
    spec = SourceSpec(type="era5", path=str(tmp_path))
    (row,) = take_inventory("a", spec, [channel_named("t2m")], PERIOD).references.to_pylist()
    assert str(row["valid_time"]) == "2020-03-01 07:00:00"


LAMBERT = "+proj=lcc +lat_0=48 +lon_0=20 +lat_1=40 +lat_2=55 +R=6371229"


def write_projected(folder, projection, step, mapping, standard_names, units):
    """2 m temperature on the plane, and a wind of 10 m s-1 to the east along the axes of the grid."""
    x, y = (float(each) + step * np.arange(-9, 10) for each in projection(12.0, 48.0))
    lon, lat = projection(*np.meshgrid(x, y), inverse=True)
    ahead, behind = (projection(*np.meshgrid(x + sign * step * 1e-4, y), inverse=True) for sign in (1, -1))
    along = (ahead[0] - behind[0]) * np.cos(np.deg2rad(lat)), ahead[1] - behind[1]
    u, v = 10 * along[0] / np.hypot(*along), -10 * along[1] / np.hypot(*along)
    winds = (
        ("x_wind", "y_wind") if standard_names[0] == "projection_x_coordinate" else
        ("grid_eastward_wind", "grid_northward_wind")
    )  # fmt: skip
    content = xr.Dataset({"crs": ((), 0, mapping)}, {"time": TIME})
    content["x"] = ("x", x, {"standard_name": standard_names[0], "units": units})
    content["y"] = ("y", y, {"standard_name": standard_names[1], "units": units})
    for name, numbers, unit, standard in (
        ("t2m", plane(lat, lon), "K", "air_temperature"), ("u10", u, "m s-1", winds[0]), ("v10", v, "m s-1", winds[1])
    ):  # fmt: skip
        attributes = {"units": unit, "standard_name": standard, "grid_mapping": "crs"}
        content[name] = (("time", "y", "x"), numbers[None].astype(np.float32), attributes)
    content.to_netcdf(folder / "a.nc")


@pytest.mark.parametrize("kind", ["lambert", "rotated"])
def test_a_grid_mapping_is_the_projection_of_a_file_without_latitudes(kind, tmp_path):
    if kind == "lambert":
        names = "projection_x_coordinate", "projection_y_coordinate"
        write_projected(tmp_path, Proj(LAMBERT), 2.5e4, CRS(LAMBERT).to_cf(), names, "m")
    else:
        mapping = {"grid_mapping_name": "rotated_latitude_longitude", "grid_north_pole_latitude": 39.25}
        mapping["grid_north_pole_longitude"] = -162.0
        write_projected(
            tmp_path, RotatedPole(-39.25, 18.0), 0.25, mapping, ("grid_longitude", "grid_latitude"), "degrees"
        )
    (_, t2m, grid), (_, u, _), (_, v, _) = fields(tmp_path, "t2m", "u10m", "v10m")
    assert isinstance(grid, ProjectedGrid)
    box = RectilinearGrid.from_box(49, 47, 11, 13, 0.5)
    np.testing.assert_allclose(regridder(grid, box)(t2m), plane(*box.latlon()), atol=2e-3)
    east, north = earth_relative(u, v, grid)
    np.testing.assert_allclose(east, 10.0, atol=1e-4)
    np.testing.assert_allclose(north, 0.0, atol=1e-4)


def test_latitudes_and_longitudes_overrule_a_grid_mapping_that_contradicts_them(tmp_path):
    names = "projection_x_coordinate", "projection_y_coordinate"
    write_projected(tmp_path, Proj(LAMBERT), 2.5e4, CRS(LAMBERT.replace("lon_0=20", "lon_0=0")).to_cf(), names, "m")
    with xr.open_dataset(tmp_path / "a.nc") as file:
        content = file.load()
    lon, lat = Proj(LAMBERT)(*np.meshgrid(content.x, content.y), inverse=True)
    content.assign_coords(lat=(("y", "x"), lat), lon=(("y", "x"), lon)).to_netcdf(tmp_path / "a.nc")
    ((_, values, grid),) = fields(tmp_path, "t2m")
    np.testing.assert_allclose(values, plane(*grid.latlon()), atol=1e-4)


def test_winds_along_axes_that_are_not_at_right_angles_are_not_turned():
    equal_area = "+proj=laea +lat_0=52 +lon_0=10 +ellps=GRS80"
    x, y = Proj(equal_area)(30.0, 40.0)
    with pytest.raises(BadInput, match=r"not conformal .* give eastward and northward winds"):
        ProjectedGrid(equal_area, x + 1e4 * np.arange(5), y + 1e4 * np.arange(5)).check_conformal()


def test_a_mean_is_told_by_the_name_that_the_file_gives_to_its_times(tmp_path):
    content = xr.Dataset(
        {"t2m": (("valid_time", "latitude", "longitude"), np.full((1, 9, 9), 280.0), {"units": "K"})},
        {"valid_time": ("valid_time", TIME[1]), "latitude": LAT, "longitude": LON},
    )
    content.t2m.attrs["cell_methods"] = "area: point valid_time: mean (interval: 1 hour)"
    content.to_netcdf(tmp_path / "a.nc")
    with pytest.raises(BadInput, match="t2m states that it is a mean over time"):
        fields(tmp_path, "t2m")


@pytest.mark.parametrize("attributes", [{}, {"standard_name": "model_level_number"}])
def test_numbers_of_model_levels_without_units_are_no_pressures(attributes, tmp_path):
    levels = np.arange(1, 138) if not attributes else np.arange(50, 138, 50)
    content = xr.Dataset(
        {"t": (("time", "level", "latitude", "longitude"), np.full((1, len(levels), 9, 9), 280.0), {"units": "K"})},
        {"time": TIME, "level": ("level", levels, attributes), "latitude": LAT, "longitude": LON},
    )
    content.to_netcdf(tmp_path / "a.nc")
    assert fields(tmp_path, "t_100") == []


@pytest.mark.parametrize("packed", [False, True])
def test_a_scale_on_numbers_that_are_not_packed_is_refused(packed, tmp_path):
    """As it is left behind by a program that unpacked them: scaled twice they are within the range here."""
    written(tmp_path, "t2m", "K", np.full((9, 9), 280.0))
    if packed:
        written(tmp_path, "t2m", "K", np.full((9, 9), 0))
        content = xr.load_dataset(tmp_path / "a.nc").astype(np.int16)
        content.to_netcdf(tmp_path / "a.nc")
    with netCDF4.Dataset(tmp_path / "a.nc", "a") as file:
        file["t2m"].setncatts({"scale_factor": 0.001, "add_offset": 280.0})
    if packed:
        assert fields(tmp_path, "t2m")[0][1].max() == 280
    else:
        with pytest.raises(BadInput, match=r"scale_factor 0\.001 and add_offset 280 .* may be unpacked already"):
            fields(tmp_path, "t2m")


def with_times(folder, numbers, units):
    content = xr.Dataset(
        {"t2m": (("time", "latitude", "longitude"), np.full((len(numbers), 9, 9), 280.0), {"units": "K"})},
        {"time": ("time", numbers, {"units": units}), "latitude": LAT, "longitude": LON},
    )
    content.to_netcdf(folder / "a.nc")


def test_absolute_times_of_cdo_are_decoded_to_the_second(tmp_path):
    with_times(tmp_path, 20200301 + np.arange(24 * 3600, step=1201) / 86400, "day as %Y%m%d.%f")
    rows = take_inventory("a", SourceSpec(type="era5", path=str(tmp_path)), [channel_named("t2m")], PERIOD).references
    expected = np.datetime64("2020-03-01", "s") + np.arange(24 * 3600, step=1201)
    np.testing.assert_array_equal(rows["valid_time"].to_numpy().astype("M8[s]"), expected)


@pytest.mark.parametrize(
    ("numbers", "units", "says"),
    [
        (np.array([20200230.25]), "day as %Y%m%d.%f", "20200230, which is no date"),
        (np.array([20200301.25], np.float32), "day as %Y%m%d.%f", "in float32, in which times are not exact"),
        (np.array([202003.5]), "month as %Y%m.%f", "`cdo -r copy IN OUT`"),
    ],
)
def test_absolute_times_that_are_not_exact_are_no_times(numbers, units, says, tmp_path):
    with_times(tmp_path, numbers, units)
    spec = SourceSpec(type="era5", path=str(tmp_path))
    (problem,) = take_inventory("a", spec, [channel_named("t2m")], PERIOD).problems
    assert problem.kind == "not_read" and says in problem.text


@pytest.mark.parametrize(
    ("numbers", "units"),
    [
        ([0, 1, np.nan, 3], "hours since 2020-03-01"),
        ([0, 1, netCDF4.default_fillvals["f8"], 3], "hours since 2020-03-01"),
        ([20200301, 20200301.25, np.nan, 20200301.5], "day as %Y%m%d.%f"),
    ],
)
def test_a_time_without_a_value_is_told_and_the_others_are_read(numbers, units, tmp_path):
    with_times(tmp_path, np.array(numbers), units)
    with netCDF4.Dataset(tmp_path / "a.nc", "a") as file:
        file.renameVariable("time", "written")  # with xarray's fill value, which a file need not state
        time = file.createVariable("time", "f8", ("time",))
        time.units, time[:] = units, numbers
    found = take_inventory("a", SourceSpec(type="era5", path=str(tmp_path)), [channel_named("t2m")], PERIOD)
    positions = [json.loads(each)["time"] for each in found.references["indexers"].to_pylist()]
    assert positions == [0, 1, 3]
    (problem,) = found.problems
    assert problem.kind == "not_read" and "time[2] of 0 to 3 has no value" in problem.text


@pytest.mark.parametrize(("axis", "of_time"), [("member", False), ("time", True)])
def test_a_dimension_without_a_name_in_the_table_is_told_by_what_it_holds(axis, of_time, tmp_path):
    content = xr.Dataset(
        {"t2m": (("when", "latitude", "longitude"), np.full((2, 9, 9), 280.0), {"units": "K"})},
        {"latitude": LAT, "longitude": LON, "when": [0, 1]},
    )
    if of_time:
        content = content.assign_coords(when=np.array(["2020-03-01T00", "2020-03-01T01"], "M8[ns]"))
    content.to_netcdf(tmp_path / "a.nc")
    with pytest.raises(BadInput, match=rf"dims: \{{{axis}: when\}}"):
        fields(tmp_path, "t2m")


@pytest.mark.parametrize("along_grid", [None, True, False])
def test_a_wind_on_a_turned_grid_that_does_not_say_what_it_is_along_is_refused(along_grid, tmp_path):
    axes = {"rlat": np.arange(-2.0, 2.5), "rlon": np.arange(-2.0, 2.5)}
    pole = {"grid_mapping_name": "rotated_latitude_longitude", "grid_north_pole_latitude": 40.0}
    content = xr.Dataset(
        {
            "u10": (("time", *axes), np.ones((1, 5, 5)), {"units": "m s-1", "grid_mapping": "pole"}),
            "pole": ((), 0, pole),
        },
        {"time": TIME, **axes},
    )
    for name in axes:
        content[name].attrs = {"standard_name": f"grid_{'latitude' if name == 'rlat' else 'longitude'}"}
    content.pole.attrs["grid_north_pole_longitude"] = -170.0
    content.to_netcdf(tmp_path / "a.nc")
    rule = "" if along_grid is None else f", along_grid: {str(along_grid).lower()}"
    (tmp_path / "t.yaml").write_text(f"name: t\nfiles: ['*.nc']\nfields: {{u10m: {{names: u10{rule}}}}}\n")
    spec = SourceSpec(type=str(tmp_path / "t.yaml"), path=str(tmp_path))
    if along_grid is None:
        with pytest.raises(BadInput, match=r"does not say whether the wind is along the grid.* along_grid: true"):
            take_inventory("a", spec, [channel_named("u10m")], PERIOD)
    else:
        found = take_inventory("a", spec, [channel_named("u10m")], PERIOD).references
        assert found["grid_relative"].to_pylist() == [along_grid]


@pytest.mark.parametrize("limits", [{"valid_range": (200.0, 320.0)}, {"valid_max": 320.0}, {"valid_min": 9000.0}])
def test_numbers_outside_the_limits_that_a_file_states_are_missing(limits, tmp_path):
    numbers = plane(LAT[:, None], LON)
    numbers[4, 4] = 9999
    written(tmp_path, "t2m", "K", numbers)
    with netCDF4.Dataset(tmp_path / "a.nc", "a") as file:
        file["t2m"].setncatts({name: np.array(limit, np.float32) for name, limit in limits.items()})
    ((_, values, _),) = fields(tmp_path, "t2m")
    left_out = numbers < 9000 if "valid_min" in limits else numbers == 9999
    np.testing.assert_array_equal(np.isnan(values), left_out)


@pytest.mark.parametrize("kind", [np.int16, np.float32])
def test_limits_of_packed_numbers_are_packed_where_they_are_whole(kind, tmp_path):
    """Others, as in old reanalyses, contradict the conventions."""
    content = xr.Dataset(
        {"t2m": (("time", "latitude", "longitude"), np.full((1, 9, 9), 290.0), {"units": "K"})},
        {"time": TIME, "latitude": LAT, "longitude": LON},
    )
    content.t2m.values[0, 4, 4] = 250
    content.t2m.attrs["valid_range"] = np.array([0, 4000], kind)
    content.to_netcdf(tmp_path / "a.nc", encoding={"t2m": {"dtype": "i2", "scale_factor": 0.01, "add_offset": 280.0}})
    ((_, values, _),) = fields(tmp_path, "t2m")
    assert np.isnan(values).sum() == (1 if kind is np.int16 else 0)


@pytest.mark.parametrize(("last", "says"), [("2015-03-02_07:00:00", ""), ("2015-02-30_07:00:00", "does not exist")])
def test_times_of_wrf_are_text(tmp_path, last, says):
    texts = np.array(["2015-03-02_06:00:00", last], "S19")
    lat, lon = np.meshgrid([43.0, 43.1], [-117.0, -116.9], indexing="ij")
    axes = {"XLAT": (("south_north", "west_east"), lat), "XLONG": (("south_north", "west_east"), lon)}
    field = (("Time", "south_north", "west_east"), np.arange(8.0).reshape(2, 2, 2) + 280, {"units": "K"})
    xr.Dataset({"T2": field, "Times": ("Time", texts)}, axes).to_netcdf(tmp_path / "wrfout.nc")
    (tmp_path / "wrf.yaml").write_text("name: wrf\nfields: {t2m: {names: T2}}\n")
    period = Interval(parse_time("2015-03-02T07"), parse_time("2015-03-02T08"))
    spec = SourceSpec(type=str(tmp_path / "wrf.yaml"), path=str(tmp_path / "wrfout.nc"))
    found = take_inventory("a", spec, [channel_named("t2m")], period)
    if says:
        assert says in found.problems[0].text
    else:
        values, _ = read_reference(FieldReference.from_row(found.references.to_pylist()[0]), {})
        np.testing.assert_array_equal(np.sort(values.ravel()), np.arange(4.0) + 284)
