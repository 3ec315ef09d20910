"""CMA-GFS, CMA-MESO and SFF: names, grids, windows and streams of their SYNTHETIC forecasts."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from corrstore.datasets.archives.grib.handle import eccodes
from corrstore.datasets.archives.inventory import Inventory, take_inventory
from corrstore.datasets.archives.references import FieldReference
from corrstore.datasets.errors import BadInput
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.grids.regrid import regridder
from corrstore.datasets.recipe.periods import Interval, parse_time
from corrstore.datasets.recipe.source import SourceSpec
from corrstore.datasets.samples.reading import read_reference
from corrstore.datasets.samples.streams import refuse_mixtures
from corrstore.datasets.synthetic import ForecastSpec, rerun, synthesise_forecasts
from corrstore.datasets.variables.channels import channel_named
from tests.conftest import END, START, spec
from tests.small_archives import FIRST, grib2

GFS = ("t2m", "d2m", "q2m", "u10m", "v10m", "sp", "msl", "tp", "z_500", "t_850", "u_850", "v_850", "q_850", "orog")
MESO = (*GFS, "refc")


def inventory(source_type: str, folder: Path, channels: tuple[str, ...], **select: object) -> Inventory:
    source = SourceSpec(type=source_type, path=str(folder), select=select)
    period = Interval(parse_time(START), parse_time(END))
    return take_inventory("runs", source, [channel_named(name) for name in channels], period)


@pytest.fixture(scope="module")
def cold(tmp_path_factory) -> Path:
    """One run with a cold start of CMA-MESO, of CMA-GFS at 0.125 degrees, under the names of CMADaaS."""
    folder = tmp_path_factory.mktemp("cold")
    made = ForecastSpec(spec(), runs=1, leads=1, gfs_step=0.125, names="cmadaas", faults=frozenset({"cold_start"}))
    synthesise_forecasts(folder, made)
    return folder


@pytest.mark.parametrize(("source_type", "channels"), [("cma_gfs", GFS), ("cma_meso", MESO), ("sff", GFS)])
def test_every_channel_of_every_run_and_lead_is_found(forecasts, source_type, channels):
    found = inventory(source_type, forecasts.directory / source_type, channels)
    assert not found.problems
    rows = [row for row in found.references.to_pylist() if row["channel"] != "orog"]
    leads = {(row["init_time"].isoformat(), row["lead_time"] // 3600) for row in rows}
    assert leads == {(init, lead) for init in ("2020-06-01T12:00:00", "2020-06-02T00:00:00") for lead in (3, 6, 9, 12)}
    assert len(rows) == 8 * (len(channels) - 1)
    windows = [row for row in rows if row["window_start"] is not None]
    assert {row["channel"] for row in windows} == {"tp"}
    assert all(row["window_start"] == row["init_time"] for row in windows)
    refuse_mixtures("runs", found.references)


def test_both_grids_of_cma_gfs_and_both_kinds_of_names_are_read(forecasts, cold):
    for folder, step in ((forecasts.directory, 0.25), (cold, 0.125)):
        row = inventory("cma_gfs", folder / "cma_gfs", ("t2m",)).references.to_pylist()[0]
        _, grid = read_reference(FieldReference.from_row(row), {})
        np.testing.assert_allclose(np.diff(grid.lat), -step)
        assert (90 - grid.lat[0]) % step == step / 2 and grid.lon[0] % step == 0


def test_sff_is_what_xarray_reads(forecasts):
    rows = inventory("sff", forecasts.directory / "sff", ("z_500", "tp")).references.to_pylist()
    assert len(rows) == 16
    for row in rows:
        values, _ = read_reference(FieldReference.from_row(row), {})
        opened = xr.open_zarr(row["path"], chunks=None, decode_timedelta=False).sel(lead_time=row["lead_time"] // 3600)
        expected = opened.z.sel(level=500) if row["channel"] == "z_500" else opened.tp
        np.testing.assert_array_equal(values, expected.values[0])


def test_the_nodes_of_cma_meso_are_copied_exactly(forecasts):
    """Each number of the target is that of the message's point of the same latitude and longitude."""
    row = inventory("cma_meso", forecasts.directory / "cma_meso", ("t2m",)).references.to_pylist()[0]
    field, grid = read_reference(FieldReference.from_row(row), {})
    target = RectilinearGrid.from_box(32.71, 31.30, 102.49, 104.38, 0.03)
    copied = regridder(grid, target, "nearest")(field)
    with Path(row["path"]).open("rb") as file:
        file.seek(row["offset"])
        handle = eccodes.codes_grib_new_from_file(file)
    points = {
        (round(100 * point.lat), round(100 * point.lon)): np.float32(point.value)
        for point in eccodes.codes_grib_get_data(handle)
    }
    eccodes.codes_release(handle)
    expected = [[points[round(100 * lat), round(100 * lon)] for lon in target.lon] for lat in target.lat]
    np.testing.assert_array_equal(copied, expected)


