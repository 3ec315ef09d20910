"""The index of GRIB files: every field found, and described as ecCodes describes it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from time import process_time

import numpy as np
import pyarrow.compute as pc
import pytest
from pyarrow import parquet

from corrstore.datasets.archives.grib.handle import eccodes, message_handle
from corrstore.datasets.archives.grib.index import INDEX_SCHEMA, index_file, index_ranges
from tests.grib_made import TEMPERATURE, changed, eccodes_handles, in_one_message, index_bytes, made, regular
from tests.paths import SHARED, needs_shared


def rows(content: bytes) -> list[dict]:
    return index_bytes(content).messages.to_pylist()


def row(content: bytes) -> dict:
    (only,) = rows(content)
    return only


def utc(*date: int) -> datetime:
    return datetime(*date, tzinfo=UTC)


MANY = 400
REAL_FILES = [
    "era5/era5_iceland_10u10vmsl_72h.grib",
    "era5/era5_levels_members_z_t.grib",
    "era5/era5land_9var_202001_mixedEdition.grib",
    "era5/era5_expver_0001_0005_mixed_2t_2025.grib",
    "awkward/gaussian_avg_instant_237msg.grib2",
    "awkward/era5land_accum_point_2019.grib",
    "awkward/fields_with_missing_values.grib",
    "awkward/forecast_monthly_ukmo.grib",
    "awkward/t_on_different_level_types.grib",
    "awkward/ifs_oper_ccsds_5fields.grib2",
    "awkward/ij_directions/ineg_jneg.grib2",
    "awkward/lambert_grid.grib",
    "awkward/reduced_gg.grib",
    "awkward/regular_gg_ml_g2.grib",
    "awkward/step_60m.grib",
    "awkward/zt_multi_expvers.grib",
    "cma/cma_grapes_gfs_025_t_2lev_20180808.grb2",
    "km/hrrr.wrfsubhf.sample.grib2",
    "km/hrrr.t00z.wrfprsf00-template8.grib2",
    "km/hrrr_rme_hourly/hrrr.20180722/hrrr.t05z.wrfsfcf01.grib2",
    "static/harmonie_ecoclimap_rotated_lsm_z.grib1",
]


@needs_shared
@pytest.mark.parametrize("path", REAL_FILES)
def test_a_row_says_what_eccodes_says_of_the_whole_message(path):
    """The row equals ecCodes' answers on each whole message; none of it comes from another message's header."""
    got = index_file(SHARED / path).messages.to_pylist()
    grids = {}
    for at, handle in enumerate(islice(eccodes_handles(SHARED / path), MANY)):
        found = got[at]

        def key(name, kind=None, handle=handle):
            return eccodes.codes_get(handle, name, kind) if eccodes.codes_is_defined(handle, name) else None

        assert found["offset"] == key("offset", int)
        assert found["length"] == key("totalLength")
        assert found["edition"] == key("edition")
        assert (found["discipline"], found["category"], found["number"]) == (
            key("discipline", int),
            key("parameterCategory", int),
            key("parameterNumber", int),
        )
        assert (found["table"], found["parameter"]) == (
            key("table2Version", int),
            key("indicatorOfParameter", int),
        )
        for column, name in {
            "centre": "centre",
            "short_name": "shortName",
            "process": "stepType",
            "packing": "packingType",
            "expver": "expver",
        }.items():
            assert found[column] == key(name, str)
        assert found["uv_relative_to_grid"] == bool(key("uvRelativeToGrid"))
        date, time = divmod(key("dataDate"), 100), divmod(key("dataTime"), 100)
        assert found["init_time"] == utc(*divmod(date[0], 100), date[1], *time)
        date, time = divmod(key("validityDate"), 100), divmod(key("validityTime"), 100)
        assert found["valid_time"] == utc(*divmod(date[0], 100), date[1], *time)
        if key("typeOfLevel") == "isobaricInhPa":
            assert found["level"] == key("level") * 100.0
        if key("typeOfLevel") == "heightAboveGround":
            assert found["level"] == key("level")
        assert grids.setdefault(found["grid_hash"], key("md5GridSection")) == key("md5GridSection")
    assert at + 1 == min(len(got), MANY)
    assert len(set(grids.values())) == len(grids)


def test_the_index_is_a_table_of_the_stated_schema():
    index = index_bytes(TEMPERATURE)
    assert index.messages.schema == INDEX_SCHEMA
    index.messages.validate(full=True)
    assert index.messages.num_rows == 1
    assert index.problems == []


def test_a_file_with_nothing_whole_in_it_has_an_empty_table_of_the_schema():
    index = index_bytes(TEMPERATURE[:-9])
    assert index.messages.schema == INDEX_SCHEMA
    assert index.messages.num_rows == 0
    assert [problem.kind for problem in index.problems] == ["truncated"]


def test_pressure_levels_are_pascals_in_both_editions():
    grib1 = row(made("regular_ll_pl_grib1", level=850))
    grib2 = row(made("regular_ll_pl_grib2", level=850))
    stratosphere = row(made("regular_ll_pl_grib2", typeOfLevel="isobaricInPa", level=150))
    assert (grib1["level_type"], grib1["level"]) == (100, 85000.0)
    assert (grib2["level_type"], grib2["level"]) == (100, 85000.0)
    assert (stratosphere["level_type"], stratosphere["level"]) == (100, 150.0)


@pytest.mark.parametrize(
    ("kind", "high", "low", "level", "level_2"),
    [
        (1, 0, 0, None, None),
        (102, 0, 0, None, None),
        (103, 7, 37, 1829.0, None),
        (105, 0, 10, 10.0, None),
        (111, 0, 7, 0.07, None),
        (112, 7, 28, 0.07, 0.28),
        (106, 1, 0, 100.0, 0.0),
        (101, 50, 100, 50000.0, 100000.0),
        (115, 0, 30, 3000.0, None),
        (125, 0, 200, 2.0, None),
        (109, 0, 137, 137.0, None),
    ],
)
def test_grib1_levels_in_si_units_as_code_table_3_defines_them(kind, high, low, level, level_2):
    message = bytearray(made("regular_ll_pl_grib1"))
    message[17:20] = kind, high, low
    found = row(bytes(message))
    assert (found["level_type"], found["level"], found["level_2"]) == (kind, level, level_2)
    assert found["level_type_2"] == (None if level_2 is None else kind)


def test_grib2_levels_are_scaled_and_null_where_missing():
    soil = {"scaleFactorOfFirstFixedSurface": 2, "scaledValueOfFirstFixedSurface": 7}
    layer = row(
        made(
            typeOfFirstFixedSurface=106,
            **soil,
            typeOfSecondFixedSurface=106,
            scaleFactorOfSecondFixedSurface=2,
            scaledValueOfSecondFixedSurface=28,
        )
    )
    assert (layer["level_type"], layer["level"]) == (106, 0.07)
    assert (layer["level_type_2"], layer["level_2"]) == (106, 0.28)
    surface = row(made(typeOfFirstFixedSurface=1, scaleFactorOfFirstFixedSurface="missing"))
    assert (surface["level_type"], surface["level"]) == (1, None)
    assert (surface["level_type_2"], surface["level_2"]) == (None, None)


def cma(category: int, number: int, **keys) -> bytes:
    """A field as CMA-MESO encodes it."""
    return made("regular_ll_sfc_grib2", centre=38, parameterCategory=category, parameterNumber=number, **keys)


def test_fields_that_eccodes_cannot_name_are_told_apart_by_their_numbers():
    window = {"productDefinitionTemplateNumber": 8, "forecastTime": 0, "lengthOfTimeRange": 24}
    content = cma(1, 8, **window, typeOfStatisticalProcessing=1)
    content += cma(16, 224, forecastTime=24)
    content += cma(16, 224, **window, typeOfStatisticalProcessing=2)
    rain, reflectivity, strongest = rows(content)
    assert rain["short_name"] == reflectivity["short_name"] == strongest["short_name"] == "unknown"
    assert (rain["discipline"], rain["category"], rain["number"], rain["process"]) == (0, 1, 8, "accum")
    assert (reflectivity["category"], reflectivity["number"], reflectivity["process"]) == (16, 224, "instant")
    assert (strongest["category"], strongest["number"], strongest["process"]) == (16, 224, "max")
    assert rain["window_start"] == strongest["window_start"] == rain["init_time"]
    assert rain["valid_time"] == reflectivity["valid_time"] == strongest["valid_time"]
    assert rain["valid_time"] - rain["init_time"] == timedelta(hours=24)
    assert reflectivity["window_start"] is None


@pytest.mark.parametrize(
    ("unit", "step"),
    [(0, timedelta(minutes=1)), (1, timedelta(hours=1)), (2, timedelta(days=1)), (10, timedelta(hours=3)),
     (11, timedelta(hours=6)), (12, timedelta(hours=12)), (13, timedelta(seconds=1))],
)  # fmt: skip
def test_steps_in_every_unit_of_fixed_length(unit, step):
    found = row(changed(TEMPERATURE, indicatorOfUnitOfTimeRange=unit, forecastTime=7))
    assert found["init_time"] == utc(2018, 7, 22, 12)
    assert found["valid_time"] == utc(2018, 7, 22, 12) + 7 * step


@pytest.mark.parametrize("template", [8, 9, 10, 11, 12])
def test_windows_of_every_template_and_day(template):
    window = {"typeOfStatisticalProcessing": 1, "forecastTime": 6, "lengthOfTimeRange": 3}
    message = changed(TEMPERATURE, productDefinitionTemplateNumber=template, **window)
    first, next_day = rows(message + changed(message, dataDate=20180723))
    assert first["process"] == next_day["process"] == "accum"
    assert (first["window_start"], first["valid_time"]) == (utc(2018, 7, 22, 18), utc(2018, 7, 22, 21))
    assert (next_day["window_start"], next_day["valid_time"]) == (utc(2018, 7, 23, 18), utc(2018, 7, 23, 21))


def test_a_step_in_months_is_a_problem_not_a_guess():
    """ecCodes takes a month for 30 days."""
    index = index_bytes(changed(TEMPERATURE, indicatorOfUnitOfTimeRange=3, forecastTime=2) + TEMPERATURE)
    assert index.messages.num_rows == 1
    (problem,) = index.problems
    assert (problem.kind, problem.offset) == ("not_read", 0)
    assert "months" in problem.text


def test_a_day_that_is_none_is_a_problem_of_that_field_alone():
    message = bytearray(TEMPERATURE)
    assert message[16 + 14] == 7
    message[16 + 14] = 13
    index = index_bytes(TEMPERATURE + bytes(message) + TEMPERATURE)
    assert index.messages["offset"].to_pylist() == [0, 2 * len(TEMPERATURE)]
    (problem,) = index.problems
    assert (problem.kind, problem.offset) == ("corrupt", len(TEMPERATURE))
    assert "[2018, 13, 22, 12, 0, 0]" in problem.text


@needs_shared
def test_members_of_ensembles_that_do_not_state_their_size():
    members = index_file(SHARED / "awkward/forecast_monthly_ukmo.grib").messages["member"]
    assert sorted(set(members.to_pylist())) == list(range(28))


def test_members_are_numbered_and_a_field_outside_an_ensemble_has_none():
    perturbed = made(productDefinitionTemplateNumber=1, perturbationNumber=3, numberOfForecastsInEnsemble=10)
    assert [found["member"] for found in rows(perturbed + TEMPERATURE)] == [3, None]


@pytest.mark.parametrize(
    ("edition", "packing"),
    [
        (1, "grid_simple"),
        (1, "grid_second_order"),
        (1, "grid_ieee"),
        (2, "grid_ccsds"),
        (2, "grid_complex"),
        (2, "grid_jpeg"),
    ],
)
def test_the_packing_is_named(edition, packing):
    values = [number % 97 for number in range(600)]
    keys = {**regular(20, 30), "bitsPerValue": 12, "packingType": packing}
    assert row(made(f"regular_ll_pl_grib{edition}", values, **keys))["packing"] == packing


def test_vertical_coordinates_are_not_part_of_a_grib1_grid():
    flat = made("regular_ll_pl_grib1")
    with message_handle(flat) as handle:
        eccodes.codes_set(handle, "PVPresent", 1)
        eccodes.codes_set_array(handle, "pv", np.linspace(0.0, 1.0, 60))
        layered = eccodes.codes_get_message(handle)
    assert len(layered) == len(flat) + 240
    assert row(layered)["grid_hash"] == row(flat)["grid_hash"]
    assert row(changed(layered, scanningMode=64))["grid_hash"] != row(flat)["grid_hash"]


def test_grib1_without_a_grid_section_is_listed():
    """A catalogued grid may be named in section 1 alone."""
    whole = made("regular_ll_pl_grib1")
    start, length = 8 + whole[10], int.from_bytes(whole[8 + whole[10] :][:3])
    bare = bytearray(whole[:start] + whole[start + length :])
    bare[4:7] = len(bare).to_bytes(3)
    bare[15] &= ~0x80
    bare[14] = 21
    other = bytearray(bare)
    other[14] = 23
    northern, southern = rows(bytes(bare + other))
    assert northern["parameter"] == southern["parameter"] == row(whole)["parameter"]
    assert northern["grid_hash"] != southern["grid_hash"]


@pytest.mark.parametrize("first_repeated_section", [3, 4])
def test_every_field_of_a_message_with_many_is_a_row(tmp_path, first_repeated_section):
    fields = [changed(TEMPERATURE, parameterCategory=2, parameterNumber=number) for number in (2, 3, 8)]
    together = in_one_message(fields, first_repeated_section)
    path = tmp_path / "nam.grib2"
    path.write_bytes(TEMPERATURE + together + TEMPERATURE)
    index = index_file(path)
    assert index.problems == []
    table = index.messages.select(["offset", "length", "part", "category", "number"]).to_pylist()
    start, length = len(TEMPERATURE), len(together)
    assert [tuple(found.values()) for found in table] == [
        (0, start, 0, 0, 0),
        (start, length, 0, 2, 2),
        (start, length, 1, 2, 3),
        (start, length, 2, 2, 8),
        (start + length, start, 0, 0, 0),
    ]
    assert len(table) == sum(1 for _ in eccodes_handles(path))


@pytest.mark.parametrize(("columns", "in_units_of_120"), [(1600, False), (3000, True)])
def test_large_grib1_messages(columns, in_units_of_120):
    """A length above 8 MiB may still be in bytes, one above 16 MiB cannot."""
    large = made("regular_ll_pl_grib1", range(2000 * columns), **regular(2000, columns), bitsPerValue=24)
    assert large[4] & 0x80
    assert (int.from_bytes(large[4:7]) != len(large)) is in_units_of_120
    assert index_bytes(large + TEMPERATURE).problems == []
    assert [found["length"] for found in rows(large + TEMPERATURE)] == [len(large), len(TEMPERATURE)]
    (problem,) = index_bytes(large[:-1000]).problems
    assert problem.kind == "truncated"
    assert " 1000 bytes" in problem.text


def test_headers_are_read_and_data_are_not():
    """A kilobyte for each message of 400 kB."""
    message = made(values=range(500 * 400), **regular(400, 500), bitsPerValue=16)
    content = 20 * message
    fetched = []

    def read_at(offset, count):
        fetched.append(count)
        return content[offset : offset + count]

    assert index_ranges("large", read_at, len(content)).messages.num_rows == 20
    assert len(message) > 400_000
    assert sum(fetched) < 21 * 1100


@pytest.mark.parametrize("sample", ["regular_ll_pl_grib1", "regular_ll_pl_grib2"])
def test_days_and_scalings_cost_no_more_than_copies(sample):
    """An archive has few different headers; were each day's its own, this would take fifty times as long."""
    days = [(month, day) for month in range(1, 13) for day in range(1, 29)]
    window = {"productDefinitionTemplateNumber": 8, "lengthOfTimeRange": 3} if sample.endswith("2") else {}
    base = made(sample, range(600), **regular(20, 30), bitsPerValue=12, **window)

    def dated(month, day):
        end = {"monthOfEndOfOverallTimeInterval": month, "dayOfEndOfOverallTimeInterval": day} if window else {}
        return changed(base, np.arange(600) + 31.7 * month + day, dataDate=20180000 + 100 * month + day, **end)

    distinct = b"".join(dated(*day) for day in days)
    copies = len(days) * base

    def seconds(content):
        start = process_time()
        assert index_bytes(content).messages.num_rows == len(days)
        return process_time() - start

    seconds(copies)
    assert seconds(distinct) < 10 * seconds(copies)


