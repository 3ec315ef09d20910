"""Fields out of GRIB messages: values where they belong, in every order and packing in which they come."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
import pytest

from corrstore.datasets.archives.grib.decode import read_field
from corrstore.datasets.archives.grib.handle import eccodes, message_handle
from corrstore.datasets.archives.grib.sections import CorruptMessage
from corrstore.datasets.errors import BadInput, DamagedData
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from tests.grib_made import changed, decoded, eccodes_handles, in_one_message, made, regular
from tests.paths import SHARED, needs_shared

ROWS, COLUMNS = 5, 7
LAT = [50.0, 49.0, 48.0, 47.0, 46.0]
BITMAP = {"bitmapPresent": 1, "missingValue": -1.0}
LON = [100.0, 101.0, 102.0, 103.0, 104.0, 105.0, 106.0]


def noise(rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(5).normal(280.0, 20.0, (rows, columns))


def in_scanning_order(i_negative, j_positive, j_consecutive, alternating):
    """Latitude and longitude of every point, walked as WMO's flag table 3.4 says, point by point."""
    lats = LAT[::-1] if j_positive else LAT
    lons = LON[::-1] if i_negative else LON
    outer, inner = (lons, lats) if j_consecutive else (lats, lons)
    for line, slow in enumerate(outer):
        backwards = alternating and line % 2 == 1
        for fast in inner[::-1] if backwards else inner:
            yield (fast, slow) if j_consecutive else (slow, fast)


GRIB1_ORDERS = [(1, (*flags, False)) for flags in product([False, True], repeat=3)]
GRIB2_ORDERS = [(2, flags) for flags in product([False, True], repeat=4)]


@pytest.mark.parametrize(("edition", "flags"), GRIB1_ORDERS + GRIB2_ORDERS)
def test_every_scanning_order_gives_the_same_field(edition, flags):
    i_negative, j_positive, j_consecutive, alternating = flags
    points = list(in_scanning_order(*flags))
    keys = {
        **regular(ROWS, COLUMNS),
        "latitudeOfFirstGridPointInDegrees": LAT[-1] if j_positive else LAT[0],
        "latitudeOfLastGridPointInDegrees": LAT[0] if j_positive else LAT[-1],
        "longitudeOfFirstGridPointInDegrees": LON[-1] if i_negative else LON[0],
        "longitudeOfLastGridPointInDegrees": LON[0] if i_negative else LON[-1],
        "scanningMode": 128 * i_negative + 64 * j_positive + 32 * j_consecutive + 16 * alternating,
        "bitsPerValue": 24,
    }
    field = decoded(made(f"regular_ll_pl_grib{edition}", [100 * lat + lon for lat, lon in points], **keys))
    assert field.grid == RectilinearGrid(LAT, LON)
    assert field.grid.lat[0] == 50.0
    expected = 100 * np.array(LAT)[:, None] + np.array(LON)
    np.testing.assert_allclose(field.values, expected, rtol=1e-6)
    assert field.values.dtype == np.float32
    assert field.values.flags.c_contiguous


PACKINGS = ["grid_simple", "grid_ccsds", "grid_complex", "grid_complex_spatial_differencing", "grid_second_order",
            "grid_jpeg", "grid_ieee"]  # fmt: skip


@pytest.mark.parametrize("packing", PACKINGS)
def test_every_packing_is_decoded_to_the_nearest_float32(packing):
    """The reference is ecCodes' float64; complex packing is summed in float32, hence two units in the last place."""
    values = noise(30, 40)
    message = made(values=values, **regular(30, 40), bitsPerValue=16, packingType=packing)
    with message_handle(message) as handle:
        assert eccodes.codes_get(handle, "packingType") == packing
        expected = eccodes.codes_get_array(handle, "values", np.float64).reshape(30, 40)
    np.testing.assert_allclose(expected, values, atol=3e-3)
    np.testing.assert_allclose(decoded(message).values, expected, rtol=2.0**-22)


@pytest.mark.parametrize("packing", ["grid_simple", "grid_ccsds", "grid_jpeg"])
def test_what_the_bitmap_leaves_out_is_nan_and_9999_is_a_number(packing):
    values = noise(30, 40)
    values[3, 5:9] = -1.0
    values[20, 2] = 9999.0
    message = made(values=values, **regular(30, 40), bitsPerValue=24, packingType=packing, **BITMAP)
    got = decoded(message).values
    assert np.isnan(got[3, 5:9]).all()
    assert np.isnan(got).sum() == 4
    assert got[20, 2] == pytest.approx(9999.0, abs=0.01)


def test_a_constant_field_has_its_value_everywhere():
    field = decoded(made(values=np.full(35, 273.15), **regular(ROWS, COLUMNS)))
    np.testing.assert_array_equal(field.values, np.full((ROWS, COLUMNS), np.float32(273.15)))


