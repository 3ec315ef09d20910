"""Units of measurement that archives state, and their conversion into corrstore's.

A declared table, and no library: the units of weather archives are few, and pint makes xarray import pyproj after
ecCodes, which crashes (see `grids/proj.py`). Names of units are those of UDUNITS, as the CF conventions ask.
"""

from __future__ import annotations

import re

from corrstore.datasets.variables.formulas import STANDARD_GRAVITY

_SECONDS = {"s": 1, "min": 60, "h": 3600, "day": 86400}
_WATER = {"kg m-2": 1.0, "mm": 1.0, "cm": 10.0, "m": 1000.0, "inch": 25.4}
_LENGTH = {"m": 1.0, "gpm": 1.0, "km": 1000.0, "cm": 0.01, "mm": 0.001, "ft": 0.3048}
_SPEED = {"m s-1": 1.0, "km h-1": 1 / 3.6, "knot": 1852 / 3600, "cm s-1": 0.01}
_PRESSURE = {"Pa": 1.0, "hPa": 100.0, "kPa": 1000.0, "bar": 1e5}
_SCALES: dict[str, dict[str, float]] = {
    "K": {"K": 1.0},
    "Pa": _PRESSURE,
    "Pa s-1": {f"{name} {second}-1": f / n for name, f in _PRESSURE.items() for second, n in _SECONDS.items()},
    "%": {"%": 1.0, "1": 100.0},
    "1": {"1": 1.0, "%": 0.01},
    "kg kg-1": {"kg kg-1": 1.0, "g kg-1": 1e-3, "mg kg-1": 1e-6, "1": 1.0},
    "kg m-2": _WATER,
    "kg m-2 s-1": {
        **{f"{name} {second}-1": f / n for name, f in _WATER.items() for second, n in _SECONDS.items()},
        **{f"kg m-2 {second}-1": 1 / n for second, n in _SECONDS.items()},
    },
    "m": {**_LENGTH, "m2 s-2": 1 / STANDARD_GRAVITY, "J kg-1": 1 / STANDARD_GRAVITY},
    "m s-1": _SPEED,
    "m2 s-2": {"m2 s-2": 1.0, "J kg-1": 1.0, "gpm": STANDARD_GRAVITY, "m": STANDARD_GRAVITY},
    "degree": {"degree": 1.0, "radian": 57.29577951308232},
    "dBZ": {"dBZ": 1.0},
    "J kg-1": {"J kg-1": 1.0, "m2 s-2": 1.0},
    "W m-2": {"W m-2": 1.0},
    "J m-2": {"J m-2": 1.0, "kJ m-2": 1e3, "MJ m-2": 1e6},
}
_OFFSETS = {("degC", "K"): (1.0, 273.15), ("degF", "K"): (5 / 9, 273.15 - 32 * 5 / 9)}
_SAME = {
    **dict.fromkeys(("c", "celsius", "degc", "°c", "degreec", "degreecelsius", "degreescelsius", "degc"), "degC"),
    **dict.fromkeys(("f", "fahrenheit", "degf", "degreef", "°f"), "degF"),
    **dict.fromkeys(("k", "kelvin", "degk", "kelvins"), "K"),
    **dict.fromkeys(("pa", "pascal", "pascals"), "Pa"),
    **dict.fromkeys(("hpa", "mb", "mbar", "millibar", "millibars", "hectopascal"), "hPa"),
    **dict.fromkeys(("%", "percent"), "%"),
    **dict.fromkeys(("1", "(0-1)", "0-1", "fraction", "proportion"), "1"),
    **dict.fromkeys(("mofwaterequivalent", "meter", "metre", "metres", "meters"), "m"),
    **dict.fromkeys(("geopotentialmeter", "geopotentialmetre", "gpm", "m-geopotential"), "gpm"),
    **dict.fromkeys(("knot", "knots", "kt", "kts"), "knot"),
    **dict.fromkeys(("in", "inch", "inches"), "inch"),
    **dict.fromkeys(("deg", "degree", "degrees", "degreetrue", "degtrue"), "degree"),
    **dict.fromkeys(("dbz",), "dBZ"),
    **dict.fromkeys(("mm/h", "mm/hr", "mm/hour"), "mm h-1"),
    **dict.fromkeys(("kpa",), "kPa"),
}


def same_units(stated: str) -> str:
    """Return the name in this table of units as an archive spells them, such as `m s-1` for `m/s` and `m s**-1`."""
    text = " ".join(stated.strip().split())
    known = _SAME.get(re.sub(r"[\s_]", "", text).lower())
    if known:
        return known
    text = text.replace("**", "").replace("^", "").replace("·", " ").replace("*", " ").replace(".", " ")
    first, *divisors = text.split("/")
    for divisor in divisors:
        name, power = re.fullmatch(r"\s*([A-Za-z]*)(\d*)(.*)", divisor).groups()[:2]  # type: ignore[union-attr]
        first = f"{first.strip()} {name}-{power or 1}"
    words = [re.sub(r"^(hr|hour|hours)(-1)$", r"h\2", word) for word in first.split()]
    return " ".join(re.sub(r"^(d|days)(-1)$", r"day\2", word) for word in words)


def conversion(stated: str, units: str) -> tuple[float, float] | None:
    """Return (scale, offset): number x scale + offset brings what is in the stated units into `units`.

    None where the table does not know that these measure one thing.
    """
    name = same_units(stated)
    if name == same_units(units):
        return 1.0, 0.0
    if (name, units) in _OFFSETS:
        return _OFFSETS[name, units]
    scale = _SCALES.get(units, {}).get(name)
    return None if scale is None else (scale, 0.0)


def is_known(stated: str) -> bool:
    """Return whether the table has the units, of whatever they are."""
    name = same_units(stated)
    return any(name in scales for scales in _SCALES.values()) or any(name == of for of, _ in _OFFSETS)
