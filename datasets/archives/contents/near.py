"""The fields of an archive beside a source's table: which variable each is, or nearly is, and what tells them apart."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cache

import numpy as np

from corrstore.datasets.archives.contents.held import HeldField, shown
from corrstore.datasets.archives.table import FieldRule, GribNumbers, SourceTable, load_table, shipped_tables
from corrstore.datasets.variables.channels import Channel
from corrstore.datasets.variables.table import Variables

_PARAMETER = ("table", "parameter", "discipline", "category", "number")

_ON_A_LEVEL = "it is on "


@dataclass(frozen=True)
class Near:
    """A variable that a field is, or nearly is: `differences` say in words what is not as the table asks for it.

    `line` is what a table of one's own would have under `fields` for the field to be the variable.
    """

    variable: str
    differences: tuple[str, ...]
    line: str


def variables_of(held: HeldField, table: SourceTable) -> list[Near]:
    """Return the variables of the table that a field is; where it is none, those that it nearly is, nearest first."""
    found = []
    known_elsewhere = _shipped_variables(held)
    for variable, rule in table.fields.items():
        if held.format.startswith("grib"):
            of_numbers = [numbers for numbers in rule.grib if _same_parameter(held, numbers)]
            told = [(*_differences(held, numbers), *_other_runs(held, rule)) for numbers in of_numbers]
            if not told and (held.name in _short_names(variable) or variable in known_elsewhere):
                asked = " or ".join(_numbers_text(numbers) for numbers in rule.grib) or "no GRIB"
                told = [(f"it is {held.numbers_text}, the table asks for {asked}",)]
        else:
            same = any(_is_name(held.name, name) for name in rule.names)
            told = [()] if same else []
            if not same and held.name in _short_names(variable):
                told = [
                    (f"the variable is called {held.name}, the table asks for {' or '.join(rule.names) or 'none'}",)
                ]
        if told:
            found.append(Near(variable, min(told, key=len), line(variable, held, _rule_of(variable, held, table))))
    exact = [near for near in found if not near.differences]
    return exact or sorted(found, key=lambda near: len(near.differences))


def reasons_for(channel: Channel, fields: list[HeldField], table: SourceTable) -> list[tuple[str, bool]]:
    """Return sentences on the fields that a channel could be, the nearest first, each with the line to write.

    With each, whether what differs is more than levels and level types, of which a damaged file may have lost some.
    """
    said: list[tuple[int, str, bool]] = []
    for held in fields:
        for near in variables_of(held, table):
            if near.variable != channel.variable.name:
                continue
            elsewhere, advice = _elsewhere(held, channel, table)
            differences = [*near.differences, *elsewhere]
            if not differences:
                continue
            advice = advice or f"write in a source table of your own: fields: {{{near.line}}}"
            what = ", ".join(filter(None, (held.numbers_text, held.process_text, held.level_type_text)))
            told = f"{held.name} ({what}) is there, but {'; '.join(differences)}; {advice}"
            is_another = any(not each.startswith(_ON_A_LEVEL) for each in near.differences)
            said.append((len(differences), told, is_another))
    return [(text, certain) for _, text, certain in sorted(dict.fromkeys(said), key=lambda each: each[0])]


def is_channel(held: HeldField, channel: Channel, table: SourceTable) -> bool:
    """Return whether a field is the channel by the table, whatever its times."""
    exact = any(near.variable == channel.variable.name and not near.differences for near in variables_of(held, table))
    return exact and not _elsewhere(held, channel, table)[0]


def _elsewhere(held: HeldField, channel: Channel, table: SourceTable) -> tuple[list[str], str]:
    """Return what is not the channel's in the levels and dimensions of a field of its variable, and the advice."""
    if held.unread:
        return [held.unread], "bring it to a grid that is read"
    names = table.fields[channel.variable.name].names
    level_in_name = any(name != held.name and name.format(level=channel.level) == held.name for name in names)
    of_grib = held.format.startswith("grib")
    unnamed = ", ".join(f"{name} of {size}" for name, size in held.unnamed.items())
    if channel.level is not None and of_grib and held.level_type != 100:
        own = "fetch pressure levels, or give this level a variable of your own, under variables and fields of a table"
        return [], own
    if channel.level is not None and held.levels_in:
        return [f"its levels, in {held.levels_in}, are no pressures"], "fetch pressure levels"
    first = next(iter(held.unnamed), "NAME")
    if channel.level is not None and held.level_type == 100 and not _on(held, channel.level):
        return [f"its levels are {shown(held.level_texts())}, not {channel.level} hPa"], "ask for a level that is there"
    if channel.level is not None and not of_grib and held.level_type != 100 and not level_in_name:
        if not unnamed:
            return ["it has no pressure levels"], ""
        advice = f"write in a source table of your own: dims: {{level: {first}}}, if these are pressures"
        return [f"the table does not name its dimension {unnamed}"], advice
    if channel.level is None and not of_grib and held.level_type == 100:
        return [f"it is on pressure levels, {shown(held.level_texts())}"], ""
    if unnamed:
        advice = f"write in a source table of your own what it is, such as dims: {{member: {first}}}"
        return [f"the table does not name its dimension {unnamed}"], advice
    return [], ""


def _is_name(held: str, name: str) -> bool:
    """Return whether a variable is called so; `{level}` in a name stands for any number."""
    before, level, after = name.partition("{level}")
    return (
        held == name if not level else held.startswith(before) and held.endswith(after) and len(held) >= len(name) - 6
    )


