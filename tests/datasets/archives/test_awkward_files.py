"""Real files that break readers: what each of them holds, or why it is refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import pyarrow.compute as pc
import pytest
import xarray
from pyproj import Proj

from corrstore.datasets.archives.grib.decode import read_field
from corrstore.datasets.archives.grib.handle import eccodes, message_handle
from corrstore.datasets.archives.grib.index import index_file
from corrstore.datasets.errors import BadInput, CorrstoreError
from corrstore.datasets.grids.projected import ProjectedGrid
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.grids.scattered.points import PointsGrid
from tests.paths import SHARED, needs_shared

pytestmark = needs_shared

AWKWARD = SHARED / "awkward"
CMA_GFS = "../cma/cma_grapes_gfs_025_t_2lev_20180808.grb2"


@dataclass(frozen=True)
class Holds:
    """Fields on a grid of this shape with these corners (latitude, longitude), as ecCodes' iterator has them."""

    fields: int
    shape: tuple[int, int]
    north_west: tuple[float, float]
    south_east: tuple[float, float]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refuses:
    """Fields that are listed, but whose grid is refused in these words."""

    fields: int
    says: str


EXPECTED: dict[str, Holds | Refuses] = {
    CMA_GFS: Holds(2, (720, 1440), (89.875, 0.0), (-89.875, 359.75)),
    "all_missing_vals.grib": Holds(1, (37, 72), (90, 0), (-90, 355)),
    "alternate-scanning.grib": Holds(1, (171, 291), (51, 350), (34, 19)),
    "cfrzr_and_cprat.grib": Holds(4, (45, 90), (88, 0), (-88, 356)),
    "cmc_glb_S2N_lon180start.grib2": Holds(1, (751, 1500), (90, 180), (-90, 179.76)),
    "constant_no_bitsPerValue.grib2": Holds(1, (121, 601), (90, 60), (60, 210)),
    "ds.waveh.5.grib": Holds(1, (1793, 2517), (79.99153, 129.90601), (-30.4192, 10.68922)),
    "era5land_accum_point_2019.grib": Holds(240, (1, 1), (41, 14), (41, 14)),
    "fields_with_missing_values.grib": Holds(2, (91, 180), (90, 0), (-90, 358)),
    "forecast_monthly_ukmo.grib": Holds(168, (6, 11), (45, 10), (40, 20)),
    "gaussian_avg_instant_237msg.grib2": Holds(237, (94, 192), (88.542, 0), (-88.542, 358.125)),
    "gfs.complex.grib2": Holds(1, (721, 1440), (90, 0), (-90, 359.75)),
    "gfs.jpeg.grib2": Holds(1, (721, 1440), (90, 0), (-90, 359.75)),
    "gfs.png.grib2": Holds(1, (721, 1440), (90, 0), (-90, 359.75)),
    "hrrr_truncated_2MiB.grib2": Holds(
        4, (1059, 1799), (47.83862, 225.90452), (21.14055, 287.71028), problems=("truncated",)
    ),
    "ifs_oper_ccsds_5fields.grib2": Holds(5, (721, 1440), (90, 180), (-90, 179.75)),
    "ij_directions/ineg_jneg.grib2": Holds(1, (73, 96), (90, 0), (-90, 356.25)),
    "ij_directions/ineg_jpos.grib2": Holds(1, (73, 96), (90, 0), (-90, 356.25)),
    "ij_directions/ipos_jneg.grib2": Holds(1, (73, 96), (90, 0), (-90, 356.25)),
    "ij_directions/ipos_jpos.grib2": Holds(1, (73, 96), (90, 0), (-90, 356.25)),
    "lambert_grid.grib": Holds(1, (475, 475), (58.93909, 352.67650), (48.37827, 11.01163)),
    "missing_values.grib2": Holds(1, (73, 144), (90, 0), (-90, 357.5)),
    "no-radius-shapeOfEarth-7.grb2": Holds(1, (401, 701), (49.36381, 8.09824), (45.80395, 17.45183)),
    "reduced_gg.grib": Holds(1, (1, 13280), (88.572169, 0.0), (-88.572169, 342.0)),
    "regular_gg_ml_g2.grib": Holds(3, (160, 320), (89.1415, 0), (-89.1415, 358.875)),
    "regular_gg_wrong_increment.grib": Refuses(1, "64 x 192 points, but there are 18432 values"),
    "scanning_mode96.grib2": Holds(1, (3, 2), (2, 0), (0, 1)),
    "scanning_mode_64.grib": Holds(1, (37, 72), (90, 0), (-90, 355)),
    "single_gridpoint.grib": Holds(6, (1, 1), (51.07, 7.27), (51.07, 7.27)),
    "step_60m.grib": Holds(73, (3, 3), (46, 9), (45, 10)),
    "t_on_different_level_types.grib": Holds(2, (37, 72), (90, 0), (-90, 355)),
    "wmo_bulletin_header40.grib": Holds(1, (145, 288), (90, 0), (-90, 358.75)),
    "zt_multi_expvers.grib": Holds(16, (7, 18), (90, 0), (-90, 340)),
}

