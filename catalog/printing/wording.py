"""Numbers, units, sizes and times as people read them."""

from __future__ import annotations

import math
import re

import numpy as np

from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.recipe.periods import format_time

NONE = "–"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_EXPONENT = re.compile(r"(?<=[A-Za-z])-?\d+")
_THIN_SPACE = "\u202f"


def number(value: float, digits: int = 4) -> str:
    """The number with that many significant digits, such as 281.3, 101 325 or −2.5×10⁻⁶; a dash for NaN."""
    if math.isnan(value):
        return NONE
    if math.isinf(value):
        return _signed(f"{value:.0f}".replace("inf", "∞"))
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")
    exponent = math.floor(math.log10(abs(rounded)))
    if -4 <= exponent <= 8:
        return _signed(f"{rounded:,.{max(digits - 1 - exponent, 0)}f}".replace(",", _THIN_SPACE))
    return _signed(f"{rounded / 10.0**exponent:.{digits - 1}f}×10{str(exponent).translate(_SUPERSCRIPT)}")


def number_beside(value: float, std: float, digits: int = 3) -> str:
    """The number with as many decimals as so many digits of its standard deviation or error have."""
    if math.isnan(value) or not 1e-4 <= std < 1e6:
        return number(value)
    decimals = max(digits - 1 - math.floor(math.log10(std)), 0)
    return _signed(f"{value:,.{decimals}f}".replace(",", _THIN_SPACE))


def power_of_ten(value: float) -> str:
    """A power of ten, such as 10⁻³."""
    return f"10{str(round(math.log10(value))).translate(_SUPERSCRIPT)}"


def short_number(value: float) -> str:
    """A round number, such as that of a tick, with no more digits than it has."""
    if value != 0 and not 1e-4 <= abs(value) < 1e6:
        return number(value, 2)
    text = f"{value:.6g}"
    return _signed(f"{int(text):,}".replace(",", _THIN_SPACE) if abs(value) >= 1e4 else text)


def gained(share: float, digits: int = 0) -> str:
    """A share that is gained or lost, in per cent with its sign, such as +12 or −3; 0 for what rounds to it."""
    text = f"{100 * share:+.{digits}f}"
    return _signed(text) if float(text) else text[1:]


def is_synthetic(*titles: str) -> bool:
    """Return whether one of the titles says that what it names is SYNTHETIC."""
    return any("synthetic" in title.lower() for title in titles)


def _signed(text: str) -> str:
    return text.replace("-", "−", 1)


def share(value: float) -> str:
    """A share as per cent, such as 98.1 %; a dash for NaN."""
    return NONE if math.isnan(value) else f"{_signed(f'{100 * value:.1f}')}{_THIN_SPACE}%"


def units(text: str) -> str:
    """Units as in print: kg m⁻²; nothing for a pure number."""
    return "" if text == "1" else _EXPONENT.sub(lambda match: match[0].translate(_SUPERSCRIPT), text)


def size(count: int) -> str:
    """A number of bytes, such as 40.2 MB."""
    steps = min(int(math.log10(max(count, 1)) / 3), 5)
    name = ("B", "kB", "MB", "GB", "TB", "PB")[steps]
    return f"{count / 1000**steps:.{1 if steps else 0}f}{_THIN_SPACE}{name}"


def count(value: int) -> str:
    """A whole number, such as 2 221 240."""
    return f"{value:,}".replace(",", _THIN_SPACE)


def duration(length: np.timedelta64) -> str:
    """A length of time, such as 41 hours or 10 days."""
    hours = length / np.timedelta64(1, "h")
    return f"{hours:.4g} hours" if hours < 72 else f"{count(round(hours / 24))} days"


def spacing(grid: RectilinearGrid) -> str:
    """The spacing of a grid, such as 0.25°."""
    lat, lon = grid.resolution
    return f"{lat:.4g}°" if math.isclose(lat, lon, rel_tol=1e-3) else f"{lat:.4g}° × {lon:.4g}°"


def time(value: np.datetime64) -> str:
    """A UTC time, such as 2018-01-01 03:00 UTC."""
    return format_time(value).replace("T", " ").replace("Z", " UTC")


def longitude(degrees: float) -> str:
    """A longitude, such as 104.5°E."""
    wrapped = (degrees + 180.0) % 360.0 - 180.0
    side = "E" if wrapped > 0 else "W" if -180 < wrapped < 0 else ""
    return f"{abs(wrapped):.6g}°{side}"


def latitude(degrees: float) -> str:
    """A latitude, such as 32.5°N."""
    return f"{abs(degrees):.6g}°{'N' if degrees > 0 else 'S' if degrees < 0 else ''}"
