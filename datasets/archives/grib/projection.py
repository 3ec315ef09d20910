"""The map projection of a GRIB message as a PROJ string, with the shape of the earth that the message names."""

from __future__ import annotations

from corrstore.datasets.archives.grib.handle import eccodes, integer_key, scaled_key
from corrstore.datasets.errors import BadInput

_EARTHS = {
    0: "+R=6367470",
    2: "+a=6378160 +b=6356775",
    4: "+ellps=GRS80",
    5: "+ellps=WGS84",
    6: "+R=6371229",
    8: "+R=6371200",
    9: "+ellps=airy",
}
"""WMO FM 92 GRIB2, code table 3.2, the shapes whose size is not in the message."""

_SOUTH_POLE = 0x80


def proj_string(handle: int, kind: str) -> str:
    """Return the PROJ string of a grid whose gridType is `lambert`, `mercator` or `polar_stereographic`.

    A Mercator map is centred on the grid, so that the grid does not wrap. Raises BadInput for a rotated one, and where
    the message does not state the size of the earth.
    """
    lat_ts = _degrees(handle, "LaD")
    match kind:
        case "lambert":
            parallels = f"+lat_1={_degrees(handle, 'Latin1'):.9g} +lat_2={_degrees(handle, 'Latin2'):.9g}"
            projection = f"+proj=lcc +lat_0={lat_ts:.9g} +lon_0={_degrees(handle, 'LoV'):.9g} {parallels}"
        case "mercator":
            if _degrees(handle, "orientationOfTheGrid") != 0.0:
                raise BadInput("its Mercator grid is rotated: regrid it to latitudes and longitudes first")
            first, last = (_degrees(handle, f"longitudeOf{end}GridPoint") for end in ("First", "Last"))
            west, east = (last, first) if integer_key(handle, "iScansNegatively") else (first, last)
            centre = west + (east - west) % 360.0 / 2
            projection = f"+proj=merc +lat_ts={lat_ts:.9g} +lon_0={centre:.9g}"
        case _:
            is_south = (integer_key(handle, "projectionCentreFlag") or 0) & _SOUTH_POLE
            lat = -abs(lat_ts) if is_south else abs(lat_ts)
            lon = _degrees(handle, "orientationOfTheGrid")
            projection = f"+proj=stere +lat_0={-90 if is_south else 90} +lat_ts={lat:.9g} +lon_0={lon:.9g}"
    return f"{projection} {_earth(handle)}"


def _degrees(handle: int, key: str) -> float:
    value: float = eccodes.codes_get(handle, f"{key}InDegrees", float)
    return value


def _earth(handle: int) -> str:
    if integer_key(handle, "edition") == 1:
        return _EARTHS[2 if integer_key(handle, "earthIsOblate") else 0]
    shape = integer_key(handle, "shapeOfTheEarth")
    radius = scaled_key(handle, "RadiusOfSphericalEarth")
    major, minor = scaled_key(handle, "EarthMajorAxis"), scaled_key(handle, "EarthMinorAxis")
    metres = 1000.0 if shape == 3 else 1.0
    match shape:
        case 1 if radius:
            return f"+R={radius:.12g}"
        case 3 | 7 if major and minor:
            return f"+a={metres * major:.12g} +b={metres * minor:.12g}"
    if shape not in _EARTHS:
        raise BadInput(
            f"the shape of its earth is {shape}, radius {radius}, axes {major} and {minor}: expected a size with "
            "shapes 1, 3 and 7, or 0, 2, 4, 5, 6, 8, 9, as set by `grib_set -s shapeOfTheEarth=6 IN OUT`"
        )
    return _EARTHS[shape]