def test_a_grid_of_1_km_under_the_same_names_is_refused_with_the_coordinates_of_both(cold, tmp_path):
    """The 1 km file is the 3 km one with its header changed: only the grid tells them apart."""
    warm = next((cold / "cma_meso").rglob("ORIG/*"))
    shutil.copy(warm, tmp_path / "3km.grb2")
    with warm.open("rb") as file, (tmp_path / warm.name.replace("-00300", "-00600")).open("wb") as finer:
        handle = eccodes.codes_grib_new_from_file(file)
        for key, value in {"iDirectionIncrement": 10_000, "jDirectionIncrement": 10_000, "forecastTime": 6}.items():
            eccodes.codes_set(handle, key, value)
        south = eccodes.codes_get(handle, "latitudeOfFirstGridPoint") - (eccodes.codes_get(handle, "Nj") - 1) * 10_000
        east = eccodes.codes_get(handle, "longitudeOfFirstGridPoint") + (eccodes.codes_get(handle, "Ni") - 1) * 10_000
        eccodes.codes_set(handle, "latitudeOfLastGridPoint", south)
        eccodes.codes_set(handle, "longitudeOfLastGridPoint", east)
        eccodes.codes_write(handle, finer)
        eccodes.codes_release(handle)
    mixed = inventory("cma_meso", tmp_path, ("t2m",)).references
    with pytest.raises(BadInput) as refusal:
        refuse_mixtures("runs", mixed)
    said = str(refusal.value)
    assert "2 streams of t2m, of different grids:" in said
    assert "(lat 32.89 .. 32.3 (60), lon 102.31 .. 103.06 (76)): 1 field" in said
    assert "(lat 32.89 .. 31.12 (60), lon 102.31 .. 104.56 (76)): 1 field" in said
    written = re.search(r"select: \{grid_hash: (\w+)\}", said)
    chosen = inventory("cma_meso", tmp_path, ("t2m",), grid_hash=written[1]).references
    refuse_mixtures("runs", chosen)
    assert len(chosen) == 1


def test_a_cold_and_a_warm_start_are_refused_and_either_is_chosen(cold):
    both = inventory("cma_meso", cold / "cma_meso", ("t2m", "tp")).references
    with pytest.raises(BadInput, match=r"generating process 250: .*\n.*generating process 251: .*ORIG_COLD"):
        refuse_mixtures("runs", both)
    for select in ({"generating_process": 251}, {"path": "*/ORIG_COLD/*"}):
        chosen = inventory("cma_meso", cold / "cma_meso", ("t2m", "tp"), **select).references
        refuse_mixtures("runs", chosen)
        assert len(chosen) == 2 and all("ORIG_COLD" in path for path in chosen["path"].to_pylist())


def test_files_of_one_run_that_differ_in_a_middle_lead_and_one_channel_are_refused(tmp_path):
    values = np.arange(270.0, 326)
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        for lead in range(1, 6):
            dew_point = values[::-1] if (folder, lead) == ("two", 3) else values
            messages = [
                grib2((0, 0, number), FIRST, field, forecastTime=lead)
                for number, field in ((0, values), (6, dew_point))
            ]
            (tmp_path / folder / f"{lead:03d}.grib2").write_bytes(b"".join(messages))
    source = SourceSpec(type="cma_gfs", path=str(tmp_path))
    period = Interval(parse_time("2020-03-01"), parse_time("2020-03-02"))
    found = take_inventory("runs", source, [channel_named("t2m"), channel_named("d2m")], period).references
    with pytest.raises(BadInput, match=r"d2m of the run of 2020-03-01T00:00Z at 2020-03-01T03:00Z twice, with other"):
        refuse_mixtures("runs", found)


def test_starts_whose_headers_do_not_differ_are_told_apart_by_their_numbers(cold, tmp_path):
    """A copy of a file is no other stream; a file of the same run and lead with other numbers is."""
    warm = next((cold / "cma_meso").rglob("ORIG/*"))
    for folder in ("warm", "copy"):
        (tmp_path / folder).mkdir()
        shutil.copy(warm, tmp_path / folder)
    refuse_mixtures("runs", inventory("cma_meso", tmp_path, ("t2m", "tp")).references)
    rerun(tmp_path / "copy" / warm.name)
    with pytest.raises(BadInput) as refusal:
        refuse_mixtures("runs", inventory("cma_meso", tmp_path, ("t2m", "tp")).references)
    said = str(refusal.value)
    assert re.search("(t2m|tp) of the run of 2020-06-02T12:00Z at 2020-06-02T15:00Z twice, with other numbers", said)
    assert f"{tmp_path}/warm" in said and f"{tmp_path}/copy" in said and "sources.runs.select: {path: PATTERN}" in said


@pytest.mark.parametrize("source_type", ["cma_gfs", "sff"])
def test_a_later_run_that_was_repeated_is_told_beside_a_copy_of_an_earlier_one(forecasts, tmp_path, source_type):
    for folder in ("one", "two"):
        shutil.copytree(forecasts.directory / source_type, tmp_path / folder)
    refuse_mixtures("runs", inventory(source_type, tmp_path, ("t2m",)).references)
    if source_type == "cma_gfs":
        rerun(next((tmp_path / "two").rglob("gmf.gra.2020060200012.grb2")))
    else:
        group = next((tmp_path / "two").glob("*2020060200*"))
        chunk = sorted(path for path in (group / "t2m").iterdir() if path.name[0] == "0")[-1]
        shutil.copy(sorted(group.glob("t2m/0*"))[0], chunk)
    with pytest.raises(BadInput, match=r"t2m of the run of 2020-06-02T00:00Z at 2020-06-02T12:00Z twice"):
        refuse_mixtures("runs", inventory(source_type, tmp_path, ("t2m",)).references)
