"""The slices of a NetCDF or Zarr variable, each with its run, valid time, window, member and experiment version."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import xarray as xr

from corrstore.datasets.archives.accumulation import window_start
from corrstore.datasets.archives.gridded.axes import Axes, Moments, UnknownLayout
from corrstore.datasets.archives.gridded.horizontal import plane
from corrstore.datasets.archives.table import Dimensions, FieldRule
from corrstore.datasets.recipe.periods import Interval, Times
from corrstore.datasets.variables.channels import Channel


def slices(
    axes: Axes, name: str, channel: Channel, rule: FieldRule, period: Interval, member: str | None
) -> dict[str, Any]:
    """Return columns of REFERENCE_SCHEMA for the slices of a variable at valid times in the period.

    Of several members all are listed, or the one given. A static channel counts whatever its time. Raises
    UnknownLayout for a window that needs a run where the file tells none, and for a dimension that the table does not
    name.
    """
    moments = axes.moments(name, period, whole=channel.variable.static)
    start = _window_start(name, moments, rule)
    listed = np.flatnonzero(~np.isnat(start)) if rule.accumulates else np.arange(len(start))
    numbers, members, versions, positions = array("q"), [], [], []  # lists of columns take half of those of rows
    for number, of_member, version, position in _places(axes, name, channel, moments, listed, member):
        numbers.append(number)
        members.append(of_member)
        versions.append(version)
        positions.append(position)
    at = np.array(numbers, dtype=np.int64)
    valid, init, start = moments.valid_time[at], moments.init_time[at], start[at]
    lead = np.where(np.isnat(init), np.timedelta64(0, "s"), valid - init)
    length = (valid - start).astype(np.int64) if rule.rate else 1
    return {
        "valid_time": valid,
        "window_start": start,
        "init_time": init,
        "lead_time": lead.astype(np.int64),
        "member": members,
        "expver": versions,
        "indexers": positions,
        "scale": np.full(len(at), rule.scale) * length,
    }


def _window_start(name: str, moments: Moments, rule: FieldRule) -> Times:
    if rule.accumulates is None:
        return np.full(len(moments.valid_time), np.datetime64("NaT", "s"))
    if rule.accumulates in ("run", "step") and np.isnat(moments.init_time).any():
        raise UnknownLayout(
            f"variable {name} accumulates over a {rule.accumulates}, and the file tells no init;"
            " write in the source's table dims: {init: NAME}, or accumulates: 6h, the length of the window"
        )
    before = moments.leads_before() if rule.accumulates == "step" else None
    return window_start(rule.accumulates, moments.valid_time, moments.init_time, before)


def _places(
    axes: Axes, name: str, channel: Channel, moments: Moments, listed: Any, member: str | None
) -> Iterator[tuple[int, int | None, str, str]]:
    """Yield the number of each slice's moment, its member, its experiment version, and its position as JSON."""
    variable, expver = axes.dataset[name], axes.name("expver")
    level = _level_position(axes, name, channel)
    if level is None:
        return
    members = _members(axes, name, has_run=not np.isnat(moments.init_time).all())
    wanted = [each for each in members if member is None or each[0] is None or str(each[0]) == member]
    several_versions = expver in variable.dims
    each_version = range(axes.dataset.sizes[expver]) if several_versions else [0]
    stated = axes.dataset[expver].variable if expver else xr.Variable((), "")
    versions = stated.values
    rest = _rest(axes, name, {*level, *moments.positions, axes.name("member"), expver})
    named = _names_of_plane(axes)
    for at, (number, position), version in product(listed, wanted, each_version):
        of_time = {dimension: places[at] for dimension, places in moments.positions.items()}
        fixed = {**level, **of_time, **position, **({str(expver): version} if several_versions else {}), **rest}
        if several_versions and bool(variable.isel(fixed).isnull().all()):
            continue  # the file pads an experiment with NaN where it has no data
        text = str(versions[tuple(fixed.get(str(dimension), 0) for dimension in stated.dims)])
        yield int(at), number, text.zfill(4) if expver else "", json.dumps({**fixed, **named})


def _level_position(axes: Axes, name: str, channel: Channel) -> dict[str, int] | None:
    """Return the position of the channel's level; None where the variable lacks it.

    A variable on one level that is no dimension has that level, or, where it states none, any.
    """
    level, variable = axes.name("level"), axes.dataset[name]
    if channel.level is None or level is None or level not in {*variable.dims, *variable.coords}:
        return {}
    pressures = axes.pressures()
    here = [] if pressures is None else np.flatnonzero(np.isclose(pressures, channel.level)).tolist()
    if not here:
        return None
    return {level: here[0]} if level in variable.dims else {}


def _members(axes: Axes, name: str, has_run: bool) -> list[tuple[int | None, dict[str, int]]]:
    """Return the number of each member and its position; where numbers are not stated, the position is the number.

    The single member of a file without runs has no number.
    """
    member = axes.name("member")
    if member is None:
        return [(None, {})]
    on = member in axes.dataset[name].dims
    values = np.atleast_1d(axes.dataset[member].values)
    if not on and len(values) > 1:
        return [(None, {})]
    numbers = values.astype(int) if values.dtype.kind in "iuf" else np.arange(len(values))
    stated = len(values) > 1 or has_run
    return [
        (int(number) if stated else None, {member: position} if on else {}) for position, number in enumerate(numbers)
    ]


def _rest(axes: Axes, name: str, known: set[str | None]) -> dict[str, int]:
    """Return the position 0 of each other dimension; UnknownLayout where one of them has several positions."""
    rest = [each for each in map(str, axes.dataset[name].dims) if each not in {*known, *plane(axes, name)}]
    for dimension in rest:
        if (size := axes.dataset.sizes[dimension]) > 1:
            axis = "time" if axes.dataset[dimension].dtype.kind == "M" else "member"
            raise UnknownLayout(
                f"variable {name} has dimension {dimension} of {size}, which the source's table does not name;"
                f" write in it what the dimension is, such as dims: {{{axis}: {dimension}}}"
            )
    return dict.fromkeys(rest, 0)


def _names_of_plane(axes: Axes) -> dict[str, None]:
    """Return the names of latitude and longitude where they are not the usual ones."""
    names, usual = ([each.name("lat"), each.name("lon")] for each in (axes, Axes(axes.dataset, Dimensions())))
    return {} if names == usual else dict.fromkeys(map(str, names))
