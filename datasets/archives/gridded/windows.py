"""What a NetCDF or Zarr variable states of its window, against what the source's table says."""

from __future__ import annotations

import re

import numpy as np
import xarray as xr

from corrstore.datasets.archives.gridded.axes import Axes, UnknownLayout
from corrstore.datasets.archives.table import FieldRule
from corrstore.datasets.recipe.periods import format_time, parse_duration

_METHODS = {"accum": "sum", "avg": "mean", "average": "mean", "max": "maximum", "min": "minimum"}
_CELL_METHOD = re.compile(r"((?:\w+\s*:\s*)+)(\w+)")  # CF conventions, section 7.3
_COMMENT = re.compile(r"\([^)]*\)")


def refuse_other_window(rule: FieldRule, axes: Axes, name: str) -> None:
    """Raise UnknownLayout where a file states another window for a variable than the source's table does."""
    field = axes.dataset[name]
    _refuse_other_method(rule, axes, field)
    if rule.accumulates not in (None, "run", "day", "step") and axes.is_on(name, "time"):
        _refuse_other_bounds(str(rule.accumulates), field, axes.dataset, str(axes.name("time")))


def _refuse_other_bounds(accumulates: str, field: xr.DataArray, dataset: xr.Dataset, time: str) -> None:
    """Raise UnknownLayout where the bounds of the times are not windows of the table's length that end at them."""
    bounds = str({**dataset[time].encoding, **dataset[time].attrs}.get("bounds"))
    if bounds not in dataset or dataset[bounds].dtype.kind != "M":
        return
    valid, stated = (dataset[name].values.astype("M8[s]") for name in (time, bounds))
    start = valid - parse_duration("1h" if accumulates == "hour" else accumulates)
    other = np.flatnonzero((stated.min(axis=-1) != start) | (stated.max(axis=-1) != valid))
    if len(other):
        at = other[0]
        raise UnknownLayout(
            f"variable {field.name} at {format_time(valid[at])} is of {format_time(stated[at].min())} to"
            f" {format_time(stated[at].max())}, as {bounds} states; the source's table says accumulates: {accumulates},"
            " a window that ends at the valid time; write its length in a source table of your own"
        )


def _refuse_other_method(rule: FieldRule, axes: Axes, field: xr.DataArray) -> None:
    """Raise UnknownLayout where a variable states that it is a sum, mean, maximum or minimum, and the table another.

    It states that by `cell_methods` of time, or by the attribute that cfgrib writes. A mean rate is its table's to say.
    """
    stated = stated_method(axes, field)
    if stated is None or rule.rate or stated == rule.window_method:
        return
    taken = f"a {rule.window_method} over it" if rule.window_method else "instantaneous"
    raise UnknownLayout(
        f"variable {field.name} states that it is a {stated} over time, the source's table takes it as {taken}; write"
        f" in a source table of your own method: {stated}, and accumulates: hour, or another length"
    )


def stated_method(axes: Axes, field: xr.DataArray) -> str | None:
    """Return the method that a variable states of the file's axis of time; of several, the last that was applied."""
    times = {"time", *(str(axes.name(axis)) for axis in ("time", "init", "lead"))}
    found = _CELL_METHOD.findall(_COMMENT.sub("", str(field.attrs.get("cell_methods", ""))))
    of_time = [word for names, word in found if times & set(re.findall(r"\w+", names))]
    word = of_time[-1] if of_time else str(field.attrs.get("GRIB_stepType", ""))
    method = _METHODS.get(word, word)
    return method if method in _METHODS.values() else None