@needs_shared
def test_seventeen_thousand_messages_of_a_year():
    index = index_file(SHARED / "era5/era5_point_10u10v_2015_17520msgs.grib")
    assert index.problems == []
    assert index.messages.num_rows == 17520
    times = pc.unique(index.messages["valid_time"]).to_pylist()
    assert times == [utc(2015, 1, 1) + timedelta(hours=hour) for hour in range(8760)]


def test_the_table_survives_parquet(tmp_path):
    index = index_bytes(TEMPERATURE)
    parquet.write_table(index.messages, tmp_path / "index.parquet")
    assert parquet.read_table(tmp_path / "index.parquet").equals(index.messages)


@pytest.mark.parametrize("edition", [1, 2])
@pytest.mark.parametrize("flags", [0x00, 0x08])
def test_winds_along_a_polar_stereographic_grid_are_told(edition, flags, tmp_path):
    """ecCodes has no `uvRelativeToGrid` there."""
    message = made(f"polar_stereographic_pl_grib{edition}", resolutionAndComponentFlags=flags)
    (tmp_path / "a.grib").write_bytes(message)
    (row,) = index_file(tmp_path / "a.grib").messages.to_pylist()
    assert row["uv_relative_to_grid"] == bool(flags)


@pytest.mark.parametrize(("section", "at"), [(3, 12), (4, 7), (5, 9)])
def test_a_template_that_eccodes_does_not_know_is_not_read_and_what_it_logs_is_counted(section, at, capfd):
    message = bytearray(made())
    start = 16
    while message[start + 4] != section:
        start += int.from_bytes(message[start : start + 4])
    message[start + at : start + at + 2] = (32760).to_bytes(2)
    read, logged = index_bytes(bytes(message)).problems
    assert (read.kind, f"{section}.32760" in read.text) == ("not_read", True)
    assert "ecCodes logged" in logged.text and "Unable to find template" in logged.text
    assert capfd.readouterr() == ("", "")


def test_a_message_of_another_edition_is_told_as_such():
    other = bytearray(made("regular_ll_sfc_grib1"))
    other[7] = 0
    found = index_bytes(made() + bytes(other))
    assert len(found.messages) == 1
    assert [(each.kind, each.text) for each in found.problems] == [
        ("not_read", "a message of GRIB edition 0, expected 1 or 2")
    ]
