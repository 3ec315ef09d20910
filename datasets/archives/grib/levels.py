"""The levels of a GRIB field in SI units: Pa for pressures, m for heights and depths, K for isentropes."""

from __future__ import annotations

from typing import NamedTuple

from corrstore.datasets.archives.grib.handle import integer_key, scaled_key

_GRIB1_LEVELS = {20: 0.01, 100: 100.0, 107: 1e-4, 111: 0.01, 115: 100.0, 119: 1e-4, 125: 0.01}
_GRIB1_LAYERS = {101: 1e3, 104: 100.0, 106: 100.0, 108: 0.01, 110: 1.0, 112: 0.01, 116: 100.0, 120: 0.01}
_GRIB1_WITHOUT_LEVEL = {*range(1, 10), 102, 200, 201}
"""WMO FM 92 GRIB1, code table 3: the unit of a level, that of a layer's two levels, and types without one.
A type that is in none of them has its level as coded."""

_PRESSURE, _GRIB1_PRESSURE_IN_PA = 100, 210  # ECMWF codes the levels above 1 hPa as type 210


class Level(NamedTuple):
    """One surface: its type in WMO's code table, and its value; None where the header states none."""

    kind: int | None
    value: float | None


NO_LEVEL = Level(None, None)


def grib1_levels(kind: int, high: int, low: int) -> tuple[Level, Level]:
    """Return the level, or the top and the bottom of the layer, in octets 10, 11 and 12 of section 1."""
    if kind in _GRIB1_WITHOUT_LEVEL:
        return Level(kind, None), NO_LEVEL
    if kind in _GRIB1_LAYERS:
        unit = _GRIB1_LAYERS[kind]
        return Level(kind, round(high * unit, 9)), Level(kind, round(low * unit, 9))
    if kind == _GRIB1_PRESSURE_IN_PA:
        return Level(_PRESSURE, 256.0 * high + low), NO_LEVEL
    return Level(kind, round((256 * high + low) * _GRIB1_LEVELS.get(kind, 1.0), 9)), NO_LEVEL


def grib2_levels(handle: int) -> tuple[Level, Level]:
    """Return the first and the second fixed surface of a GRIB2 field."""
    return _surface(handle, "First"), _surface(handle, "Second")


def _surface(handle: int, which: str) -> Level:
    kind = integer_key(handle, f"typeOf{which}FixedSurface")
    return NO_LEVEL if kind in (None, 255) else Level(kind, scaled_key(handle, f"{which}FixedSurface"))
