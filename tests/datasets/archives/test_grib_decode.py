"""Fields out of GRIB messages: values where they belong, in every order and packing in which they come."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
import pytest

from corrstore.datasets.archives.grib.decode import read_field
from corrstore.datasets.archives.grib.handle import eccodes, message_handle
from corrstore.datasets.archives.grib.index import index_file
from corrstore.datasets.archives.grib.sections import CorruptMessage
from corrstore.datasets.errors import BadInput, DamagedData
from corrstore.datasets.grids.projected import ProjectedGrid
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from tests.grib_made import changed, eccodes_handles, in_one_message, made, regular
from tests.paths import SHARED, needs_shared

ROWS, COLUMNS = 5, 7
LAT = [50.0, 49.0, 48.0, 47.0, 46.0]
BITMAP = {"bitmapPresent": 1, "missingValue": -1.0}
LON = [100.0, 101.0, 102.0, 103.0, 104.0, 105.0, 106.0]


def decoded(message: bytes, part: int = 0):
    return read_field(message, 0, len(message), part)


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


@pytest.mark.parametrize(
    ("west", "east", "columns", "expected"),
    [
        (350, 19, 30, (-10, 19)),
        (180, 179, 360, (-180, 179)),
        (0, 359, 360, (0, 359)),
        (70, 145, 76, (70, 145)),
    ],
)
def test_longitudes_increase_across_the_wrap(west, east, columns, expected):
    keys = regular(2, columns)
    keys.update(longitudeOfFirstGridPointInDegrees=west, longitudeOfLastGridPointInDegrees=east)
    field = decoded(made(values=range(2 * columns), **keys, bitsPerValue=16))
    assert (field.grid.lon[0], field.grid.lon[-1]) == expected
    assert field.values[0, 0] == 0.0


def test_coordinates_come_from_the_ends_and_not_from_a_rounded_increment():
    """CMA-MESO in GRIB1 would drift by 2501 x 0.00049 degrees with the increment."""
    keys = regular(2, 2501)
    keys.update(longitudeOfFirstGridPointInDegrees=70, longitudeOfLastGridPointInDegrees=145)
    grid = decoded(made("regular_ll_pl_grib1", range(5002), **keys, iDirectionIncrement=29)).grid
    np.testing.assert_allclose(grid.lon, 70 + 0.03 * np.arange(2501), atol=1e-9)


def test_latitudes_against_their_scanning_mode_are_refused():
    message = made(values=range(6), **regular(2, 3), bitsPerValue=8, scanningMode=64)
    with pytest.raises(DamagedData, match="latitudes go from 50 to 49, against its scanning mode 64"):
        decoded(message)


def test_gaussian_latitudes_are_the_roots_of_the_legendre_polynomial():
    sine, _ = np.polynomial.legendre.leggauss(64)
    lat = np.degrees(np.arcsin(sine))[::-1]
    keys = {"latitudeOfFirstGridPointInDegrees": lat[10], "latitudeOfLastGridPointInDegrees": lat[49], "Nj": 40}
    for chosen, expected in (({}, lat), (keys, lat[10:50])):
        grid = decoded(made("regular_gg_pl_grib2", range(expected.size * 128), **chosen)).grid
        np.testing.assert_allclose(grid.lat, expected, atol=1e-9)
        assert grid.lon[-1] == 360 - 360 / 128


def test_latitudes_that_are_not_gaussian_are_refused():
    message = made("regular_gg_pl_grib2", latitudeOfFirstGridPointInDegrees=89.0)
    with pytest.raises(DamagedData, match="Gaussian grid of N = 32"):
        decoded(message)


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


def iterated(message: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Latitude and longitude of every point in scanning order, by ecCodes' own arithmetic of the projection."""
    with message_handle(message) as handle:
        return eccodes.codes_get_array(handle, "latitudes"), eccodes.codes_get_array(handle, "longitudes")


