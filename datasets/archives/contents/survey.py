"""A survey of a path: its contents, beside the table whose variables most of them are."""

from __future__ import annotations

from typing import Any

from corrstore.datasets.archives.contents.contents import Contents, read_contents
from corrstore.datasets.archives.contents.near import variables_of
from corrstore.datasets.archives.gridded.files import refuse_unknown_engine
from corrstore.datasets.archives.table import SourceTable, load_table, shipped_tables


def survey(path: str, type: str = "", engine: str | None = None) -> tuple[Contents, SourceTable]:
    """Return the contents of an archive and the table of that type; without one, the shipped table that fits best.

    All files are read, whatever they are called. Raises BadInput where there is none.
    """
    named = load_table(type) if type else None
    if engine is not None:
        refuse_unknown_engine(engine)
    contents = read_contents("PATH", path, ["**/*"], (named or load_table("era5")).dims, {}, engine)
    return contents, named or max(map(load_table, shipped_tables()), key=lambda table: _known(contents, table))


def other_readings(contents: Contents, table: SourceTable) -> list[str]:
    """Return sentences on the other shipped tables that know as many fields, and take numbers of some for others."""
    said = []
    mine = _rules_of(contents, table)
    for other in map(load_table, shipped_tables()):
        theirs = _rules_of(contents, other)
        differ = [name for name in mine if name in theirs and mine[name] != theirs[name]]
        if len(theirs) == len(mine) and differ:
            told = ", ".join(f"{name} ({_said(theirs[name])}, not {_said(mine[name])})" for name in differ)
            said.append(f"the type {other.name} knows as many fields as {table.name}, and reads {told}; give --type")
    return said


_READING = {"scale", "offset", "accumulates", "method", "rate"}


def _rules_of(contents: Contents, table: SourceTable) -> dict[str, dict[str, Any]]:
    """Return what a table makes of the numbers of each variable that it finds."""
    found = (near for held in contents.fields for near in variables_of(held, table) if not near.differences)
    return {near.variable: table.fields[near.variable].model_dump(include=_READING) for near in found}


def _said(reading: dict[str, Any]) -> str:
    return ", ".join(f"{key}: {value}" for key, value in reading.items() if value)


def _known(contents: Contents, table: SourceTable) -> int:
    return len(_rules_of(contents, table))
