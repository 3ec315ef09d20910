"""The contents of an archive as text, as plain values for JSON, and as a source table to start from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

from corrstore.datasets.archives.contents.contents import Contents
from corrstore.datasets.archives.contents.held import HeldField, shown, time_span
from corrstore.datasets.archives.contents.near import Near, line, variables_of
from corrstore.datasets.archives.table import FieldRule, SourceTable

_PROBLEMS = 20


def as_dict(contents: Contents, table: SourceTable) -> dict[str, Any]:
    """Return the contents as plain values: files by format, fields with the variables that they are, problems."""
    fields, windows = [], _windows(contents, table)
    for held in contents.fields:
        near = variables_of(held, table)
        exact = [each.variable for each in near if not each.differences]
        nearly = {each.variable: list(each.differences) for each in near if each.differences}
        fields.append({**held.as_dict(), "is": exact, "is_nearly": nearly, "line": _line(held, near, windows)})
    return {"files": contents.files, "fields": fields, "problems": [str(problem) for problem in contents.problems]}


def as_lines(contents: Contents, table: SourceTable) -> Iterator[str]:
    """Yield the lines of a report: files, grids, fields, and what is not read."""
    yield f"files: {shown([f'{count} {format}' for format, count in contents.files.items()])}"
    grids = list(dict.fromkeys(held.grid for held in contents.fields))
    for number, grid in enumerate(grids, start=1):
        yield f"grid {number}: {grid}"
    for held in contents.fields:
        yield f"{held.name}: {_described(held)}, grid {grids.index(held.grid) + 1}"
        for near in variables_of(held, table):
            yield f"  {'is' if not near.differences else 'is nearly'} {near.variable}" + (
                f": {'; '.join(near.differences)}" if near.differences else f" of the table {table.name}"
            )
        if holes := held.holes():
            yield f"  lacks {shown(holes)}"
    for problem in contents.problems[:_PROBLEMS]:
        yield f"not used: {problem}"
    if len(contents.problems) > _PROBLEMS:
        yield f"and {len(contents.problems) - _PROBLEMS} more that are not used; --json lists them"


def as_table(contents: Contents, table: SourceTable, name: str) -> str:
    """Return a source table, YAML, with a line for each field that is nearly a variable of the table.

    Fields that are one, which `like` takes, and those that are no known variable, are comments.
    """
    near_to = [(held, variables_of(held, table)) for held in contents.fields]
    windows = _windows(contents, table)
    taken = {near[0].variable for _, near in near_to if near and not near[0].differences}
    suffixes = sorted({PurePath(held.first.path).suffix for held in contents.fields if held.first})
    patterns = ", ".join(f'"**/*{suffix}"' for suffix in suffixes)
    known, comments = [], []
    for held, near in near_to:
        if near and not near[0].differences:
            comments.append(f"  # {near[0].variable} is as in {table.name}  # {_described(held)}")
        elif near and near[0].variable not in taken:
            taken.add(near[0].variable)
            known.append(f"  {near[0].line}  # {_described(held)}")
        else:
            comments.append(f"  # {_line(held, near, windows)}  # {_described(held)}")
    head = [f"name: {name}", f"like: {table.name}", *([f"files: [{patterns}]"] if patterns else [])]
    fields = "fields:" if known else "fields: {}  # without {} where a line below is taken"
    return "\n".join([*head, fields, *known, *comments, ""])


def _windows(contents: Contents, table: SourceTable) -> dict[str, FieldRule]:
    """Return by process the rule of a field that the table knows: ERA5-Land's messages do not tell their windows."""
    return {
        held.process: table.fields[near.variable]
        for held in contents.fields
        if held.window
        for near in variables_of(held, table)
        if not near.differences
    }


def _line(held: HeldField, near: list[Near], windows: dict[str, FieldRule]) -> str:
    if near:
        return near[0].line
    known = windows.get(held.process) if held.window else None
    rule = known and FieldRule.model_validate(known.model_dump(include={"grib", "accumulates"}))
    return line(held.name, held, rule)


def _described(held: HeldField) -> str:
    parts = [held.numbers_text if held.numbers else held.format]
    if held.process:
        parts.append(held.process_text)
    if held.units:
        parts.append(f"in {held.units}")
    if held.level_type is not None:
        parts.append(held.level_type_text)
    if held.levels:
        parts.append(f"levels {shown(held.level_texts())}")
    if held.centre:
        parts.append(f"centre {held.centre}")
    if held.expver:
        parts.append(f"expver {held.expver}")
    if held.members:
        parts.append(f"members {shown([str(member) for member in held.members])}")
    parts.append("1 field" if held.count == 1 else f"{held.count} fields")
    for what, times in (("times", held.times), ("runs", held.runs)):
        span = time_span(times)
        if span["count"]:
            many = "" if span["count"] == 1 else f" to {span['last']} ({span['count']})"
            parts.append(f"{what} {span['first']}{many}")
    if len(held.leads):
        parts.append(f"leads {held.leads[0] / 3600:g} to {held.leads[-1] / 3600:g} h")
    return ", ".join(parts)