HELD = [name for name, expected in EXPECTED.items() if isinstance(expected, Holds)]
REFUSED = [name for name, expected in EXPECTED.items() if isinstance(expected, Refuses)]
ALTERNATING = "alternate-scanning.grib", "ds.waveh.5.grib"


def rows(name: str) -> list[dict]:
    return index_file(AWKWARD / name).messages.to_pylist()


def field_of(name: str, row: dict):
    return read_field(AWKWARD / name, row["offset"], row["length"], row["part"])


@cache
def first_field(name: str):
    return field_of(name, rows(name)[0])


def message_of(name: str, row: dict) -> bytes:
    with (AWKWARD / name).open("rb") as file:
        file.seek(row["offset"])
        return file.read(row["length"])


def values_at(field, lat, lon):
    """The field's values at its own points, found by coordinate."""
    grid = field.grid
    if isinstance(grid, RectilinearGrid):
        row = np.abs(lat[:, None] - grid.lat).argmin(axis=1)
        column = np.abs((lon[:, None] - grid.lon + 180) % 360 - 180).argmin(axis=1)
        np.testing.assert_allclose(grid.lat[row], lat, atol=1e-4)
        np.testing.assert_allclose((grid.lon[column] - lon + 180) % 360, 180, atol=1e-4)
    elif isinstance(grid, PointsGrid):
        row = np.zeros(lat.size, int)
        away = (
            np.hypot(grid.lat - one, (grid.lon - other + 180) % 360 - 180) for one, other in zip(lat, lon, strict=True)
        )
        column = np.array([each.argmin() for each in away])
    else:
        x, y = Proj(grid.crs)(lon, lat)
        row, column = np.abs(y[:, None] - grid.y).argmin(axis=1), np.abs(x[:, None] - grid.x).argmin(axis=1)
        np.testing.assert_allclose(grid.y[row], y, atol=0.01)
        np.testing.assert_allclose(grid.x[column], x, atol=0.01)
    return field.values[row, column]


def test_every_file_of_the_folder_has_an_expectation():
    files = {path.relative_to(AWKWARD).as_posix() for path in AWKWARD.rglob("*") if path.is_file()}
    assert files == set(EXPECTED) - {CMA_GFS}


@pytest.mark.parametrize("name", list(EXPECTED))
def test_every_field_is_listed_and_every_problem_named(name):
    index = index_file(AWKWARD / name)
    assert index.messages.num_rows == EXPECTED[name].fields
    assert tuple(problem.kind for problem in index.problems) == getattr(EXPECTED[name], "problems", ())


@pytest.mark.parametrize("name", HELD)
def test_the_first_field_lies_north_first_and_west_first(name):
    expected = EXPECTED[name]
    field = first_field(name)
    assert field.values.shape == field.grid.shape == expected.shape
    if isinstance(field.grid, ProjectedGrid):
        assert field.grid.y[0] > field.grid.y[-1]
        assert field.grid.x[0] < field.grid.x[-1]
    lat, lon = field.grid.latlon()
    assert (lat[0, 0], lon[0, 0] % 360) == pytest.approx(expected.north_west, abs=1e-4)
    assert (lat[-1, -1], lon[-1, -1] % 360) == pytest.approx(expected.south_east, abs=1e-4)


@pytest.mark.parametrize("name", [name for name in HELD if name not in ALTERNATING])
def test_values_are_where_eccodes_has_them(name):
    """A thousand points of the last field, against float64 values at ecCodes' own coordinates."""
    row = rows(name)[-1]
    with message_handle(message_of(name, row)) as handle:
        eccodes.codes_set(handle, "missingValue", np.nan)
        lat, lon, values = (eccodes.codes_get_array(handle, key) for key in ("latitudes", "longitudes", "values"))
    field = field_of(name, row)
    assert np.isnan(field.values).sum() == np.isnan(values).sum()
    sample = np.random.default_rng(0).integers(0, values.size, 1000)
    np.testing.assert_allclose(values_at(field, lat[sample], lon[sample]), values[sample], rtol=2.0**-22)


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_the_file_and_the_grid(name):
    with pytest.raises(CorrstoreError, match=EXPECTED[name].says) as refusal:
        first_field(name)
    assert str(AWKWARD / name) in str(refusal.value)


