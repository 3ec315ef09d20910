"""The fields of an archive beside a source's table: which variable each is, or nearly is, and what tells them apart."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from corrstore.datasets.archives.contents.held import HeldField, shown
from corrstore.datasets.archives.table import GribNumbers, SourceTable, load_table, shipped_tables
from corrstore.datasets.variables.channels import Channel
from corrstore.datasets.variables.table import Variables

_PARAMETER = ("table", "parameter", "discipline", "category", "number")


@dataclass(frozen=True)
class Near:
    """A variable that a field is, or nearly is: `differences` say in words what is not as the table asks for it.

    `line` is what a table of one's own would have under `fields` for the field to be the variable.
    """

    variable: str
    differences: tuple[str, ...]
    line: str


def variables_of(held: HeldField, table: SourceTable) -> list[Near]:
    """Return the variables of the table that a field is, or nearly is; the nearest first."""
    found = []
    for variable, rule in table.fields.items():
        if held.format.startswith("grib"):
            of_numbers = [numbers for numbers in rule.grib if _same_parameter(held, numbers)]
            told = [_differences(held, numbers) for numbers in of_numbers]
            if not told and held.name in _short_names(variable):
                asked = " or ".join(_numbers_text(numbers) for numbers in rule.grib) or "no GRIB"
                told = [(f"it is {held.numbers_text}, the table asks for {asked}",)]
        else:
            levels = [f"{level / 100:g}" for level in held.levels] or ["{level}"]
            exact = {name.format(level=level) for name in rule.names for level in levels} | set(rule.names)
            has_pattern = any(
                "{level}" in name and held.name.startswith(name.split("{", maxsplit=1)[0]) for name in rule.names
            )
            same = held.name in exact or has_pattern
            told = [()] if same else []
            if not same and held.name in _short_names(variable):
                told = [
                    (f"the variable is called {held.name}, the table asks for {' or '.join(rule.names) or 'none'}",)
                ]
        if told:
            found.append(Near(variable, min(told, key=len), line(variable, held)))
    return sorted(found, key=lambda near: len(near.differences))


def reasons_for(channel: Channel, fields: list[HeldField], table: SourceTable) -> list[str]:
    """Return sentences on the fields that a channel could be, the nearest first, each with the line to write."""
    said: list[tuple[int, str]] = []
    for held in fields:
        for near in variables_of(held, table):
            if near.variable != channel.variable.name:
                continue
            differences = list(near.differences)
            if channel.level is not None and held.level_type == 100 and not _on(held, channel.level):
                differences.append(f"its levels are {shown(held.level_texts())}, not {channel.level} hPa")
                advice = "ask for a level that is there"
            else:
                advice = f"write in a source table of your own: fields: {{{near.line}}}"
            if not differences:
                continue
            what = f"{held.name} ({held.numbers_text}, {held.process_text}" + (
                f", {held.level_type_text}" if held.level_type is not None else ""
            )
            said.append((len(differences), f"{what}) is there, but {'; '.join(differences)}; {advice}"))
    return [text for _, text in sorted(dict.fromkeys(said), key=lambda each: each[0])]


def line(variable: str, held: HeldField) -> str:
    """Return what a table would have under `fields` for a field to be the variable."""
    if not held.format.startswith("grib"):
        return f"{variable}: {{names: {held.name}}}"
    keys = {**held.numbers, "level_type": held.level_type}
    if held.level_type != 100 and len(held.levels) == 1:
        keys["level"] = held.levels[0]  # type: ignore[assignment]
    if held.process != "instant":
        keys["process"] = held.process  # type: ignore[assignment]
    numbers = ", ".join(f"{name}: {_plain(value)}" for name, value in keys.items() if value is not None)
    window = ", accumulates: encoded" if held.window else ""
    return f"{variable}: {{grib: [{{{numbers}}}]{window}}}"


def types_that_know(channels: list[Channel], fields: list[HeldField], variables: Variables) -> list[str]:
    """Return the shipped source types whose tables find one of the channels in the fields, most channels first."""
    wanted = {channel.variable.name for channel in channels}
    counts = {}
    for name in shipped_tables():
        table = load_table(name, variables)
        exact = {near.variable for held in fields for near in variables_of(held, table) if not near.differences}
        counts[name] = len(exact & wanted)
    return sorted((name for name, count in counts.items() if count), key=lambda name: -counts[name])


def _on(held: HeldField, level: int) -> bool:
    return bool(np.isclose(np.array(held.levels), level * 100).any())


def _same_parameter(held: HeldField, numbers: GribNumbers) -> bool:
    wanted = {name: value for name in _PARAMETER if (value := getattr(numbers, name)) is not None}
    return bool(wanted) and all(held.numbers.get(name) == value for name, value in wanted.items())


def _differences(held: HeldField, numbers: GribNumbers) -> tuple[str, ...]:
    told = []
    if held.process != numbers.process:
        told.append(f"its statistical process is {held.process_text}, the table asks for process: {numbers.process}")
    if numbers.level_type is not None and held.level_type != numbers.level_type:
        at = f", level {shown(held.level_texts())}" if held.levels else ""
        told.append(
            f"it is on {held.level_type_text or 'no level type'}{at}, the table asks for level_type"
            f" {numbers.level_type}"
        )
    elif numbers.level is not None and not np.isclose(np.array(held.levels), numbers.level).any():
        told.append(f"it is on level {shown(held.level_texts()) or 'none'}, the table asks for level {numbers.level:g}")
    return tuple(told)


def _numbers_text(numbers: GribNumbers) -> str:
    asked = {name: value for name in _PARAMETER if (value := getattr(numbers, name)) is not None}
    return f"GRIB{1 if 'parameter' in asked else 2}, " + ", ".join(f"{name} {value}" for name, value in asked.items())


def _plain(value: object) -> object:
    if isinstance(value, str):
        return f'"{value}"' if value.isdigit() else value
    return f"{value:g}"


@cache
def _short_names(variable: str) -> frozenset[str]:
    """Return the names that archives give to a variable: its own, and those in the shipped tables."""
    tables = [load_table(name) for name in shipped_tables()]
    names = [name for table in tables if variable in table.fields for name in table.fields[variable].names]
    return frozenset({variable, *names})
