"""Units of measurement that archives state, and their conversion into corrstore's.

A small table of our own, and no library: the units of weather archives are few, and pint makes xarray import pyproj
after ecCodes, which crashes (see `grids/proj.py`). Names and grammar are those of UDUNITS, as the CF conventions ask.
"""

from __future__ import annotations

import math
import re
from functools import cache
from typing import NamedTuple

from corrstore.datasets.variables.formulas import STANDARD_GRAVITY

_WATER = 1000.0  # kg m-3: a millimetre of water is a kg m-2
_PREFIXES = {"G": 1e9, "M": 1e6, "k": 1e3, "h": 1e2, "da": 1e1, "d": 0.1, "c": 1e-2, "m": 1e-3, "u": 1e-6, "µ": 1e-6}
_PREFIXED = ("m", "g", "s", "Pa", "bar", "J", "W", "gpm")
_BASES = ("kg", "m", "s", "K", "rad", "dBZ")
_UNITS: dict[str, tuple[float, str]] = {
    **{"1": (1, ""), "%": (0.01, ""), "okta": (1 / 8, ""), "tenth": (0.1, "")},
    **{"g": (1e-3, "kg"), "Pa": (1, "kg m-1 s-2"), "bar": (1e5, "Pa"), "mb": (100, "Pa"), "atm": (101325, "Pa")},
    **{"mmHg": (133.322387415, "Pa"), "J": (1, "kg m2 s-2"), "W": (1, "kg m2 s-3"), "degC": (1, "K")},
    **{"degF": (5 / 9, "K"), "min": (60, "s"), "h": (3600, "s"), "day": (86400, "s"), "in": (0.0254, "m")},
    **{
        "ft": (0.3048, "m"),
        "mile": (1609.344, "m"),
        "gpm": (1, "m"),
        "gpdm": (10, "m"),
        "knot": (1852 / 3600, "m s-1"),
    },
    **{"mph": (0.44704, "m s-1"), "degree": (math.pi / 180, "rad")},
}
_ZEROS = {"degC": 273.15, "degF": 273.15 - 32 * 5 / 9}
_SPELLINGS = {
    "1": "(0-1) 0-1 fraction fractional proportion dimensionless unitless ratio",
    "%": "percent percentage pct",
    "okta": "octa oktas octas",
    "tenth": "tenths",
    "K": "k kelvin kelvins degk deg_k degree_k degrees_k degreekelvin degree_kelvin degrees_kelvin",
    "degC": "c celsius °c deg_c degc degree_c degreec degrees_c degreesc degree_celsius degrees_celsius degreecelsius"
    " degreescelsius centigrade",
    "degF": "f fahrenheit °f deg_f degf degree_f degreef degrees_f degrees_fahrenheit degree_fahrenheit",
    "Pa": "pa pascal pascals",
    "hPa": "hpa mb mbar mbars millibar millibars hectopascal hectopascals",
    "kPa": "kpa",
    "m": "meter meters metre metres",
    "mm": "millimeter millimeters millimetre millimetres",
    "cm": "centimeter centimeters centimetre centimetres",
    "km": "kilometer kilometers kilometre kilometres",
    "gpm": "m-geopotential geopotential_meter geopotential_meters geopotential_metre geopotential_metres",
    "gpdm": "dagpm gpdam geopotential_decameter",
    "s": "sec second seconds",
    "min": "minute minutes",
    "h": "hr hrs hour hours",
    "day": "d days",
    "in": "inch inches",
    "ft": "foot feet",
    "mile": "miles mi",
    "knot": "knots kt kts",
    "kg": "kg kilogram kilograms",
    "g": "gram grams",
    "J": "joule joules",
    "W": "watt watts",
    "degree": "deg degrees degree_true degrees_true degreetrue deg_true degtrue °",
    "rad": "radian radians",
    "dBZ": "dbz",
}
_SAME = {spelling: name for name, spellings in _SPELLINGS.items() for spelling in spellings.split()}
_NOT_STATED = {"", "-", "--", "~", "none", "unknown", "undefined", "n/a", "na", "missing", "not stated"}
_FACTOR = re.compile(
    r"\s*(?P<times>[/.*·]?)\s*(?:(?P<number>\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?![\w°])"
    r"|(?P<name>[A-Za-zµ°%_][A-Za-zµ°_%]*)\s*(?:\*\*|\^)?\s*(?P<power>[+-]?\d+)?)",
)


