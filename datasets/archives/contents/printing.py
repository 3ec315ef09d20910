"""The contents of an archive as text, as plain values for JSON, and as a source table to start from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from corrstore.datasets.archives.contents.contents import Contents
from corrstore.datasets.archives.contents.held import HeldField, shown, time_span
from corrstore.datasets.archives.contents.near import Near, line, variables_of
from corrstore.datasets.archives.table import SourceTable

_PROBLEMS = 20


def as_dict(contents: Contents, table: SourceTable) -> dict[str, Any]:
    """Return the contents as plain values: files by format, fields with the variables that they are, problems."""
    fields = []
    for held in contents.fields:
        near = variables_of(held, table)
        exact = [each.variable for each in near if not each.differences]
        nearly = {each.variable: list(each.differences) for each in near if each.differences}
        fields.append({**held.as_dict(), "is": exact, "is_nearly": nearly, "line": line(_variable(held, near), held)})
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
    """Return a source table, YAML, with a line for each field; those that are no known variable are comments."""
    lines = [f"name: {name}", f"like: {table.name}", "fields:"]
    known = []
    for held in contents.fields:
        near = variables_of(held, table)
        variable = _variable(held, near)
        text = line(variable, held)
        if near and variable not in known:
            known.append(variable)
            lines.append(f"  {text}")
        else:
            lines.append(f"  # {text}  # {_described(held)}")
    return "\n".join([*lines[:2], "fields: {}" if not known else "fields:", *lines[3:], ""])


def _variable(held: HeldField, near: list[Near]) -> str:
    return near[0].variable if near else held.name


def _described(held: HeldField) -> str:
    parts = [held.numbers_text if held.numbers else held.format, held.process_text]
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