@pytest.mark.parametrize("first_repeated_section", [3, 4])
def test_each_field_of_a_message_with_many_is_read_by_its_number(tmp_path, first_repeated_section):
    base = made(values=noise(4, 6), **regular(4, 6), bitsPerValue=16)
    wind = changed(base, -noise(4, 6), parameterCategory=2, parameterNumber=2)
    gaps = noise(4, 6)
    gaps[1, 2:4] = -1.0
    masked = changed(base, gaps, **BITMAP)
    together = in_one_message([base, wind, masked], first_repeated_section)
    path = tmp_path / "multi.grib2"
    path.write_bytes(b"before" + together)
    seen = 0
    for part, handle in enumerate(eccodes_handles(path)):
        eccodes.codes_set(handle, "missingValue", np.nan)
        expected = eccodes.codes_get_array(handle, "values", np.float64).reshape(4, 6)
        np.testing.assert_allclose(read_field(path, 6, len(together), part).values, expected, rtol=1e-7)
        np.testing.assert_array_equal(decoded(together, part).values, read_field(path, 6, len(together), part).values)
        seen += 1
    assert seen == 3
    assert np.isnan(decoded(together, 2).values).sum() == 2
    with pytest.raises(BadInput, match="has 3 fields"):
        decoded(together, 3)


def test_a_field_may_use_the_bitmap_of_the_one_before_it():
    """Bitmap indicator 254, WMO FM 92 GRIB2 code table 6.0."""
    gaps = noise(4, 6)
    gaps[1, 2:4] = -1.0
    masked = made(values=gaps, **regular(4, 6), bitsPerValue=16, **BITMAP)
    together = in_one_message([masked, masked])
    bitmap = together.rindex(b"\x06\x00", 0, together.rindex(b"\x07", 0, len(together) - 40)) - 4
    length = int.from_bytes(together[bitmap : bitmap + 4])
    shorter = together[:bitmap] + b"\0\0\0\x06\x06\xfe" + together[bitmap + length :]
    shorter = shorter[:8] + len(shorter).to_bytes(8) + shorter[16:]
    np.testing.assert_array_equal(decoded(shorter, 1).values, decoded(masked).values)
    assert np.isnan(decoded(shorter, 1).values).sum() == 2


@needs_shared
def test_threads_decode_what_one_thread_decodes():
    paths = [
        SHARED / "awkward" / name for name in ("gfs.png.grib2", "gfs.complex.grib2", "ifs_oper_ccsds_5fields.grib2")
    ]
    jobs = [(path, 0, int.from_bytes(path.read_bytes()[8:16])) for path in paths]
    expected = [read_field(*job).values for job in jobs]
    with ThreadPoolExecutor(4) as pool:
        got = [field.values for field in pool.map(lambda job: read_field(*job), 3 * jobs)]
    for ours, alone in zip(got, 3 * expected, strict=True):
        np.testing.assert_array_equal(ours, alone)


def test_a_message_that_is_not_what_was_indexed_is_corrupt(tmp_path):
    message = made(values=noise(30, 40), **regular(30, 40), bitsPerValue=16)
    path = tmp_path / "field.grib2"
    path.write_bytes(3 * message)
    length = len(message)
    for offset, stated, kind, says in [
        (0, length + 40, "corrupt", f"{length} bytes, expected {length + 40}"),
        (0, length - 40, "truncated", "40 bytes"),
        (7, length, "not_grib", "expected b'GRIB'"),
        (2 * length, length + 10, "corrupt", "expected"),
        (3 * length, length, "not_grib", "begins with b''"),
    ]:
        with pytest.raises(CorruptMessage, match=says) as refusal:
            read_field(path, offset, stated)
        assert refusal.value.kind == kind
        assert str(refusal.value).startswith(f"{path}: GRIB message at byte {offset}: ")


def test_data_that_cannot_be_decoded_are_corrupt_with_eccodes_reason():
    message = bytearray(made(values=noise(30, 40), **regular(30, 40), packingType="grid_jpeg", bitsPerValue=16))
    start = message.index(b"\xff\x4f\xff\x51")
    message[start : start + 60] = bytes(60)
    with pytest.raises(CorruptMessage, match=r"message at byte 0: ecCodes cannot decode it: .+") as refusal:
        decoded(bytes(message))
    assert refusal.value.kind == "corrupt"


def test_a_field_with_fewer_values_than_its_grid_is_refused():
    message = made(values=noise(30, 40), **regular(30, 40), bitsPerValue=16)
    wrong = bytearray(message)
    columns = wrong.index((40).to_bytes(4) + (30).to_bytes(4))
    wrong[columns : columns + 4] = (41).to_bytes(4)
    with pytest.raises(DamagedData, match="30 x 41 points, but there are 1200 values"):
        decoded(bytes(wrong))


def test_a_file_that_is_not_there_is_no_damaged_message(tmp_path):
    """The reader must be able to tell a disk that is away from a field that is broken."""
    with pytest.raises(FileNotFoundError, match=r"gone\.grib"):
        read_field(tmp_path / "gone.grib", 0, 100)
