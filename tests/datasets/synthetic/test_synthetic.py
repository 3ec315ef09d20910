"""The synthetic archives: genuine GRIB, the same bytes every time, faults as told."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corrstore.datasets.archives.grib.handle import eccodes, message_handle
from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.periods import parse_time
from corrstore.datasets.synthetic import FAULT_KINDS, SyntheticArchive, SyntheticSpec, synthesise
from corrstore.datasets.synthetic.cma_rra import init_time_of
from corrstore.datasets.synthetic.domain import domain_of
from corrstore.datasets.synthetic.weather.weather import Weather

HOUR = np.timedelta64(1, "h")
SPEC = SyntheticSpec(
    start=parse_time("2018-07-06T03"),
    end=parse_time("2018-07-06T15"),
    shape=(48, 64),
    margin=4,
    levels=(500, 850),
)
TEXTS = {"stepType", "stepRange", "units", "packingType", "experimentVersionNumber", "marsType"}
FINE = ("discipline", "parameterCategory", "parameterNumber", "typeOfFirstFixedSurface", "level", "stepType")
COARSE = ("indicatorOfParameter", "indicatorOfTypeOfLevel", "level", "stepType")
T2M, RAIN, REFC = (0, 0, 0, 103, 2, "instant"), (0, 1, 8, 1, 0, "accum"), (0, 16, 224, 1, 0, "instant")
COARSE_T2M, COARSE_TP = (167, 1, 0, "instant"), (228, 1, 0, "accum")


@dataclass(frozen=True)
class Encoded:
    """A message, read by ecCodes whenever it is asked."""

    data: bytes

    def __getitem__(self, keys: str | tuple[str, ...]) -> int | str | tuple[int | str, ...]:
        with message_handle(self.data) as handle:
            if isinstance(keys, str):
                return eccodes.codes_get(handle, keys, str if keys in TEXTS else int)
            return tuple(eccodes.codes_get(handle, key, str if key in TEXTS else int) for key in keys)

    @property
    def values(self) -> np.ndarray:
        with message_handle(self.data) as handle:
            return eccodes.codes_get_values(handle).reshape(self["Nj", "Ni"])

    @property
    def valid_time(self) -> np.datetime64:
        date, clock = self["validityDate", "validityTime"]
        return parse_time(f"{date // 10000}-{date // 100 % 100:02}-{date % 100:02}T{clock // 100:02}")


@cache
def messages(path: Path) -> tuple[Encoded, ...]:
    """The messages of a file; eccodes.CodesInternalError where it ends inside one."""
    found = []
    with path.open("rb") as file:
        while (handle := eccodes.codes_grib_new_from_file(file)) is not None:
            found.append(Encoded(eccodes.codes_get_message(handle)))
            eccodes.codes_release(handle)
    return tuple(found)


def fine_file(archive: SyntheticArchive, time: str) -> Path:
    (path,) = (path for path in archive.cma_rra_files if time in path.name)
    return path


def fine(archive: SyntheticArchive, time: str, key: tuple) -> np.ndarray:
    (values,) = (message.values for message in messages(fine_file(archive, time)) if message[FINE] == key)
    return values


def coarse_messages(archive: SyntheticArchive, time: str) -> list[Encoded]:
    everything = (message for path in archive.era5_files for message in messages(path))
    return [message for message in everything if message.valid_time == parse_time(time)]


def coarse(archive: SyntheticArchive, time: str, key: tuple) -> np.ndarray:
    (values,) = (message.values for message in coarse_messages(archive, time) if message[COARSE] == key)
    return values


def mean_around(archive: SyntheticArchive, field: np.ndarray) -> np.ndarray:
    """The mean of the fine points within 0.125 degrees of each coarse point; NaN where they do not surround it."""
    domain = domain_of(archive.spec)
    rows = [np.abs(domain.window.lat - lat) <= 0.125 for lat in domain.coarse.lat]
    columns = [np.abs(domain.window.lon - lon) <= 0.125 for lon in domain.coarse.lon]
    means = np.full((len(rows), len(columns)), np.nan)
    for j, row in enumerate(rows):
        for i, column in enumerate(columns):
            if min(row.sum(), column.sum()) >= 8:
                means[j, i] = field[np.ix_(row, column)].mean()
    return means


@pytest.fixture(scope="module")
def twin(tmp_path_factory) -> SyntheticArchive:
    return synthesise(tmp_path_factory.mktemp("twin"), SPEC)


@pytest.fixture(scope="module")
def damaged(tmp_path_factory) -> SyntheticArchive:
    spec = replace(SPEC, end=parse_time("2018-07-06T21"), levels=(850,), faults=frozenset(FAULT_KINDS))
    return synthesise(tmp_path_factory.mktemp("damaged"), spec)


def test_the_fine_file_has_cma_s_numbers_and_their_traps(twin):
    on_levels = [(0, 3, 5, "gpm"), (0, 0, 0, "K"), (0, 2, 2, "m s**-1"), (0, 2, 3, "m s**-1"), (0, 1, 0, "kg kg**-1")]
    expected = {
        T2M: ("K", "6"),
        (0, 0, 6, 103, 2, "instant"): ("K", "6"),
        (0, 1, 0, 103, 2, "instant"): ("kg kg**-1", "6"),
        (0, 2, 2, 103, 10, "instant"): ("m s**-1", "6"),
        (0, 2, 3, 103, 10, "instant"): ("m s**-1", "6"),
        (0, 2, 2, 103, 10, "max"): ("m s**-1", "3-6"),
        (0, 2, 3, 103, 10, "max"): ("m s**-1", "3-6"),
        (0, 3, 0, 1, 0, "instant"): ("Pa", "6"),
        (0, 3, 1, 101, 0, "instant"): ("Pa", "6"),
        RAIN: ("unknown", "0-6"),
        REFC: ("unknown", "6"),
        (0, 16, 224, 1, 0, "max"): ("unknown", "3-6"),
        (0, 0, 0, 106, 0, "instant"): ("K", "6"),
        (0, 3, 5, 1, 0, "instant"): ("m", "6"),
        (2, 0, 0, 1, 0, "instant"): ("(0 - 1)", "6"),
    } | {(*numbers, 100, level, "instant"): (units, "6") for *numbers, units in on_levels for level in (500, 850)}
    path = fine_file(twin, "2018070606")
    assert path == twin.directory / "cma_rra/20180706/Z_NAFP_C_BABJ_20180706060000_P_CMA-RRA_SYNTHETIC-3KM.grib2"
    assert {message[FINE]: message["units", "stepRange"] for message in messages(path)} == expected
    assert len(messages(path)) == len(expected)


def test_the_fine_header_is_cma_s_and_says_that_it_is_synthetic(twin):
    expected = {
        "edition": 2,
        "centre": 38,
        "subCentre": 0,
        "tablesVersion": 4,
        "localTablesVersion": 1,
        "shapeOfTheEarth": 6,
        "resolutionAndComponentFlags": 48,
        "scanningMode": 0,
        "generatingProcessIdentifier": 250,
        "dataDate": 20180706,
        "dataTime": 0,
        "Nj": 48 + 8,
        "Ni": 64 + 8,
        "latitudeOfFirstGridPoint": 32_830_000,
        "longitudeOfFirstGridPoint": 102_370_000,
        "latitudeOfLastGridPoint": 32_830_000 - 55 * 30_000,
        "longitudeOfLastGridPoint": 102_370_000 + 71 * 30_000,
        "iDirectionIncrement": 30_000,
        "jDirectionIncrement": 30_000,
        "bitsPerValue": 16,
        "packingType": "grid_simple",
    }
    first = messages(fine_file(twin, "2018070603"))[0]
    assert dict(zip(expected, first[tuple(expected)], strict=True)) == expected
    assert "SYNTHETIC" in (twin.directory / "README.txt").read_text(encoding="utf-8")


def test_the_coarse_file_is_as_the_climate_data_store_delivers_era5(twin):
    assert [path.name for path in twin.era5_files] == ["era5_synthetic_201807.grib"]
    on_levels = [(129, "m**2 s**-2"), (130, "K"), (131, "m s**-1"), (132, "m s**-1"), (133, "kg kg**-1")]
    expected = {
        COARSE_T2M: "K",
        (168, 1, 0, "instant"): "K",
        (165, 1, 0, "instant"): "m s**-1",
        (166, 1, 0, "instant"): "m s**-1",
        (134, 1, 0, "instant"): "Pa",
        (151, 1, 0, "instant"): "Pa",
        COARSE_TP: "m",
    } | {(number, 100, level, "instant"): units for number, units in on_levels for level in (500, 850)}
    later = coarse_messages(twin, "2018-07-06T06")
    assert {message[COARSE]: message["units"] for message in later} == expected
    invariants = {(129, 1, 0, "instant"): "m**2 s**-2", (172, 1, 0, "instant"): "(0 - 1)"}
    first = coarse_messages(twin, "2018-07-06T03")
    assert {message[COARSE]: message["units"] for message in first} == expected | invariants
    header = first[0]["edition", "centre", "table2Version", "experimentVersionNumber", "generatingProcessIdentifier"]
    assert header == (1, 98, 128, "0001", 250)


def test_the_coarse_grid_is_whole_quarter_degrees_and_surrounds_the_target(twin):
    corners = ("latitudeOfFirstGridPoint", "longitudeOfFirstGridPoint")
    corners += ("latitudeOfLastGridPoint", "longitudeOfLastGridPoint")
    north, west, south, east = messages(twin.era5_files[0])[0][corners]
    assert not any(edge % 250 for edge in (north, west, south, east))
    assert ((north - south) // 250 + 1, (east - west) // 250 + 1) == messages(twin.era5_files[0])[0]["Nj", "Ni"]
    target = (32_710, 32_710 - 47 * 30, 102_490, 102_490 + 63 * 30)
    outside = (north - target[0], target[1] - south, target[2] - west, east - target[3])
    assert all(1500 <= margin < 1750 for margin in outside)


def test_precipitation_comes_hourly_as_steps_of_the_forecasts_from_06_and_18(twin):
    hourly = [message for message in messages(twin.era5_files[0]) if message[COARSE] == COARSE_TP]
    steps = [message["dataDate", "dataTime", "stepRange", "marsType"] for message in hourly]
    assert [message.valid_time for message in hourly] == list(
        np.arange(parse_time("2018-07-06T01"), parse_time("2018-07-06T13"), HOUR)
    )
    assert steps[0] == (20180705, 1800, "6-7", "fc")
    assert steps[5:7] == [(20180705, 1800, "11-12", "fc"), (20180706, 600, "0-1", "fc")]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(twin, tmp_path):
    again = synthesise(tmp_path / "again", SPEC)
    assert [path.read_bytes() for path in again.files] == [path.read_bytes() for path in twin.files]
    other = synthesise(tmp_path / "other", replace(SPEC, seed=1, end=parse_time("2018-07-06T06")))
    assert other.cma_rra_files[0].read_bytes() != twin.cma_rra_files[0].read_bytes()


def test_a_valid_time_is_the_same_whenever_the_period_starts(twin, tmp_path):
    alone = synthesise(tmp_path, replace(SPEC, start=parse_time("2018-07-06T09"), end=parse_time("2018-07-06T12")))
    assert alone.cma_rra_files[0].read_bytes() == fine_file(twin, "2018070609").read_bytes()
    for message in messages(alone.era5_files[0]):
        if message[COARSE] not in {(129, 1, 0, "instant"), (172, 1, 0, "instant")}:
            time = str(message.valid_time)
            assert np.array_equal(message.values, coarse(twin, time, message[COARSE])), (time, message[COARSE])


def test_every_file_is_told_once_and_counted_beforehand(tmp_path):
    told = []
    spec = replace(SPEC, start=parse_time("2018-08-01"), end=parse_time("2018-08-01T06"), levels=(850,))
    archive = synthesise(tmp_path, spec, told.append)
    assert [path.name for path in archive.era5_files] == ["era5_synthetic_201807.grib", "era5_synthetic_201808.grib"]
    assert sorted(told) == sorted(archive.files)
    assert len(told) == spec.files == 4


@pytest.mark.slow
def test_processes_side_by_side_give_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr("corrstore.datasets.synthetic.archive._POINTS_OF_A_PROCESS", 1)
    two_runs = replace(SPEC, start=parse_time("2018-08-01"), end=parse_time("2018-08-01T06"), levels=(850,))
    alone, together = (synthesise(tmp_path / str(count), two_runs, processes=count) for count in (1, 2))
    assert [path.read_bytes() for path in together.files] == [path.read_bytes() for path in alone.files]


@pytest.mark.parametrize("packing", ["grid_ccsds", "grid_jpeg"])
def test_other_packings_hold_the_same_fields(twin, tmp_path, packing):
    archive = synthesise(tmp_path, replace(SPEC, end=parse_time("2018-07-06T06"), packing=packing))
    for message, simple in zip(messages(archive.cma_rra_files[0]), messages(twin.cma_rra_files[0]), strict=True):
        assert message["packingType"] == packing
        np.testing.assert_allclose(message.values, simple.values, atol=np.ptp(simple.values) / 30000 + 1e-12)


def test_the_coarse_field_is_the_mean_of_the_fine_one_and_a_small_error(twin):
    fine_mean = mean_around(twin, fine(twin, "2018070606", T2M))
    inside = np.isfinite(fine_mean)
    seen = coarse(twin, "2018-07-06T06", COARSE_T2M)
    assert inside.sum() > 20
    assert np.corrcoef(fine_mean[inside], seen[inside])[0, 1] > 0.98
    assert 0.01 < np.abs(fine_mean - seen)[inside].mean() < 1.5


def test_run_totals_of_rain_are_the_sums_of_the_hours(twin):
    total = {lead: fine(twin, f"20180706{lead:02}", RAIN) for lead in (3, 6, 9, 12)}
    weather = Weather(SPEC.seed, domain_of(SPEC))
    hours = [weather.domain.crop(weather.rain_over_hour(SPEC.start + n * HOUR)[0]) for n in (1, 2, 3)]
    precision = (total[3].max() + total[6].max()) / 65535
    np.testing.assert_allclose(total[6] - total[3], sum(hours), atol=precision)
    assert total[12].max() > 1
    coarse_sum = sum(1000 * coarse(twin, f"2018-07-06T{hour:02}", COARSE_TP) for hour in range(4, 13))
    fine_mean = mean_around(twin, total[12] - total[3])
    inside = np.isfinite(fine_mean)
    assert np.corrcoef(fine_mean[inside], coarse_sum[inside])[0, 1] > 0.95
    assert coarse_sum[inside].mean() == pytest.approx(fine_mean[inside].mean(), rel=0.3)


def test_the_rain_of_a_new_run_starts_anew(tmp_path):
    spec = replace(SPEC, start=parse_time("2018-07-06T12"), end=parse_time("2018-07-06T18"), levels=(850,))
    archive = synthesise(tmp_path, spec)
    headers = [
        message["dataTime", "stepRange"]
        for path in archive.cma_rra_files
        for message in messages(path)
        if message[FINE] == RAIN
    ]
    assert headers == [(0, "0-12"), (1200, "0-3")]
    weather = Weather(spec.seed, domain_of(spec))
    hours = [weather.domain.crop(weather.rain_over_hour(spec.start + n * HOUR)[0]) for n in (1, 2, 3)]
    total = fine(archive, "2018070615", RAIN)
    np.testing.assert_allclose(total, sum(hours), atol=total.max() / 65535)


def test_the_interval_maximum_is_nowhere_below_the_instant(twin):
    now, highest = (fine(twin, "2018070606", (0, 16, 224, 1, 0, step_type)) for step_type in ("instant", "max"))
    assert (highest - now).min() > -0.01
    assert (highest - now).max() > 10


@settings(max_examples=20)
@given(st.integers(16, 60), st.integers(16, 60), st.integers(-900, 900), st.integers(0, 20))
def test_box_means_keep_constants_and_know_where_they_are(ny, nx, rows_south, margin):
    spec = replace(SPEC, shape=(ny, nx), north=round(32.71 - 0.03 * rows_south, 2), margin=margin)
    domain = domain_of(spec)
    shape = (domain.fine.ny, domain.fine.nx)
    np.testing.assert_allclose(domain.box_mean(np.full(shape, 7, np.float32)), 7, rtol=1e-6)
    east_of_middle = (domain.fine.lon - 104).astype(np.float32)
    expected = np.broadcast_to(domain.coarse.lon - 104, (domain.coarse.ny, domain.coarse.nx))
    seen = domain.box_mean(np.ascontiguousarray(np.broadcast_to(east_of_middle, shape)))
    np.testing.assert_allclose(seen, expected, atol=1e-3)
    assert domain.crop(np.zeros(shape, np.float32)).shape == (ny + 2 * margin, nx + 2 * margin)


@given(st.integers(0, 50_000))
def test_a_run_starts_at_00_or_12_strictly_before(hours):
    valid_time = parse_time("2018-01-01") + hours * HOUR
    init_time = init_time_of(valid_time)
    assert HOUR <= valid_time - init_time <= 12 * HOUR
    assert (init_time - np.datetime64("2018-01-01")) % (12 * HOUR) == 0 * HOUR


def fault(archive: SyntheticArchive, kind: str):
    return next(each for each in archive.faults if each.kind == kind)


def test_faults_are_told_and_each_has_a_time_of_its_own(damaged):
    told = json.loads((damaged.directory / "faults.json").read_text(encoding="utf-8"))
    assert [(each["kind"], each["valid_time"], tuple(each["variables"])) for each in told] == [
        (each.kind, each.valid_time, each.variables) for each in damaged.faults
    ]
    assert {each.kind for each in damaged.faults} == set(FAULT_KINDS)
    assert all((damaged.directory / each.file).is_file() for each in damaged.faults)
    by_kind = [fault(damaged, kind).valid_time for kind in FAULT_KINDS]
    assert len(set(by_kind)) == len(FAULT_KINDS)


def test_a_truncated_file_ends_inside_a_message(damaged):
    told = fault(damaged, "truncated")
    content = (damaged.directory / told.file).read_bytes()
    assert not content.endswith(b"7777")
    with pytest.raises(eccodes.CodesInternalError):
        messages(damaged.directory / told.file)
    whole = len(messages(fine_file(damaged, _digits(fault(damaged, "bitmap").valid_time))))
    assert content.count(b"GRIB") == whole - len(told.variables) + 1


def test_a_missing_hour_is_absent_inside_a_window(damaged):
    told = fault(damaged, "missing_hour")
    assert coarse_messages(damaged, told.valid_time) == []
    assert parse_time(told.valid_time) not in damaged.spec.valid_times
    assert told.variables == ("tp",)


def test_a_corrupt_message_reads_well_until_it_is_messages(damaged):
    told = fault(damaged, "corrupt_message")
    for message in messages(damaged.directory / told.file):
        if message[FINE] == T2M:
            with pytest.raises(eccodes.CodesInternalError):
                _ = message.values
        else:
            assert np.isfinite(message.values).all()
    assert told.variables == ("t2m",)


def test_two_versions_of_a_window_are_there_and_differ(damaged):
    told = [each for each in damaged.faults if each.kind == "expver_mix"]
    assert len(told) == damaged.spec.frequency
    for each in told:
        at_hour = coarse_messages(damaged, each.valid_time)
        final, preliminary = (
            {message[COARSE]: message.values for message in at_hour if message["experimentVersionNumber"] == expver}
            for expver in ("0001", "0005")
        )
        assert len(final) == len(preliminary) == len(each.variables)
        for key, values in final.items():
            np.testing.assert_allclose(preliminary[key], values, rtol=0.01, atol=1e-3 * np.abs(values).max())
    assert not np.array_equal(final[COARSE_T2M], preliminary[COARSE_T2M])


def test_a_bitmap_tells_the_missing_points(damaged):
    told = fault(damaged, "bitmap")
    missing = {m[FINE]: m["numberOfMissing"] for m in messages(damaged.directory / told.file)}
    assert {key: count for key, count in missing.items() if count} == {(0, 2, 2, 103, 10, "instant"): 56 * 72 // 4}


def _digits(time: str) -> str:
    return time.replace("-", "").replace("T", "")[:10]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"north": 32.7}, "32.71"),
        ({"west": 102.5}, "102.49"),
        ({"frequency": 5}, "frequency is 5 h"),
        ({"frequency": 0}, "frequency is 0 h"),
        ({"frequency": -3}, "frequency is -3 h"),
        ({"start": parse_time("2018-07-06T04")}, "start is 2018-07-06T04:00Z"),
        ({"end": parse_time("2018-07-06T03")}, "is empty"),
        ({"shape": (8, 64)}, "shape is (8, 64)"),
        ({"levels": (50,)}, "levels are (50,)"),
        ({"faults": frozenset({"gremlins"})}, "gremlins"),
        ({"faults": frozenset(FAULT_KINDS)}, "5 faults need 6 valid times"),
        ({"packing": "zip"}, "'zip'"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_a_specification_that_cannot_be_is_refused_by_name(change, told):
    with pytest.raises(BadInput) as refusal:
        replace(SPEC, **change)
    assert told in str(refusal.value)


def test_an_archive_is_never_written_into_another(twin):
    before = {path: path.read_bytes() for path in twin.files}
    with pytest.raises(BadInput, match="era5 exists"):
        synthesise(twin.directory, SPEC)
    assert {path: path.read_bytes() for path in twin.files} == before
