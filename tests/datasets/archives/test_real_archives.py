"""Real archives, as they are delivered, become stores that equal them."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from pyproj import Proj
from scipy.interpolate import RegularGridInterpolator

from corrstore.beam_pipelines.spreading.spread import Runner
from corrstore.beam_pipelines.verify import verify
from corrstore.datasets.archives.inventory import take_inventory
from corrstore.datasets.archives.references import FieldReference
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.recipe.periods import Interval, parse_time
from corrstore.datasets.recipe.recipe import recipe_from
from corrstore.datasets.recipe.source import SourceSpec
from corrstore.datasets.samples.preparation import prepare
from corrstore.datasets.samples.reading import read_reference
from corrstore.datasets.store.constants import storage_error
from corrstore.datasets.store.ledger import REPORT
from corrstore.datasets.store.opening import open_store
from corrstore.datasets.variables.channels import channel_named
from tests.conftest import QUIET, build_in_process
from tests.hrrr import HRRR_CRS, hrrr_grid
from tests.paths import SHARED, needs_shared

pytestmark = needs_shared


def inventory(source_type: str, path, channels: list[str], start: str, end: str):
    """Return the inventory of the channels in [start, end)."""
    spec = SourceSpec(type=source_type, path=str(path))
    period = Interval(parse_time(start), parse_time(end))
    return take_inventory("archive", spec, [channel_named(name) for name in channels], period)


@pytest.fixture(scope="module")
def hrrr_store(hrrr_build):
    url, result = hrrr_build
    return open_store(url), result


@pytest.mark.slow
def test_hrrr_fills_every_hour_and_equals_its_source(hrrr_store):
    store, result = hrrr_store
    assert (result.written, result.report.valid) == (41, 41)
    assert len(store.plan.channels("target")) >= 10
    verdict = verify(store, Runner(workers=1), QUIET, against_source=41)
    assert verdict.passed and verdict.compared == 41


def test_the_two_duplicate_leads_are_set_aside_and_told(hrrr_store):
    _, result = hrrr_store
    assert result.report.notes["fields held more than once, the first taken"] == 2 * 12  # channels


def test_hrrr_temperature_is_what_cfgrib_reads_between_the_four_points_around(hrrr_store):
    store, _ = hrrr_store
    file = SHARED / "km/hrrr_rme_hourly/hrrr.20180722/hrrr.t18z.wrfsfcf01.grib2"
    raw = xr.open_dataset(
        file, engine="cfgrib", backend_kwargs={"filter_by_keys": {"shortName": "2t"}, "indexpath": ""}
    )
    index = int(np.flatnonzero(store.times == np.datetime64("2018-07-22T19", "s"))[0])
    lon, lat = np.meshgrid(store.grid("target").lon, store.grid("target").lat)
    plane, *_ = hrrr_grid(file)
    x, y = Proj(HRRR_CRS)(lon, lat)
    expected = RegularGridInterpolator((plane.y, plane.x), raw.t2m.values.astype(np.float64))((y, x))
    error = storage_error(store.recipe, channel_named("t2m"))
    assert expected.std() > 20 * error
    np.testing.assert_allclose(store.physical("target", index)[0], expected, atol=error + 0.001, rtol=0)


def averages(field, grid, coarse):
    """The averages of cells over coarse cells by the area that they share on the sphere; NaN where not filled."""

    def shares(edges, coarse_edges):
        low, high = np.sort([edges[:-1], edges[1:]], axis=0)
        coarse_low, coarse_high = np.sort([coarse_edges[:-1], coarse_edges[1:]], axis=0)[..., None]
        shared = np.clip(np.minimum(high, coarse_high) - np.maximum(low, coarse_low), 0, None)
        filled = np.isclose(shared.sum(axis=1), (coarse_high - coarse_low)[:, 0], rtol=1e-9)
        return shared / np.where(filled, shared.sum(axis=1), np.nan)[:, None]

    (lat, lon), (coarse_lat, coarse_lon) = grid.edges(), coarse.edges()
    rows = shares(np.sin(np.deg2rad(lat)), np.sin(np.deg2rad(coarse_lat)))
    return rows @ field.astype(np.float64) @ shares(lon, coarse_lon).T


def test_coarse_input_is_the_average_of_the_target(hrrr_store):
    """Every coarse cell that target cells fill is their average, within the errors of storing both."""
    store, _ = hrrr_store
    for position, channel in enumerate(store.plan.channels("target")):
        target, coarse = (store.physical(role, 10)[position] for role in ("target", "input"))
        expected = averages(target, store.grid("target"), store.grid("input"))
        filled = ~np.isnan(expected)
        assert filled.sum() > 20
        np.testing.assert_allclose(
            coarse[filled],
            expected[filled],
            atol=2 * storage_error(store.recipe, channel),
            rtol=0,
            err_msg=channel.name,
        )


@pytest.fixture(scope="module")
def iceland_recipe():
    """ERA5 over Iceland, 36 of its 72 hours, from its own average at one degree."""
    return recipe_from(
        {
            "name": "iceland",
            "period": {"start": "2011-01-01", "end": "2011-01-02T12", "frequency": "1h"},
            "splits": {"train": {"start": "2011-01-01", "end": "2011-01-01T12"}},
            "sources": {
                "era5": {"type": "era5", "path": str(SHARED / "era5"), "files": ["era5_iceland_*.grib"]},
                "twin": {"type": "coarsened", "of": "era5"},
            },
            "input": {
                "source": "twin",
                "grid": {"north": 72, "south": 58, "west": -26, "east": -12, "step": 1},
                "halo": 1,
                "channels": ["u10m", "v10m", "msl"],
            },
            "target": {
                "source": "era5",
                "grid": {"north": 71, "south": 59, "west": -25, "east": -13, "step": 0.25},
                "channels": ["u10m", "v10m", "msl"],
            },
            "store": {"dtype": "float32", "chunk": 16},
        }
    )


@pytest.mark.slow
def test_era5_builds_with_its_coarsened_twin(iceland_recipe, tmp_path):
    build_in_process(iceland_recipe, tmp_path / "store")
    store = open_store(str(tmp_path / "store"))
    assert store.valid.all() and len(store.times) == 36
    assert verify(store, Runner(workers=1), QUIET, against_source=6).passed
    raw = xr.open_dataset(
        SHARED / "era5/era5_iceland_10u10vmsl_72h.grib",
        engine="cfgrib",
        backend_kwargs={"filter_by_keys": {"shortName": "msl"}, "indexpath": ""},
    )
    ours = store.dataset("target").msl.isel(time=30).load()
    theirs = raw.msl.isel(time=30).sel(latitude=ours.lat.values, longitude=ours.lon.values)
    np.testing.assert_allclose(ours.values, theirs.values, atol=0.02)
    source = RectilinearGrid(raw.latitude.values, raw.longitude.values)
    expected = averages(raw.msl.isel(time=30).values, source, store.grid("input"))
    assert not np.isnan(expected).any()
    np.testing.assert_allclose(store.dataset("input").msl.isel(time=30).load(), expected, atol=0.02)


def test_another_members_or_grids_field_is_refused(iceland_recipe):
    content = iceland_recipe.model_dump(mode="json")
    content["sources"]["era5"]["files"] = ["era5_levels_members_z_t.grib"]
    content["period"] = {"start": "2017-01-01", "end": "2017-01-03", "frequency": "12h"}
    content["splits"] = {"train": {"start": "2017-01-01", "end": "2017-01-02"}}
    content["input"] |= {"channels": ["z_500"], "halo": 0}
    content["target"]["channels"] = ["z_500"]
    with pytest.raises(ValueError, match="10 streams of z_500, of different members"):
        prepare(recipe_from(content))


def test_final_and_preliminary_era5_are_told_apart():
    found = inventory(
        "era5", SHARED / "era5/era5_expver_0001_0005_mixed_2t_2025.grib", ["t2m"], "2025-01-01", "2025-06-01"
    )
    counts = found.references.group_by("expver").aggregate([("path", "count")]).to_pylist()
    assert {row["expver"] for row in counts} == {"0001", "0005"}
    assert sum(row["path_count"] for row in counts) == 3117


@pytest.mark.parametrize(
    ("file", "channels", "start", "end", "fields"),
    [
        ("era5_finse_SURF_201810.nc", ["t2m", "tp"], "2018-10-01", "2018-11-01", 2 * 744),
        ("era5_us_d2m_u10_v10_25h_chunk.nc", ["d2m", "u10m", "v10m"], "2018-01-01", "2018-02-01", 3 * 25),
        ("era5_global025_2t_20170101T12_latAsc_lon180.nc", ["t2m"], "2017-01-01", "2017-01-02", 1),
        ("cds_new_instant_sst_expverStr.nc", ["sst"], "2000-01-01", "2001-01-01", 24),
        ("cds_new_zip_named_nc_instant_accum.nc", ["sst"], "2000-01-01", "2001-01-01", 24),
        ("era5land_zip_named_nc.nc", ["tp"], "2020-01-01", "2020-02-01", 744),
    ],
)
def test_netcdf_of_either_age_and_zips_in_disguise(file, channels, start, end, fields):
    found = inventory("era5", SHARED / "era5" / file, channels, start, end)
    assert found.problems == []
    assert len(found.references) == fields
    values, grid = read_reference(FieldReference.from_row(found.references.to_pylist()[-1]), {})
    assert values.shape == grid.shape


def test_one_hour_is_the_same_field_from_grib_and_netcdf():
    """The global NetCDF has ascending latitudes from -180, the GRIB a box with descending ones."""
    from corrstore.datasets.grids.regrid import regridder

    fields = []
    box = RectilinearGrid.from_box(60, 30, -10, 40, 0.25)
    for file in ("era5_global025_2t_20170101T12_latAsc_lon180.nc", "era5_single_level_scalar_time.grib"):
        found = inventory("era5", SHARED / "era5" / file, ["t2m"], "2017-01-01", "2017-01-02")
        values, grid = read_reference(FieldReference.from_row(found.references.to_pylist()[0]), {})
        fields.append(regridder(grid, box)(values))
    np.testing.assert_array_equal(fields[0], fields[1])


def test_era5_land_accumulates_from_midnight_whatever_its_step_range_says():
    path = SHARED / "era5/era5land_9var_202001_mixedEdition.grib"
    by_day = inventory("era5_land", path, ["tp"], "2020-01-01", "2020-02-01")
    rows = by_day.references.to_pylist()
    assert all(row["window_start"].hour == 0 for row in rows)
    lengths = {(row["valid_time"] - row["window_start"]).total_seconds() / 3600 for row in rows}
    assert lengths == set(range(1, 25))


def test_a_micaps_text_is_a_problem_not_a_crash(tmp_path):
    (tmp_path / "a.grib2").write_bytes((SHARED / "cma/micaps4_ec_19051708.024").read_bytes())
    found = inventory("cma_gfs", tmp_path, ["t_1000"], "2018-08-08", "2018-08-09")
    assert [problem.kind for problem in found.problems] == ["not_grib"]


def test_real_cma_gfs_lies_half_a_cell_off_era5():
    found = inventory(
        "cma_gfs", SHARED / "cma/cma_grapes_gfs_025_t_2lev_20180808.grb2", ["t_1000"], "2018-08-08", "2018-08-09"
    )
    (row,) = found.references.to_pylist()
    _, grid = read_reference(FieldReference.from_row(row), {})
    assert grid.shape == (720, 1440)
    np.testing.assert_allclose(grid.lat[[0, -1]], [89.875, -89.875])


def test_a_truncated_download_is_named_with_its_offset(tmp_path):
    found = inventory("hrrr", SHARED / "awkward/hrrr_truncated_2MiB.grib2", ["refc"], "2023-09-14", "2023-09-15")
    (problem,) = found.problems
    assert problem.kind == "truncated" and problem.offset > 0
    assert len(found.references) == 1  # what lies before the cut is whole


def test_the_report_of_a_store_names_what_was_set_aside(hrrr_store):
    store, _ = hrrr_store
    assert b"held more than once, the first taken" in store.folder.read(REPORT)