def line(variable: str, held: HeldField, rule: FieldRule | None = None) -> str:
    """Return what a table would have under `fields` for a field to be the variable.

    `rule` is one of another table that knows the field: its units, and the window of a field of its process.
    """
    known = rule or FieldRule.model_validate({})
    said = known.model_dump(exclude_unset=True)
    stated: dict[str, object] = {name: said[name] for name in ("scale", "offset", "method") if name in said}
    if not held.format.startswith("grib"):
        name = next((f'"{each}"' for each in known.names if "{" in each and _is_name(held.name, each)), held.name)
        stated |= {key: said[key] for key in ("units", "accumulates", "rate") if key in said}
        return f"{variable}: {{names: {name}{_text_of(stated)}}}"
    keys = {**held.numbers, "level_type": held.level_type}
    if held.level_type != 100 and len(held.levels) == 1:
        keys["level"] = held.levels[0]  # type: ignore[assignment]
    if held.process != "instant":
        keys["process"] = held.process  # type: ignore[assignment]
    numbers = ", ".join(f"{name}: {_plain(value)}" for name, value in keys.items() if value is not None)
    if held.window:
        of_process = any(each.process == held.process for each in known.grib)
        stated["accumulates"] = (of_process and known.accumulates) or "encoded"
    return f"{variable}: {{grib: [{{{numbers}}}]{_text_of(stated)}}}"


def _text_of(stated: dict[str, object]) -> str:
    return "".join(f", {name}: {'true' if value is True else value}" for name, value in stated.items())


def _rule_of(variable: str, held: HeldField, table: SourceTable) -> FieldRule | None:
    """Return the rule for a variable, of the table or else of a shipped one, that has the field's numbers or name."""
    for each in (table, *map(load_table, shipped_tables())):
        rule = each.fields.get(variable)
        if rule is None:
            continue
        if any(_same_parameter(held, numbers) for numbers in rule.grib) and not _other_runs(held, rule):
            return rule
        if not held.numbers and any(_is_name(held.name, name) for name in rule.names):
            return rule
    return None


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
    wanted = _parameter(numbers)
    return bool(wanted) and all(held.numbers.get(name) == value for name, value in wanted.items())


def _differences(held: HeldField, numbers: GribNumbers) -> tuple[str, ...]:
    told = []
    if held.process != numbers.process:
        told.append(f"its statistical process is {held.process_text}, the table asks for process: {numbers.process}")
    if numbers.level_type is not None and held.level_type != numbers.level_type:
        at = f", level {shown(held.level_texts())}" if held.levels else ""
        told.append(
            f"{_ON_A_LEVEL}{held.level_type_text or 'no level type'}{at}, the table asks for level_type"
            f" {numbers.level_type}"
        )
    elif numbers.level is not None and not np.isclose(np.array(held.levels), numbers.level).any():
        told.append(
            f"{_ON_A_LEVEL}level {shown(held.level_texts()) or 'none'}, the table asks for level {numbers.level:g}"
        )
    return tuple(told)


def _other_runs(held: HeldField, rule: FieldRule) -> tuple[str, ...]:
    """Return in words that a field is of runs at other hours than the rule's, and goes on beyond their first window."""
    hours = sorted({int(hour) for hour in (held.runs - held.runs.astype("M8[D]")).astype(int) // 3600})
    if not rule.run_hours or set(hours) <= set(rule.run_hours) or held.leads.max() <= (held.window or 0):
        return ()
    told, asked = (", ".join(f"{hour:02}" for hour in each) for each in (hours, rule.run_hours))
    return (f"its runs start at {told} UTC, the table asks for {asked}",)


def _numbers_text(numbers: GribNumbers) -> str:
    asked = _parameter(numbers)
    return f"GRIB{1 if 'parameter' in asked else 2}, " + ", ".join(f"{name} {value}" for name, value in asked.items())


def _plain(value: object) -> object:
    if isinstance(value, str):
        return f'"{value}"' if value.isdigit() else value
    return f"{value:g}"


def _shipped_variables(held: HeldField) -> set[str]:
    """Return the variables that a GRIB field is by one of the shipped tables."""
    rules = _shipped_rules().get(frozenset(held.numbers.items()), []) if held.numbers else []
    return {variable for variable, numbers in rules if not _differences(held, numbers)}


@cache
def _shipped_rules() -> dict[frozenset[tuple[str, int]], list[tuple[str, GribNumbers]]]:
    """Return the variables of all shipped tables, and the rules of their numbers, by parameter."""
    rules = defaultdict(list)
    for table in map(load_table, shipped_tables()):
        for variable, rule in table.fields.items():
            for numbers in rule.grib:
                rules[frozenset(_parameter(numbers).items())].append((variable, numbers))
    return dict(rules)


def _parameter(numbers: GribNumbers) -> dict[str, int]:
    return {name: value for name in _PARAMETER if (value := getattr(numbers, name)) is not None}


@cache
def _short_names(variable: str) -> frozenset[str]:
    """Return the names that archives give to a variable: its own, and those in the shipped tables."""
    tables = [load_table(name) for name in shipped_tables()]
    names = [name for table in tables if variable in table.fields for name in table.fields[variable].names]
    return frozenset({variable, *names})
