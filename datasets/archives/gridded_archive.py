"""NetCDF and Zarr archives: slices of their variables as references, and the values of one slice."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import xarray as xr

from corrstore.datasets.archives.contents.files import ArchiveFile
from corrstore.datasets.archives.grib.index import Problem
from corrstore.datasets.archives.gridded import horizontal
from corrstore.datasets.archives.gridded.axes import Axes, UnknownLayout
from corrstore.datasets.archives.gridded.files import open_file
from corrstore.datasets.archives.gridded.limits import within_stated_limits
from corrstore.datasets.archives.gridded.slices import slices
from corrstore.datasets.archives.gridded.units import rule_in_units
from corrstore.datasets.archives.gridded.windows import refuse_other_window
from corrstore.datasets.archives.references import REFERENCE_SCHEMA, FieldReference
from corrstore.datasets.archives.table import Dimensions, FieldRule, SourceTable
from corrstore.datasets.errors import DamagedData
from corrstore.datasets.grids.grid import Grid
from corrstore.datasets.grids.winds import is_turned
from corrstore.datasets.recipe.periods import Interval
from corrstore.datasets.variables.channels import Channel

_MOST_POINTS, _MOST_KEPT = 1 << 29, 1 << 26
_ALONG_GRID = {"x_wind", "y_wind", "grid_eastward_wind", "grid_northward_wind"}
_EASTWARD = {"eastward_wind", "northward_wind"}
_WRF = {"U", "V", "U10", "V10"}


def references(
    file: ArchiveFile,
    table: SourceTable,
    channels: Iterable[Channel],
    period: Interval,
    options: dict[str, Any],
    member: str | None = None,
) -> pa.Table:
    """List the slices of a file in NetCDF or Zarr that hold the channels at valid times in the period.

    Of several members all are listed, or the one given. Only coordinates are read, and of a file that holds several
    experiment versions of a field, the field. Raises UnknownLayout where the table does not fit the file's axes.
    """
    found: list[pa.Table] = []
    axes = Axes(open_file(file, options), table.dims)
    for channel in channels:
        rule = table.fields.get(channel.variable.name)
        for name in rule.names if rule else []:
            variable = name.format(level=channel.level)
            if rule and variable in axes.dataset and _fits(axes, variable, channel, level_in_name=variable != name):
                try:
                    grid, _ = horizontal.grid(axes, variable)
                    if not channel.variable.static:
                        refuse_other_window(rule, axes, variable)
                    in_our_units = rule_in_units(rule, axes.dataset[variable], channel.variable)
                    columns = slices(axes, variable, channel, in_our_units, period, member)
                    along_grid = _is_along_grid(axes, variable, channel, rule, grid)
                except UnknownLayout as error:
                    raise UnknownLayout(f"{file}: {error}") from None
                common = {
                    "channel": channel.name,
                    "format": file.format,
                    "path": file.path,
                    "inside": file.inside,
                    "name": variable,
                    "offset": 0,
                    "length": 0,
                    "part": 0,
                    "grid_hash": grid.hash,
                    "add_offset": in_our_units.offset,
                    "grid_relative": along_grid,
                }
                found.append(_table(common, columns, has_no_run=bool(table.analysis)))
    return pa.concat_tables(found or [REFERENCE_SCHEMA.empty_table()])


def missing_times(file: ArchiveFile, dims: Dimensions, options: dict[str, Any]) -> list[Problem]:
    """Return as a problem that some of a file's times have no value: the fields at those are not read."""
    text = Axes(open_file(file, options), dims).missing_times()
    advice = "the fields there are not read; write the times into the file"
    return [Problem(str(file), 0, "not_read", f"{text}: {advice}")] if text else []


def read_grid(reference: FieldReference, options: dict[str, Any]) -> Grid:
    """Return the grid of the field that `read` would return, without its values."""
    return horizontal.grid(_opened(reference, options)[1], reference.name)[0]