class _Measure(NamedTuple):
    """A number in the units is number x factor + zero in the base units, whose powers these are."""

    factor: float
    powers: tuple[int, ...]
    zero: float = 0.0


def is_stated(units: object) -> bool:
    """Return whether an attribute states units, and not that it has none."""
    return isinstance(units, str) and units.strip().lower() not in _NOT_STATED


def conversion(stated: str, units: str) -> tuple[float, float] | None:
    """Return (scale, offset): number x scale + offset brings what is in the stated units into `units`.

    Lengths count as water where the `units` are kg m-2, and heights and geopotentials are brought into each other. None
    where units are not known, or measure another thing.
    """
    source, target = _measure(stated), _measure(units)
    if source is None or target is None:
        return (1.0, 0.0) if " ".join(stated.split()) == " ".join(units.split()) else None
    if source.powers == target.powers:
        return source.factor / target.factor, (source.zero - target.zero) / target.factor
    quotient = tuple(mine - theirs for mine, theirs in zip(target.powers, source.powers, strict=True))
    if quotient == _powers("kg m-3") and target.powers[0] == 1:
        return source.factor * _WATER / target.factor, 0.0
    if "J" not in units and {source.powers, target.powers} == {_powers("m"), _powers("m2 s-2")}:
        gravity = STANDARD_GRAVITY if quotient == _powers("m s-2") else 1 / STANDARD_GRAVITY
        return source.factor * gravity / target.factor, 0.0
    return None


def is_known(stated: str) -> bool:
    """Return whether the units can be read, of whatever they are."""
    return _measure(stated) is not None


@cache
def _measure(text: str) -> _Measure | None:
    """Return what units measure; None where they cannot be read."""
    text = re.sub(r"\s+of\s+(liquid\s+)?water(\s+equivalent)?|\s+water\s+equivalent", "", text.strip())
    whole = _named(re.sub(r"\s", "_", text)) or _named(re.sub(r"\s", "", text))
    if whole is not None:
        return whole
    text = re.sub(r"\s+per\s+", "/", text)
    factor, powers, position = 1.0, [0] * len(_BASES), 0
    while position < len(text.rstrip()):
        found = _FACTOR.match(text, position)
        one = None if found is None else _Measure(float(found["number"]), (0,) * len(_BASES)) if found["number"] else (
            _named(found["name"])
        )  # fmt: skip
        if found is None or one is None:
            return None
        power = int(found["power"] or 1) * (-1 if found["times"] == "/" else 1)
        factor *= one.factor**power
        powers = [each + power * more for each, more in zip(powers, one.powers, strict=True)]
        position = found.end()
    return _Measure(factor, tuple(powers)) if text else None


def _named(name: str) -> _Measure | None:
    """Return what a unit measures by its name, spelled in any way, or with a prefix."""
    name = name if name in _UNITS or name in _BASES else _SAME.get(name.lower(), name)
    if name in _BASES:
        return _Measure(1.0, _powers(name))
    if name in _UNITS:
        factor, of = _UNITS[name]
        inner = _measure(of) if of else _Measure(1.0, (0,) * len(_BASES))
        return None if inner is None else _Measure(factor * inner.factor, inner.powers, _ZEROS.get(name, 0.0))
    for prefix, times in _PREFIXES.items():
        if name.startswith(prefix) and name[len(prefix) :] in _PREFIXED:
            inner = _named(name[len(prefix) :])
            return None if inner is None else _Measure(times * inner.factor, inner.powers)
    return None


@cache
def _powers(text: str) -> tuple[int, ...]:
    """Return the powers of the base units in a product of them."""
    powers = dict.fromkeys(_BASES, 0)
    for each in text.split():
        name, power = re.fullmatch(r"([A-Za-z]+)(-?\d*)", each).groups()  # type: ignore[union-attr]
        powers[name] = int(power or 1)
    return tuple(powers.values())
