"""The synthetic forecasts: CMA's headers and names, errors that grow as told, and runs that lack what is told."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.periods import parse_time
from corrstore.datasets.synthetic import (
    FORECAST_FAULTS,
    ForecastArchive,
    ForecastSpec,
    SyntheticSpec,
    rerun,
    synthesise,
    synthesise_forecasts,
)
from corrstore.datasets.synthetic.forecasts.errors import FORECAST_ERRORS, correlation
from tests.datasets.synthetic.test_synthetic import FINE, Encoded, messages

HOUR = np.timedelta64(1, "h")
NIGHT = SyntheticSpec(
    start=parse_time("2018-07-06T06"),
    end=parse_time("2018-07-08"),
    frequency=6,
    shape=(16, 20),
    margin=0,
    levels=(850,),
)
WEEKS = SyntheticSpec(
    start=parse_time("2018-07-01T12"),
    end=parse_time("2018-07-08T12"),
    frequency=12,
    shape=(32, 48),
    levels=(850,),
)
NUMBERS = {
    "t2m": (0, 0, 0, 103, 2, "instant"),
    "u10m": (0, 2, 2, 103, 10, "instant"),
    "msl": (0, 3, 1, 101, 0, "instant"),
    "rain": (0, 1, 8, 1, 0, "accum"),
    "refc": (0, 16, 224, 1, 0, "instant"),
    "t_850": (0, 0, 0, 100, 850, "instant"),
}
GRID = ("Nj", "Ni", "latitudeOfFirstGridPoint", "longitudeOfFirstGridPoint", "iDirectionIncrement")


def fields(path: Path, *names: str) -> dict[str, np.ndarray]:
    """Return fields of a GRIB file by name, as ecCodes decodes them."""
    return {name: numbered(path)[NUMBERS[name]].values for name in names}


def grid_of(path: Path) -> tuple[int, ...]:
    return messages(path)[0][GRID]


def box_means(field: np.ndarray, fine: tuple[int, ...], boxes: tuple[int, ...]) -> np.ndarray:
    """Return the means of a 0.03 degree field over the boxes of a grid; NaN where a box is not covered.

    Each point becomes 6 x 6 of 0.005 degrees. Areas within a box are taken as equal.
    """
    rows, columns, north, west, step = boxes
    parts = np.pad(np.repeat(np.repeat(field, 6, 0), 6, 1), 1000, constant_values=np.nan)
    size = step // 5000
    down = (fine[2] + 15_000 - north - step // 2) // 5000 + 1000
    right = (west - step // 2 - fine[3] + 15_000) // 5000 + 1000
    return parts[down:, right:][: rows * size, : columns * size].reshape(rows, size, columns, size).mean(axis=(1, 3))


def of_model(archive: ForecastArchive, model: str) -> Iterator[tuple[Path, np.datetime64, int]]:
    """Yield the GRIB files of a model, with the run and the lead in hours that the header tells."""
    for path in archive.files:
        if path.relative_to(archive.directory).parts[0] == model:
            date, clock, lead = messages(path)[0]["dataDate", "dataTime", "forecastTime"]
            yield path, parse_time(f"{date // 10000}-{date // 100 % 100:02}-{date % 100:02}T{clock // 100:02}"), lead


@cache
def numbered(path: Path) -> dict[tuple, Encoded]:
    """The messages of a GRIB file by their numbers."""
    return {message[FINE]: message for message in messages(path)}


@pytest.fixture(scope="module")
def weeks(tmp_path_factory) -> ForecastArchive:
    """The fine archive and twelve runs of two leads, twelve hours apart, so that errors average out."""
    folder = tmp_path_factory.mktemp("weeks")
    synthesise(folder, WEEKS)
    return synthesise_forecasts(folder, ForecastSpec(WEEKS, runs=12, leads=2))


@pytest.fixture(scope="module")
def lacking(tmp_path_factory) -> ForecastArchive:
    """Three runs of two leads, each with a fault, under the names of CMADaaS."""
    folder = tmp_path_factory.mktemp("lacking")
    return synthesise_forecasts(
        folder, ForecastSpec(NIGHT, runs=3, leads=2, names="cmadaas", faults=frozenset(FORECAST_FAULTS))
    )


def truth(directory: Path, valid_time: np.datetime64) -> Path:
    digits = str(valid_time.astype("M8[h]")).replace("-", "").replace("T", "")
    return next((directory / "cma_rra").rglob(f"*{digits}0000*"))


def test_a_file_for_each_run_and_lead_is_named_as_at_cma(forecasts):
    named = [str(path.relative_to(forecasts.directory)) for path in forecasts.files]
    assert named[-3:] == [
        "cma_gfs/2020060200/gmf.gra.2020060200012.grb2",
        "cma_meso/2020060200/ORIG/rmf.hgra.2020060200012.grb2",
        "sff/sff_synthetic_2020060200.zarr",
    ]
    assert len(named) == forecasts.spec.files == 2 * (2 * 4 + 1)
    assert "SYNTHETIC" in (forecasts.directory / "README.txt").read_text(encoding="utf-8")


def test_the_header_is_cma_s_and_rain_is_a_run_s_total(forecasts):
    path = forecasts.directory / "cma_gfs/2020060200/gmf.gra.2020060200009.grb2"
    header = messages(path)[0]["edition", "centre", "tablesVersion", "shapeOfTheEarth", "generatingProcessIdentifier"]
    assert header == (2, 38, 4, 6, 250)
    steps = {message[FINE]: message["stepRange"] for message in messages(path)}
    assert steps.pop(NUMBERS["rain"]) == "0-9" and set(steps.values()) == {"9"}
    meso = messages(forecasts.directory / "cma_meso/2020060200/ORIG/rmf.hgra.2020060200009.grb2")
    assert {message["stepRange"] for message in meso if message["stepType"] == "max"} == {"6-9"}
    leads = [forecasts.directory / f"cma_meso/2020060200/ORIG/rmf.hgra.2020060200{lead:03}.grb2" for lead in (3, 6, 9)]
    totals = [fields(each, "rain")["rain"] for each in leads]
    assert all((np.diff(totals, axis=0) > -1e-3).ravel()) and totals[-1].max() > totals[0].max() > 0


def test_cma_gfs_lies_half_a_cell_off_and_cma_meso_on_the_nodes_of_the_truth(forecasts, archive, tmp_path):
    (gfs, *_), (meso, *_) = (next(of_model(forecasts, model)) for model in ("cma_gfs", "cma_meso"))
    assert grid_of(gfs)[2:] == (34_125_000, 100_750_000, 250_000)
    assert grid_of(meso) == grid_of(next((archive / "cma_rra").rglob("*.grib2")))
    finer = replace(forecasts.spec, archive=NIGHT, runs=1, leads=1, gfs_step=0.125)
    (half, *_) = next(of_model(synthesise_forecasts(tmp_path, finer), "cma_gfs"))
    assert grid_of(half)[2:] == (34_187_500, 100_750_000, 125_000)


def test_sff_has_init_lead_and_level_axes(forecasts):
    opened = xr.open_zarr(forecasts.files[-1], decode_timedelta=False)
    assert opened.t.dims == ("init_time", "lead_time", "level", "latitude", "longitude")
    assert opened.init_time.values == np.datetime64("2020-06-02T00") and list(opened.lead_time) == [3, 6, 9, 12]
    assert opened.latitude[0] == 34.25 and (opened.tp.diff("lead_time") >= 0).all()
    assert "SYNTHETIC" in opened.title


def test_the_errors_of_two_runs_of_cma_meso_are_about_those_that_are_told(forecasts, archive):
    """The mean square over the domain, in units of what is told, of three variables at four leads of two runs."""
    names, growths = ("t2m", "u10m", "msl"), FORECAST_ERRORS["cma_meso"]
    squares = defaultdict(list)
    for path, init, lead in of_model(forecasts, "cma_meso"):
        true = fields(truth(archive, init + lead * HOUR), *names)
        for name, field in fields(path, *names).items():
            growth = growths.growth_of(name)
            told = growth.bias_at(lead * HOUR) ** 2 + growth.deviation_at(lead * HOUR) ** 2
            squares[name].append(((field - true[name]) ** 2).mean() / told)
    assert {len(each) for each in squares.values()} == {8}
    assert all(0.5 < np.mean(each) < 2 for each in squares.values()), squares


@pytest.mark.slow
def test_the_errors_of_cma_meso_are_those_that_are_told(weeks):
    """Bias and growth come out within four standard errors, which the spread of the runs gives."""
    names = ("t2m", "u10m", "msl", "refc", "t_850")
    errors = defaultdict(list)
    for path, init, lead in of_model(weeks, "cma_meso"):
        true = fields(truth(weeks.directory, init + lead * HOUR), *names)
        for name, field in fields(path, *names).items():
            errors[name, lead].append(field - true[name])
    assert {lead for _, lead in errors} == {12, 24}
    for (name, lead), of_runs in errors.items():
        growth = FORECAST_ERRORS["cma_meso"].growth_of(name)
        bias, deviation = growth.bias_at(lead * HOUR), growth.deviation_at(lead * HOUR)
        scaled = (np.array(of_runs) - bias) / deviation
        for expected, found in ((0, scaled.mean(axis=(1, 2))), (1, (scaled**2).mean(axis=(1, 2)))):
            error = 4 * found.std(ddof=1) / np.sqrt(len(found))
            assert abs(found.mean() - expected) < error < 0.7, (name, lead)


@pytest.mark.slow
def test_the_errors_of_a_run_correlate_along_its_leads_and_those_of_two_runs_do_not(weeks):
    errors = {
        (init, lead): (
            fields(path, "t2m")["t2m"] - fields(truth(weeks.directory, init + lead * HOUR), "t2m")["t2m"]
        ).ravel()
        for path, init, lead in of_model(weeks, "cma_meso")
    }
    runs = sorted({init for init, _ in errors})
    along = [np.corrcoef(errors[init, 12], errors[init, 24])[0, 1] for init in runs]
    beside = [np.corrcoef(errors[init, 12], errors[init + 12 * HOUR, 12])[0, 1] for init in runs[:-1]]
    for expected, found in ((correlation(12 * HOUR), along), (0, beside)):
        assert abs(np.mean(found) - expected) < 4 * np.std(found, ddof=1) / np.sqrt(len(found)) < 0.3


def coarse_fields(archive: ForecastArchive, model: str, names: tuple[str, ...]) -> Iterator[tuple]:
    """Yield each run and lead in hours of a coarse model, its grid in microdegrees, and fields by name."""
    if model == "cma_gfs":
        for path, init, lead in of_model(archive, model):
            yield init, lead, grid_of(path), fields(path, *names)
        return
    for path in (each for each in archive.files if each.suffix == ".zarr"):
        opened = xr.open_zarr(path, decode_timedelta=False).isel(init_time=0)
        corner = round(float(opened.latitude[0]) * 1e6), round(float(opened.longitude[0]) * 1e6)
        for lead in opened.lead_time.values:
            one = opened.sel(lead_time=lead)
            held = {name: one[name[0]].sel(level=850) if name == "t_850" else one[name] for name in names}
            grid = (one.latitude.size, one.longitude.size, *corner, 250_000)
            yield opened.init_time.values, int(lead), grid, {name: each.values for name, each in held.items()}


@pytest.mark.slow
@pytest.mark.parametrize("model", ["cma_gfs", "sff"])
def test_the_errors_of_coarse_models_are_those_that_are_told(weeks, model):
    """The box means of the truth are made by the test; errors of four variables in units of their deviation."""
    names = ("t2m", "u10m", "msl", "t_850")
    scaled = defaultdict(list)
    for init, lead, grid, held in coarse_fields(weeks, model, names):
        fine = truth(weeks.directory, init + lead * HOUR)
        true = fields(fine, *names)
        of_run = []
        for name, field in held.items():
            growth = FORECAST_ERRORS[model].growth_of(name)
            error = field - box_means(true[name], grid_of(fine), grid)
            of_run.append((error - growth.bias_at(lead * HOUR)) / growth.deviation_at(lead * HOUR))
        scaled[lead].append(of_run)
    assert len(scaled) == 2
    for of_lead in scaled.values():
        drawn = np.array(of_lead).reshape(12, 4, -1)
        drawn = drawn[:, :, np.isfinite(drawn[0, 0])]
        assert drawn.shape[2] >= 12
        errors = drawn.mean(axis=2)
        assert (np.abs(errors.mean(axis=0)) < 4 * errors.std(axis=0, ddof=1) / np.sqrt(12)).all()
        for expected, found in ((0, errors), (1, (drawn**2).mean(axis=2))):
            assert abs(found.mean() - expected) < 4 * found.std(ddof=1) / np.sqrt(found.size)
            assert found.std() / np.sqrt(found.size) < 0.2


@pytest.mark.slow
def test_the_rain_of_cma_meso_is_a_known_share_too_much(weeks):
    """Amounts over twelve hours, where it rained; a run is one draw, because its errors go along."""
    factors = defaultdict(list)
    totals = {(init, lead): fields(path, "rain")["rain"] for path, init, lead in of_model(weeks, "cma_meso")}
    for (init, lead), total in totals.items():
        amount = total - totals.get((init, lead - 12), 0)
        true = fields(truth(weeks.directory, init + lead * HOUR), "rain")["rain"]
        expected = 1 + FORECAST_ERRORS["cma_meso"].growth_of("tp").bias_at(lead * HOUR)
        if (wet := true > 0.5).sum() > 50:
            factors[init].append((amount[wet] / true[wet]).mean() / expected)
    found = [np.mean(of_run) for of_run in factors.values()]
    assert len(found) >= 8
    assert abs(np.mean(found) - 1) < 4 * np.std(found, ddof=1) / np.sqrt(len(found)) < 0.2


def test_each_run_lacks_what_is_told(lacking):
    told = {fault.kind: (parse_time(fault.init_time), fault.leads, fault.archives) for fault in lacking.faults}
    models = ("cma_gfs", "cma_meso", "sff")
    inits = {kind: init for kind, (init, *_) in told.items()}
    assert {kind: rest for kind, (_, *rest) in told.items()} == {
        "missing_run": [(6, 12), models],
        "cut_short": [(12,), models],
        "cold_start": [(6, 12), ("cma_meso",)],
    }
    held = [(init, lead) for _, init, lead in of_model(lacking, "cma_gfs")]
    assert sorted(held) == sorted([(inits["cut_short"], 6), (inits["cold_start"], 6), (inits["cold_start"], 12)])
    leads = [xr.open_zarr(path).sizes["lead_time"] for path in lacking.files if path.suffix == ".zarr"]
    assert sorted(leads) == [1, 2]
    written = json.loads((lacking.directory / "forecast_faults.json").read_text(encoding="utf-8"))
    assert [fault["kind"] for fault in written] == list(FORECAST_FAULTS)


def test_a_cold_start_has_the_same_names_another_process_and_other_numbers(lacking):
    (cold, *_) = (path for path in lacking.files if "ORIG_COLD" in path.parts)
    warm = cold.parents[1] / "ORIG" / cold.name
    assert cold.name.endswith("0000_P_NWPC-GRAPES-3KM-ORIG-00600.grb2")
    assert [messages(path)[0]["generatingProcessIdentifier"] for path in (warm, cold)] == [250, 251]
    assert np.abs(fields(warm, "t2m")["t2m"] - fields(cold, "t2m")["t2m"]).mean() > 0.1


def test_a_run_is_the_same_whatever_others_there_are(lacking, tmp_path):
    again = synthesise_forecasts(tmp_path, replace(lacking.spec, faults=frozenset()))
    for path in lacking.files:
        same = again.directory / path.relative_to(lacking.directory)
        if path.suffix != ".zarr" and "ORIG_COLD" not in path.parts:
            assert same.read_bytes() == path.read_bytes()


def test_a_file_that_is_made_again_has_the_same_size_and_other_numbers(lacking, archive, tmp_path):
    path = tmp_path / "again.grb2"
    path.write_bytes(lacking.files[0].read_bytes())
    rerun(path)
    assert path.stat().st_size == lacking.files[0].stat().st_size
    for old, new in zip(messages(lacking.files[0]), messages(path), strict=True):
        assert new[FINE] == old[FINE]
        np.testing.assert_allclose(new.values, 1.001 * old.values, atol=np.ptp(old.values) / 30000 + 1e-12)
    (final,) = (archive / "era5").glob("*.grib")
    preliminary = tmp_path / "preliminary.grib"
    preliminary.write_bytes(final.read_bytes())
    rerun(preliminary, {"experimentVersionNumber": "0005"})
    assert preliminary.stat().st_size == final.stat().st_size
    assert {message["experimentVersionNumber"] for message in messages(preliminary)} == {"0005"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"runs": 9}, "write a later end"),
        ({"start": parse_time("2018-07-06T06")}, "must be 00 or 12 UTC"),
        ({"gfs_step": 0.5}, "gfs_step is 0.5"),
        ({"names": "ncep"}, "cemc, cmadaas"),
        ({"faults": frozenset({"late"})}, "unknown faults of forecasts"),
        ({"faults": frozenset(FORECAST_FAULTS)}, "3 faults need as many runs"),
        ({"leads": 1, "faults": frozenset({"cut_short"})}, "needs 2 leads"),
    ],
)
def test_what_cannot_be_is_refused(changes, said):
    with pytest.raises(BadInput, match=said):
        ForecastSpec(NIGHT, **changes)


def test_forecasts_are_not_written_over_others(forecasts):
    with pytest.raises(BadInput, match="exists; remove it"):
        synthesise_forecasts(forecasts.directory, forecasts.spec)
