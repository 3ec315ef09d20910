"""What a NetCDF or Zarr variable states of its window, against what the source's table says."""

from __future__ import annotations

import re

import xarray as xr

from corrstore.datasets.archives.gridded.axes import UnknownLayout
from corrstore.datasets.archives.table import FieldRule

_METHODS = {"accum": "sum", "avg": "mean", "average": "mean", "max": "maximum", "min": "minimum"}
_OF_TIME = re.compile(r"\btime\s*:(?:\s*\w+\s*:)*\s*(\w+)")  # CF conventions, section 7.3


def refuse_other_method(rule: FieldRule, field: xr.DataArray) -> None:
    """Raise UnknownLayout where a variable states that it is a sum, mean, maximum or minimum, and the table another.

    It states that by `cell_methods` of time, or by the attribute that cfgrib writes. A mean rate is its table's to say.
    """
    stated = _stated(field)
    if stated is None or rule.rate or stated == rule.window_method:
        return
    taken = f"a {rule.window_method} over it" if rule.window_method else "instantaneous"
    raise UnknownLayout(
        f"variable {field.name} states that it is a {stated} over time, the source's table takes it as {taken}; write"
        f" in a source table of your own method: {stated}, and accumulates: hour, or another length"
    )


def _stated(field: xr.DataArray) -> str | None:
    found = _OF_TIME.search(str(field.attrs.get("cell_methods", "")))
    word = found.group(1) if found else str(field.attrs.get("GRIB_stepType", ""))
    method = _METHODS.get(word, word)
    return method if method in _METHODS.values() else None