def test_alternating_rows_against_cfgrib():
    with xarray.open_dataset(
        AWKWARD / "alternate-scanning.grib", engine="cfgrib", backend_kwargs={"indexpath": ""}
    ) as opened_by_cfgrib:
        field = first_field("alternate-scanning.grib")
        np.testing.assert_array_equal(field.values, opened_by_cfgrib["t2m"].values)
        np.testing.assert_allclose(field.grid.lon, opened_by_cfgrib["longitude"].values, atol=1e-9)


def test_alternating_rows_of_a_mercator_grid_against_eccodes_iterator():
    """Rows are 2517 long: 4 and 5 are one of each direction."""
    name = "ds.waveh.5.grib"
    with message_handle(message_of(name, rows(name)[0])) as handle:
        iterator = eccodes.codes_grib_iterator_new(handle, 0)
        points = [eccodes.codes_grib_iterator_next(iterator) for _ in range(6 * 2517)]
        eccodes.codes_grib_iterator_delete(iterator)
        missing = eccodes.codes_get(handle, "missingValue", float)
    lat, lon, values = np.array(points[4 * 2517 :: 7]).T
    got = values_at(first_field(name), lat, lon)
    np.testing.assert_allclose(got, np.where(values == missing, np.nan, values), rtol=2.0**-22)


def test_a_field_without_a_single_value_is_nan():
    assert np.isnan(first_field("all_missing_vals.grib").values).all()


def test_sea_waves_are_missing_over_land():
    """Complex packing marks missing values without a bitmap."""
    waves = first_field("ds.waveh.5.grib").values
    assert np.isnan(waves).sum() == 3431422
    assert 0.0 <= np.nanmin(waves) < np.nanmax(waves) < 40.0


def test_four_scan_directions_of_one_field_are_one_field():
    fields = [first_field(f"ij_directions/{i}_{j}.grib2") for i in ("ineg", "ipos") for j in ("jneg", "jpos")]
    for other in fields[1:]:
        np.testing.assert_array_equal(other.values, fields[0].values)
        assert other.grid == fields[0].grid


def test_a_truncated_download_keeps_four_fields_and_names_the_fifth():
    index = index_file(AWKWARD / "hrrr_truncated_2MiB.grib2")
    (problem,) = index.problems
    last = index.messages.to_pylist()[-1]
    assert problem.offset == last["offset"] + last["length"] == 1971449
    assert "1411276 bytes" in problem.text


def test_grib_read_from_jpeg_and_from_png_is_the_same():
    np.testing.assert_array_equal(first_field("gfs.jpeg.grib2").values, first_field("gfs.png.grib2").values)


def test_cma_gfs_lies_half_a_cell_off_era5():
    cold, colder = rows(CMA_GFS)
    assert [row["level"] for row in (cold, colder)] == [100000.0, 97500.0]
    assert {(row["discipline"], row["category"], row["number"], row["level_type"]) for row in (cold, colder)} == {
        (0, 0, 0, 100)
    }
    assert cold["centre"] == "babj"
    assert cold["init_time"] == cold["valid_time"] == datetime(2018, 8, 8, tzinfo=UTC)
    field = field_of(CMA_GFS, cold)
    np.testing.assert_allclose(field.grid.lat, 89.875 - 0.25 * np.arange(720), atol=1e-9)
    with xarray.open_dataset(AWKWARD / CMA_GFS, engine="cfgrib", backend_kwargs={"indexpath": ""}) as opened_by_cfgrib:
        np.testing.assert_array_equal(field.values, opened_by_cfgrib["t"].sel(isobaricInhPa=1000).values)


def test_both_versions_of_a_field_are_kept():
    """The operational one and an experiment's; cfgrib keeps 8 of the 16."""
    table = index_file(AWKWARD / "zt_multi_expvers.grib").messages
    keys = table.select(["parameter", "level", "valid_time", "expver"]).to_pylist()
    assert len({tuple(key.values()) for key in keys}) == 16
    assert sorted(pc.value_counts(table["expver"]).to_pylist(), key=str) == [
        {"values": "0001", "counts": 8},
        {"values": "xxyz", "counts": 8},
    ]


def test_preliminary_era5_is_told_from_final():
    table = index_file(SHARED / "era5/era5_expver_0001_0005_mixed_2t_2025.grib").messages
    assert table.num_rows == 3117
    assert set(table["expver"].to_pylist()) == {"0001", "0005"}
    preliminary = table.filter(pc.equal(table["expver"], "0005"))
    final = table.filter(pc.equal(table["expver"], "0001"))
    assert pc.max(final["valid_time"]).as_py() < pc.min(preliminary["valid_time"]).as_py()


