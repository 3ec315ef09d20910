"""Grids of GRIB messages: every point lies where ecCodes puts it, and what is not known is refused."""

from __future__ import annotations

import numpy as np
import pytest

from corrstore.datasets.archives.grib.decode import read_field
from corrstore.datasets.archives.grib.handle import eccodes, message_handle
from corrstore.datasets.archives.grib.index import index_file
from corrstore.datasets.errors import BadInput, DamagedData
from corrstore.datasets.grids.projected import ProjectedGrid
from tests.grib_made import changed, decoded, made, regular
from tests.paths import SHARED, needs_shared


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
        decoded(made(values=range(35), **regular(5, 7), scanningMode=8))


def test_fields_on_the_same_grid_share_it():
    first = made(values=range(1200), **regular(30, 40))
    second = changed(first, level=500, dataDate=20200101)
    assert decoded(first).grid is decoded(second).grid