POLAR = {
    "gridType": "polar_stereographic",
    "Nx": 30,
    "Ny": 20,
    "latitudeOfFirstGridPointInDegrees": 40.0,
    "longitudeOfFirstGridPointInDegrees": 80.0,
    "LaDInDegrees": 60.0,
    "orientationOfTheGridInDegrees": 105.0,
    "DxInMetres": 45000,
    "DyInMetres": 45000,
    "projectionCentreFlag": 0,
    "scanningMode": 64,
}
LAMBERT = {
    "gridType": "lambert",
    "Nx": 30,
    "Ny": 20,
    "latitudeOfFirstGridPointInDegrees": 20.0,
    "longitudeOfFirstGridPointInDegrees": 100.0,
    "LaDInDegrees": 30.0,
    "LoVInDegrees": 110.0,
    "Latin1InDegrees": 25.0,
    "Latin2InDegrees": 45.0,
    "DxInMetres": 27000,
    "DyInMetres": 27000,
    "scanningMode": 64,
}
MERCATOR = {
    "gridType": "mercator",
    "Ni": 30,
    "Nj": 20,
    "latitudeOfFirstGridPointInDegrees": -5.0,
    "longitudeOfFirstGridPointInDegrees": 170.0,
    "latitudeOfLastGridPointInDegrees": 3.7,
    "longitudeOfLastGridPointInDegrees": 184.4,
    "LaDInDegrees": 20.0,
    "DiInMetres": 50000,
    "DjInMetres": 50000,
    "scanningMode": 64,
}
SOUTH = {"projectionCentreFlag": 128, "latitudeOfFirstGridPointInDegrees": -40.0, "LaDInDegrees": -60.0}
SPHERE = {
    "shapeOfTheEarth": 1,
    "scaleFactorOfRadiusOfSphericalEarth": 0,
    "scaledValueOfRadiusOfSphericalEarth": 6371200,
}
BESSEL = {
    "shapeOfTheEarth": 7,
    "scaleFactorOfEarthMajorAxis": 2,
    "scaledValueOfEarthMajorAxis": 637739716,
    "scaleFactorOfEarthMinorAxis": 2,
    "scaledValueOfEarthMinorAxis": 635607896,
}


@pytest.mark.parametrize(
    "keys",
    [
        LAMBERT,
        {**LAMBERT, **SPHERE},
        {**LAMBERT, **BESSEL},
        {**LAMBERT, "shapeOfTheEarth": 4},
        {**LAMBERT, "shapeOfTheEarth": 5},
        {**LAMBERT, "shapeOfTheEarth": 2},
        {**LAMBERT, "shapeOfTheEarth": 0},
        {**LAMBERT, "shapeOfTheEarth": 8},
        POLAR,
        {**POLAR, **SOUTH},
        MERCATOR,
    ],
)
def test_projected_grids_lie_where_eccodes_puts_them(keys):
    shape = (20, 30)
    message = made(values=range(600), **keys, bitsPerValue=16)
    field = decoded(message)
    assert isinstance(field.grid, ProjectedGrid)
    assert field.grid.y[0] > field.grid.y[-1]
    assert field.grid.x[0] < field.grid.x[-1]
    lat, lon = (points.reshape(shape)[::-1] for points in iterated(message))
    got_lat, got_lon = field.grid.latlon()
    np.testing.assert_allclose(got_lat, lat, atol=1e-5)
    np.testing.assert_allclose((got_lon - lon + 180) % 360, 180, atol=1e-5)
    np.testing.assert_array_equal(field.values, np.arange(600.0).reshape(shape)[::-1])


ROTATED = {
    **{"gridType": "rotated_ll", "Ni": 30, "Nj": 20, "scanningMode": 64, "shapeOfTheEarth": 6},
    **{"iDirectionIncrementInDegrees": 0.5, "jDirectionIncrementInDegrees": 0.25},
    **{"latitudeOfFirstGridPointInDegrees": -2.0, "latitudeOfLastGridPointInDegrees": 2.75},
    **{"longitudeOfFirstGridPointInDegrees": 352.0, "longitudeOfLastGridPointInDegrees": 6.5},
    **{"latitudeOfSouthernPoleInDegrees": -36.0, "longitudeOfSouthernPoleInDegrees": 254.0},
}


@pytest.mark.parametrize("pole", [(-36.0, 254.0), (-90.0, 0.0), (30.0, 10.0)])
def test_rotated_grids_lie_where_eccodes_puts_them(pole):
    lat, lon = pole
    turned = {"latitudeOfSouthernPoleInDegrees": lat, "longitudeOfSouthernPoleInDegrees": lon}
    message = made(values=range(600), **{**ROTATED, **turned}, bitsPerValue=16)
    field = decoded(message)
    for got, expected in zip(field.grid.latlon(), iterated(message), strict=True):
        np.testing.assert_allclose((got - expected.reshape(20, 30)[::-1] + 180) % 360, 180, atol=1e-5)
    np.testing.assert_array_equal(field.values, np.arange(600.0).reshape(20, 30)[::-1])


def ncep_template(message: bytes, **ends: tuple[float, float]) -> bytes:
    """The message of ROTATED with its grid in NCEP's template 32769, byte by byte, for a centre at 54 N, 254 E."""
    begin = message.index(b"\0\0\0\x54\3")
    section = message[begin : begin + 84]

    def coded(*degrees):
        return b"".join((round(abs(each) * 1e6) | (each < 0) << 31).to_bytes(4) for each in degrees)

    ncep = section[5:12] + (32769).to_bytes(2) + section[14:46] + coded(*ends["first"]) + section[54:55]
    ncep += coded(54.0, 254.0, 0.5, 0.25) + section[71:72] + coded(*ends.get("last", (0, 0)))
    body = message[16:begin] + (5 + len(ncep)).to_bytes(4) + b"\3" + ncep + message[begin + 84 :]
    return message[:8] + (16 + len(body)).to_bytes(8) + body