def test_accumulations_of_era5_land_carry_the_window_that_their_header_states():
    table = index_file(AWKWARD / "era5land_accum_point_2019.grib").messages
    radiation = table.filter(pc.equal(table["process"], "accum")).to_pylist()
    assert {row["short_name"] for row in radiation} == {"ssr", "ssrd"}
    assert all(row["valid_time"] - row["window_start"] == timedelta(hours=1) for row in radiation)
    midnight = [row for row in radiation if row["valid_time"] == datetime(2019, 1, 1, tzinfo=UTC)]
    assert {row["init_time"] for row in midnight} == {datetime(2018, 12, 31, tzinfo=UTC)}
    others = table.filter(pc.equal(table["process"], "instant"))
    assert others["window_start"].null_count == others.num_rows > 0


def test_soil_levels_are_depths_in_metres():
    table = index_file(AWKWARD / "era5land_accum_point_2019.grib").messages
    soil = table.filter(pc.equal(table["short_name"], "stl1")).to_pylist()
    assert {(row["level_type"], row["level"], row["level_2"]) for row in soil} == {(112, 0.0, 0.07)}


def test_two_editions_in_one_file():
    table = index_file(SHARED / "era5/era5land_9var_202001_mixedEdition.grib").messages
    assert table.num_rows == 9 * 744
    snow = table.filter(pc.equal(table["edition"], 2))
    assert set(snow["short_name"].to_pylist()) == {"snowc"}
    assert snow.num_rows == 744
    assert table.filter(pc.equal(table["edition"], 1)).num_rows == 8 * 744


def test_steps_in_minutes():
    times = [row["valid_time"] for row in rows("step_60m.grib")]
    assert times == [datetime(2024, 1, 15, tzinfo=UTC) + timedelta(hours=hour) for hour in range(73)]


def test_windows_of_minutes():
    path = SHARED / "km/hrrr.wrfsubhf.sample.grib2"
    reflectivity, radiation = index_file(path).messages.to_pylist()
    assert (reflectivity["process"], reflectivity["window_start"]) == ("instant", None)
    assert reflectivity["valid_time"] == datetime(2022, 10, 14, 1, 15, tzinfo=UTC)
    assert (radiation["process"], radiation["window_start"]) == ("avg", datetime(2022, 10, 14, 1, tzinfo=UTC))
    assert radiation["valid_time"] == datetime(2022, 10, 14, 1, 15, tzinfo=UTC)
    (row,) = rows("no-radius-shapeOfEarth-7.grb2")
    assert (row["window_start"], row["valid_time"]) == (
        datetime(2018, 4, 10, 0, 15, tzinfo=UTC),
        datetime(2018, 4, 10, 0, 30, tzinfo=UTC),
    )


def test_one_name_on_two_kinds_of_level():
    pressure, model = rows("t_on_different_level_types.grib")
    assert pressure["short_name"] == model["short_name"] == "t"
    assert (pressure["edition"], pressure["level_type"], pressure["level"]) == (1, 100, 10000.0)
    assert (model["edition"], model["level_type"], model["level"]) == (2, 105, 100.0)


def test_an_average_and_an_instant_of_one_number():
    processes = {(row["category"], row["number"], row["process"]) for row in rows("cfrzr_and_cprat.grib")}
    assert len(processes) == 4
    assert {process for *_, process in processes} == {"avg", "instant"}


def test_micaps_text_is_refused_by_name():
    path = SHARED / "cma/micaps4_ec_19051708.024"
    with pytest.raises(BadInput, match="MICAPS") as refusal:
        index_file(path)
    assert str(path) in str(refusal.value)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("era5/era5land_zip_named_nc.nc", "ZIP"),
        ("era5/cds_new_zip_named_nc_instant_accum.nc", "ZIP"),
        ("era5/cds_new_accum_fluxes_expverStr.nc", "HDF5"),
        ("era5/era5_finse_SURF_201810.nc", "classic"),
    ],
)
def test_what_is_delivered_as_something_else_is_named(path, says):
    with pytest.raises(BadInput, match=says):
        index_file(SHARED / path)


def test_a_rotated_grid_lies_where_eccodes_puts_it():
    path = SHARED / "static/harmonie_ecoclimap_rotated_lsm_z.grib1"
    index = index_file(path)
    assert index.messages.num_rows == 22
    assert {problem.kind for problem in index.problems} == {"not_grib", "padding"}
    row = index.messages.to_pylist()[0]
    field = read_field(path, row["offset"], row["length"])
    with message_handle(path.read_bytes()[row["offset"] :][: row["length"]]) as handle:
        stated = [eccodes.codes_get_array(handle, key) for key in ("latitudes", "longitudes", "values")]
    lat, lon, values = (each.reshape(186, 186)[::-1] for each in stated)
    np.testing.assert_allclose(field.grid.latlon(), [lat, lon], atol=1e-5)
    np.testing.assert_allclose(field.values, values, rtol=2.0**-22)