class KeptBlocks:
    """The last two blocks of chunks that were read of Zarr arrays: the next level or time in one is not fetched again.

    It is for the fields of one sample; a chunk that is replaced later is seen by the next one.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[object, ...], xr.DataArray] = {}

    def block(self, reference: FieldReference, whole: xr.DataArray, place: dict[str, slice]) -> xr.DataArray:
        """Return that block of the array of a reference, in memory."""
        key = (reference.path, reference.inside, reference.name, *((name, at.start) for name, at in place.items()))
        if key not in self._kept:
            while len(self._kept) > 1:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = whole.isel(place).load()
        return self._kept[key]


def read(reference: FieldReference, options: dict[str, Any], kept: KeptBlocks | None = None) -> tuple[np.ndarray, Grid]:
    """Return the referenced slice as float32 [row, column] of its grid, in the file's units, and the grid.

    Of a Zarr group, whole chunks are read and left in `kept`.
    """
    fixed, axes = _opened(reference, options)
    plane = horizontal.plane(axes, reference.name)
    whole = axes.dataset[reference.name]
    field = whole.isel(fixed).transpose(*plane)
    chunk = next((given for key in ("chunksizes", "chunks") if (given := field.encoding.get(key))), ())
    if max(field.size, math.prod(chunk)) > _MOST_POINTS:
        sizes = f"{' x '.join(map(str, field.shape))} points in chunks of {' x '.join(map(str, chunk)) or 'one'}"
        raise DamagedData(f"{reference} claims {sizes}, expected at most {_MOST_POINTS:,} at once")
    grid, columns = horizontal.grid(axes, reference.name)
    if kept is not None and reference.format == "zarr" and len(chunk) == len(whole.dims):
        size = dict(zip(map(str, whole.dims), chunk, strict=True))
        first = {name: at // size[name] * size[name] for name, at in fixed.items()}
        if field.size * math.prod(size[name] for name in fixed) <= _MOST_KEPT:
            block = kept.block(reference, whole, {name: slice(at, at + size[name]) for name, at in first.items()})
            field = block.isel({name: at - first[name] for name, at in fixed.items()}).transpose(*plane)
    values = np.asarray(field.values, dtype=np.float32)[..., columns].reshape(grid.shape)
    return within_stated_limits(values, field), grid


def packing_step(reference: FieldReference, options: dict[str, Any]) -> float:
    """Return the distance of two neighbouring numbers that a variable's packing can hold; 0 where it is not packed."""
    return abs(float(_opened(reference, options)[1].dataset[reference.name].encoding.get("scale_factor", 0)))


def _opened(reference: FieldReference, options: dict[str, Any]) -> tuple[dict[str, int], Axes]:
    """Return the positions of a slice along all dimensions but those of its grid, and the file's axes."""
    dataset = open_file(ArchiveFile(reference.path, reference.inside, reference.format), options)
    indexers = json.loads(reference.indexers)
    plane = [dimension for dimension, position in indexers.items() if position is None]
    axes = Axes(dataset, Dimensions(lat=plane[0], lon=plane[1]) if plane else Dimensions())
    return {dimension: position for dimension, position in indexers.items() if position is not None}, axes


def _table(common: dict[str, Any], columns: dict[str, Any], has_no_run: bool) -> pa.Table:
    """Return the columns as references (REFERENCE_SCHEMA), each with what is common to them; what lacks is null."""
    count = len(columns["valid_time"])
    if has_no_run:
        columns = columns | {"init_time": np.full(count, np.datetime64("NaT", "s"))}
    return pa.table(
        [
            pa.array(columns[field.name], field.type)
            if field.name in columns
            else pa.repeat(pa.scalar(common.get(field.name), field.type), count)
            for field in REFERENCE_SCHEMA
        ],
        schema=REFERENCE_SCHEMA,
    )


def _fits(axes: Axes, name: str, channel: Channel, level_in_name: bool) -> bool:
    """Return whether the variable has levels exactly if the channel has one.

    A file of one level alone may not state that level.
    """
    variable, level = axes.dataset[name], axes.name("level")
    on_levels = (level in variable.dims or level in variable.coords) and axes.pressures() is not None
    return on_levels == (channel.level is not None and not level_in_name)


def _is_along_grid(axes: Axes, name: str, channel: Channel, rule: FieldRule, grid: Grid) -> bool:
    """Return whether a wind component is along the grid's rows or columns.

    The table may say so; else the file, by cfgrib's attribute, its CF standard name, or WRF's name. Raises
    UnknownLayout where neither does and the grid is turned.
    """
    attributes = axes.dataset[name].attrs
    standard_name = attributes.get("standard_name")
    if rule.along_grid is not None or channel.vector_partner is None:
        return bool(rule.along_grid)
    if "GRIB_uvRelativeToGrid" in attributes:
        return bool(attributes["GRIB_uvRelativeToGrid"])
    if standard_name in _ALONG_GRID or (standard_name is None and "MAP_PROJ" in axes.dataset.attrs and name in _WRF):
        return True
    if standard_name not in _EASTWARD and is_turned(grid):
        raise UnknownLayout(
            f"variable {name} is on a grid that is turned against north, {grid}, and its standard_name,"
            f" {standard_name or 'not stated'}, does not say whether the wind is along the grid (x_wind) or eastward"
            f" (eastward_wind); write in a source table of your own fields: {{{channel.variable.name}: {{names: {name},"
            " along_grid: true}}, or false"
        )
    return False
