"""The inventory of an archive: each field that the recipe can use, its position, and the problems found."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch

import pyarrow as pa
import pyarrow.compute as pc

from corrstore.datasets.archives import gridded_archive
from corrstore.datasets.archives.contents.files import (
    ArchiveFile,
    archive_paths,
    files_at,
    is_zarr,
    problem_of,
    size_of,
)
from corrstore.datasets.archives.grib.index import Problem
from corrstore.datasets.archives.grib_archive import index_files, select
from corrstore.datasets.archives.gridded.axes import UnknownLayout
from corrstore.datasets.archives.one_grid import same_grids
from corrstore.datasets.archives.references import REFERENCE_SCHEMA
from corrstore.datasets.archives.table import SourceTable, load_table
from corrstore.datasets.errors import CorrstoreError, DamagedData, fault_of_file
from corrstore.datasets.recipe.periods import Interval
from corrstore.datasets.recipe.source import SourceSpec
from corrstore.datasets.variables.channels import Channel
from corrstore.datasets.variables.table import VARIABLES, Variables

_FILES_AT_ONCE = 512  # a limit for the memory of an archive's index

SOURCES_SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("path", pa.string()),
        ("bytes", pa.int64()),
        ("format", pa.string()),
        ("fields", pa.int64()),  # number of fields that the recipe can use
    ]
)


@dataclass(frozen=True)
class Inventory:
    """The references (REFERENCE_SCHEMA), the files that were read (SOURCES_SCHEMA), and the problems found."""

    references: pa.Table
    files: pa.Table
    problems: list[Problem]


def take_inventory(
    name: str, spec: SourceSpec, channels: list[Channel], period: Interval, variables: Variables = VARIABLES
) -> Inventory:
    """List every field of the channels in the archive, at valid times in the period.

    `variables` are those that the table may name.
    Raises BadInput where the folder does not exist, or holds no file that the source's patterns match.
    """
    table = load_table(spec.type, variables)
    path = str(spec.path)
    if "://" in path or is_zarr(path):
        group = ArchiveFile(path, "", "zarr")
        try:
            found, problems = _on_one_grid(_gridded(group, spec, table, channels, period), spec)
            problems += gridded_archive.missing_times(group, table.dims, spec.opening)
        except CorrstoreError:
            raise
        except Exception as error:
            raise DamagedData(f"{path} cannot be read as Zarr: {fault_of_file(error)}; restore it") from None
        return Inventory(found, _files(name, [(path, 0, "zarr")], found), problems)
    references, described, problems = [], [], []
    listed = archive_paths(f"sources.{name}.path", path, spec.files or table.files)
    for first in range(0, len(listed), _FILES_AT_ONCE):
        files = []
        for each in listed[first : first + _FILES_AT_ONCE]:
            found, unread = files_at(each, spec.foreign_engine)
            files += found
            problems += unread
            format = found[0].format if [file.inside for file in found] == [""] else "container"
            if found:
                described.append((str(each), size_of(each), format))
        messages, damaged = index_files([(file.path, file.inside) for file in files if file.format == "grib"])
        problems += damaged
        if len(messages):
            references.append(_inside(select(_chosen(messages, spec), table, channels), period, channels))
        for file in files:
            if file.is_gridded:
                try:
                    problems += gridded_archive.missing_times(file, table.dims, spec.opening)
                    references.append(_gridded(file, spec, table, channels, period))
                except UnknownLayout:
                    raise
                except Exception as error:
                    problems.append(problem_of(str(file), error))
    one = pa.concat_tables(references or [REFERENCE_SCHEMA.empty_table()]).combine_chunks()
    all_references, of_grids = _on_one_grid(one, spec)
    return Inventory(all_references, _files(name, described, all_references), problems + of_grids)


def _gridded(
    file: ArchiveFile, spec: SourceSpec, table: SourceTable, channels: list[Channel], period: Interval
) -> pa.Table:
    """Return the references that a NetCDF file or Zarr group holds; of its members only the one of `select`."""
    member = spec.select.get("member")
    found = gridded_archive.references(
        file, table, channels, period, spec.opening, None if member is None else str(member)
    )
    return _chosen(found, spec)


def _chosen(messages: pa.Table, spec: SourceSpec) -> pa.Table:
    """Return the messages, or references, that the source's `select` keeps; a key that they lack keeps all."""
    for key, value in spec.select.items():
        if key == "path":
            kept = [fnmatch(path, str(value)) for path in messages["path"].to_pylist()]
            messages = messages.filter(pa.array(kept, pa.bool_()))
        elif key in messages.column_names and key != "grid_hash":  # which is told by coordinates, later
            messages = messages.filter(pc.equal(messages[key].cast(pa.string()), str(value)))
    return messages


def _on_one_grid(references: pa.Table, spec: SourceSpec) -> tuple[pa.Table, list[Problem]]:
    """Return the references with one `grid_hash` for all encodings of a grid; only those on the grid of `select`.

    Fields whose grid cannot be read, where that of others can, are left out, and each such grid is a problem.
    """
    one_for, unread = same_grids(references, spec.opening)
    problems = []
    for grid, reason in unread.items():
        of_grid = references.filter(pc.equal(references["grid_hash"], grid))
        path, offset = of_grid["path"][0].as_py(), of_grid["offset"][0].as_py()
        fields = "1 field" if len(of_grid) == 1 else f"{len(of_grid)} fields"
        problems.append(Problem(path, offset, "not_read", f"the grid of {fields} cannot be read: {reason}"))
    if unread:
        references = references.filter(pc.invert(pc.is_in(references["grid_hash"], pa.array(unread))))
    place = pc.index_in(references["grid_hash"], pa.array(one_for, pa.string()))
    names = pc.take(pa.array(one_for.values(), pa.string()), place)
    references = references.set_column(references.schema.get_field_index("grid_hash"), "grid_hash", names)
    wanted = str(spec.select.get("grid_hash", ""))
    if wanted:
        references = references.filter(pc.equal(names, one_for.get(wanted, wanted)))
    return references, problems


def _inside(references: pa.Table, period: Interval, channels: list[Channel]) -> pa.Table:
    times = references["valid_time"].to_numpy().astype("datetime64[s]")
    static = [channel.name for channel in channels if channel.variable.static]
    keep = period.mask(times)
    if static:
        keep |= pc.is_in(references["channel"], pa.array(static, pa.string())).to_numpy()
    return references.filter(pa.array(keep))


def _files(name: str, described: list[tuple[str, int, str]], references: pa.Table) -> pa.Table:
    fields = {each["values"]: each["counts"] for each in references["path"].value_counts().to_pylist()}
    rows = [
        {"source": name, "path": path, "bytes": size, "format": format, "fields": fields.get(path, 0)}
        for path, size, format in described
    ]
    return pa.Table.from_pylist(rows, schema=SOURCES_SCHEMA)
