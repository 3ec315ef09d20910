"""The contents of an archive: every distinct field of its files, the grids that these lie on, and what is not read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corrstore.datasets.archives.contents.files import ArchiveFile, archive_paths, files_at, is_zarr, problem_of
from corrstore.datasets.archives.contents.held import HeldField
from corrstore.datasets.archives.grib.index import Problem
from corrstore.datasets.archives.grib_archive import index_files
from corrstore.datasets.archives.gridded import horizontal
from corrstore.datasets.archives.gridded.axes import Axes, UnknownLayout
from corrstore.datasets.archives.gridded.files import groups_of, open_file
from corrstore.datasets.archives.gridded.windows import stated_method
from corrstore.datasets.archives.gridded_archive import missing_times
from corrstore.datasets.archives.one_grid import read_grid
from corrstore.datasets.archives.references import FieldReference
from corrstore.datasets.archives.table import Dimensions
from corrstore.datasets.errors import CorrstoreError
from corrstore.datasets.recipe.periods import Interval

_FILES_AT_ONCE = 512
_EVER = Interval(np.datetime64("0001-01-01", "s"), np.datetime64("9999-01-01", "s"))
_NUMBERS = {1: ("table", "parameter"), 2: ("discipline", "category", "number")}
_KEY = [
    *("edition", "discipline", "category", "number", "table", "parameter", "short_name", "level_type"),
    *("process", "window", "centre", "expver", "grid_hash"),
]
_PROCESS = {"sum": "accum", "mean": "avg", "maximum": "max", "minimum": "min"}
_NOTHING = FieldReference("", "", "", 0, 0, 0, "", "{}", 1.0, 0.0, False)
_DISTINCT = ("level", "member", "valid_time", "init_time", "lead")


@dataclass(frozen=True)
class Contents:
    """The number of files of each format, the fields in the order of the files, and the problems."""

    files: dict[str, int]
    fields: list[HeldField]
    problems: list[Problem]


def read_contents(
    where: str,
    path: str,
    patterns: list[str],
    dims: Dimensions,
    options: dict[str, Any],
    engine: str | None = None,
) -> Contents:
    """Read what the archive at a path holds: headers of GRIB (kept in the cache), coordinates of NetCDF and Zarr.

    `where` is the key of the path in messages. An `engine` of xarray opens whatever is there. Raises BadInput where
    nothing is.
    """
    files: dict[str, int] = {}
    fields: dict[tuple[Any, ...], HeldField] = {}
    problems: list[Problem] = []
    is_group = "://" in path or is_zarr(path)
    paths = [] if is_group else archive_paths(where, path, patterns)
    for first in range(0, max(len(paths), 1), _FILES_AT_ONCE):
        batch = [ArchiveFile(path, "", "zarr")] if is_group else []
        for each in paths[first : first + _FILES_AT_ONCE]:
            found, unread = files_at(each, engine)
            batch += found
            problems += unread
        for file in batch:
            files[file.format] = files.get(file.format, 0) + 1
        messages, damaged = index_files([(file.path, file.inside) for file in batch if file.format == "grib"])
        problems += damaged
        held = _of_messages(messages)
        for file in batch:
            if file.is_gridded:
                try:
                    held += _of_variables(file, dims, options, problems)
                except CorrstoreError as error:
                    problems.append(problem_of(str(file), error))
        for one in held:
            if one.key in fields:
                fields[one.key].merge(one)
            else:
                fields[one.key] = one
    return Contents(files, _on_grids_in_words(list(fields.values()), options), problems)


def _of_messages(messages: pa.Table) -> list[HeldField]:
    """Return the distinct fields of an index of GRIB messages."""
    second = pa.timestamp("s")
    times = {name: pc.cast(messages[name], second) for name in ("valid_time", "init_time", "window_start")}
    valid = pc.cast(times["valid_time"], pa.int64())
    table = pa.table(
        {
            **{name: messages[name] for name in messages.column_names if name not in times},
            **times,
            "window": pc.subtract(valid, pc.cast(times["window_start"], pa.int64())),
            "lead": pc.subtract(valid, pc.cast(times["init_time"], pa.int64())),
        }
    )
    place = ["path", "inside", "offset", "length", "part"]
    grouped = table.group_by(_KEY, use_threads=False).aggregate(
        [*((name, "distinct") for name in _DISTINCT), *((name, "first") for name in place), ("offset", "count")]
    )
    return [_of_row(row) for row in grouped.to_pylist()]


def _of_row(row: dict[str, Any]) -> HeldField:
    distinct = {name: sorted(each for each in row[f"{name}_distinct"] if each is not None) for name in _DISTINCT}
    place = {name: row[f"{name}_first"] for name in ("path", "inside", "offset", "length", "part")}
    return HeldField(
        format=f"grib{row['edition']}",
        numbers={name: row[name] for name in _NUMBERS[row["edition"]]},
        name=row["short_name"],
        **{name: row[name] for name in ("level_type", "process", "window", "centre", "expver")},
        count=row["offset_count"],
        levels=distinct["level"],
        members=distinct["member"],
        grid=row["grid_hash"],
        times=np.array(distinct["valid_time"], "M8[s]"),
        runs=np.array(distinct["init_time"], "M8[s]"),
        leads=np.array(distinct["lead"], np.int64),
        first=replace(_NOTHING, format="grib", **place),
    )


def _of_variables(
    file: ArchiveFile, dims: Dimensions, options: dict[str, Any], problems: list[Problem]
) -> list[HeldField]:
    """Return the variables of a NetCDF file or Zarr group that lie on latitudes and longitudes."""
    axes = Axes(open_file(file, options), dims)
    held: list[HeldField] = []
    problems += missing_times(file, dims, options)
    if not axes.dataset.variables and (groups := groups_of(file)):
        line = f"engine: netcdf4, engine_options: {{group: {groups[0]}}}"
        if file.format == "zarr":
            line = f"path: {file.path}/{groups[0]}"
        text = f"its variables are in groups, {', '.join(groups)}; write under the source {line}"
        problems.append(Problem(str(file), 0, "not_read", text))
    for name in map(str, axes.dataset.data_vars):
        variable = axes.dataset[name]
        if variable.ndim < 2 or variable.dtype.kind not in "iuf":
            continue
        level, member = axes.name("level"), axes.name("member")
        times = runs = np.empty(0, "M8[s]")
        try:
            moments = axes.moments(name, _EVER, whole=False)
            times, runs = np.unique(moments.valid_time), np.unique(moments.init_time[~np.isnat(moments.init_time)])
        except UnknownLayout as error:
            if not any(problem.path == str(file) and problem.text == str(error) for problem in problems):
                problems.append(problem_of(str(file), error))
        on_level = level in variable.dims or level in variable.coords
        pressures = axes.pressures() if on_level else None
        along, grid, unread = _plane_and_grid(axes, name)
        numbered = member in variable.dims and axes.dataset[member].dtype.kind in "iuf"
        reference = replace(_NOTHING, format=file.format, path=file.path, inside=file.inside, name=name)
        held.append(
            HeldField(
                format=file.format,
                numbers={},
                name=name,
                units=variable.attrs.get("units"),
                process=_PROCESS.get(stated_method(axes, variable) or "", ""),
                level_type=None if pressures is None else 100,
                count=max(int(np.prod(variable.shape[:-2])), 1),
                levels=sorted((pressures * 100).tolist()) if pressures is not None else [],
                levels_in=str(axes.dataset[level].attrs.get("units", "no units"))
                if on_level and pressures is None
                else "",
                unnamed={key: size for key, size in axes.unnamed(name).items() if key not in along and not unread},
                members=axes.dataset[member].values.astype(int).ravel().tolist() if numbered else [],
                grid=grid,
                unread=unread,
                times=times,
                runs=runs,
                first=reference,
            )
        )
    return held


def _plane_and_grid(axes: Axes, variable: str) -> tuple[tuple[str, ...], str, str]:
    """Return the horizontal dimensions of a variable, its grid in words, and why it is not read."""
    try:
        return horizontal.plane(axes, variable), str(horizontal.grid(axes, variable)[0]), ""
    except CorrstoreError as error:
        return (), str(error), str(error)


def _on_grids_in_words(fields: list[HeldField], options: dict[str, Any]) -> list[HeldField]:
    """Return the fields, each grid told by its coordinates: encodings of one grid count as one."""
    texts: dict[str, str] = {}
    found: dict[tuple[Any, ...], HeldField] = {}
    for one in fields:
        if one.first is not None and one.first.format == "grib":
            if one.grid not in texts:
                texts[one.grid] = _grid_text(one.first, options)
            one.grid = texts[one.grid]
        if one.key in found:
            found[one.key].merge(one)
        else:
            found[one.key] = one
    return list(found.values())


def _grid_text(reference: FieldReference, options: dict[str, Any]) -> str:
    try:
        return str(read_grid(reference, options))
    except (CorrstoreError, OSError, KeyError, IndexError) as error:
        return str(error).removeprefix(f"{reference.path}: ")