@pytest.mark.parametrize("stated", [{"first"}, {"first", "last"}])
def test_the_template_of_rap_is_a_rotated_grid_about_its_centre(tmp_path, stated):
    message = made(values=range(600), **ROTATED, bitsPerValue=16, uvRelativeToGrid=1)
    ends = {name: [float(points[at]) for points in iterated(message)] for name, at in (("first", 0), ("last", -1))}
    rap = ncep_template(message, **{name: ends[name] for name in stated})
    one, other = decoded(message), decoded(rap)
    np.testing.assert_allclose(other.grid.latlon(), one.grid.latlon(), atol=5e-6)
    np.testing.assert_array_equal(other.values, one.values)
    (tmp_path / "rap.grib2").write_bytes(rap)
    assert index_file(tmp_path / "rap.grib2").messages["uv_relative_to_grid"].to_pylist() == [True]


def test_the_latitude_of_true_scale_is_in_the_hemisphere_of_the_pole():
    """GRIB1 has no other than 60 degrees, "north or south"; ecCodes takes it for north at both poles."""
    south, unsigned = ({**POLAR, **SOUTH, "LaDInDegrees": lat} for lat in (-60.0, 60.0))
    grids = [decoded(made(values=range(600), **keys)).grid for keys in (south, unsigned)]
    assert grids[0] == grids[1]


def test_the_first_point_of_a_projected_grid_is_the_first_in_scanning_order():
    """WMO's template 3.30 says so: the grid is the same from its south-west and from its north-east corner."""
    message = made(values=range(600), **LAMBERT, bitsPerValue=16)
    lat, lon = iterated(message)
    north_east = {"latitudeOfFirstGridPointInDegrees": lat[-1], "longitudeOfFirstGridPointInDegrees": lon[-1]}
    backwards = made(values=range(599, -1, -1), **{**LAMBERT, **north_east, "scanningMode": 128}, bitsPerValue=16)
    one, other = decoded(message), decoded(backwards)
    np.testing.assert_allclose(one.grid.x, other.grid.x, atol=0.2)
    np.testing.assert_allclose(one.grid.y, other.grid.y, atol=0.2)
    np.testing.assert_array_equal(one.values, other.values)


@pytest.mark.parametrize("earth", [1, 3, 7])
def test_an_earth_of_unknown_size_is_refused(earth):
    missing = dict.fromkeys(
        [
            "scaledValueOfRadiusOfSphericalEarth",
            "scaledValueOfEarthMajorAxis",
            "scaledValueOfEarthMinorAxis",
        ],
        "missing",
    )
    message = made(values=range(600), **LAMBERT, shapeOfTheEarth=earth, **missing)
    with pytest.raises(BadInput, match=f"shape of its earth is {earth}"):
        decoded(message)


@needs_shared
def test_grib1_axes_of_an_oblate_earth():
    """ALADIN's grid with the flag for IAU 1965 set, against ecCodes."""
    message = (SHARED / "awkward/lambert_grid.grib").read_bytes()
    message = changed(message[: message.rindex(b"7777") + 4], earthIsOblate=1)
    lat, lon = (points.reshape(475, 475)[::-1] for points in iterated(message))
    got_lat, got_lon = decoded(message).grid.latlon()
    np.testing.assert_allclose(got_lat, lat, atol=1e-5)
    np.testing.assert_allclose((got_lon - lon + 180) % 360, 180, atol=1e-5)


@pytest.mark.parametrize(
    ("sample", "says"),
    [
        ("sh_pl_grib2", "spectral.*cdo sp2gp"),
    ],
)
def test_grids_that_are_not_read_are_refused_with_what_to_do(tmp_path, sample, says):
    path = tmp_path / "field.grib2"
    path.write_bytes(b"\0" * 50 + made(sample))
    with pytest.raises(BadInput, match=says) as refusal:
        read_field(path, 50, path.stat().st_size - 50)
    assert f"{path}: GRIB message at byte 50" in str(refusal.value)


def test_staggered_rows_are_refused():
    with pytest.raises(BadInput, match="staggered"):
        decoded(made(values=range(35), **regular(ROWS, COLUMNS), scanningMode=8))


def test_fields_on_the_same_grid_share_it():
    first = made(values=noise(30, 40), **regular(30, 40))
    second = changed(first, level=500, dataDate=20200101)
    assert decoded(first).grid is decoded(second).grid


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
