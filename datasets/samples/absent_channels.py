"""The refusal of channels that an archive lacks, with the derivation that would make them."""

from __future__ import annotations

from corrstore.datasets.archives.contents.contents import read_contents
from corrstore.datasets.archives.contents.held import HeldField, shown, time_span
from corrstore.datasets.archives.contents.near import is_channel, reasons_for, types_that_know
from corrstore.datasets.archives.inventory import Inventory, take_inventory
from corrstore.datasets.archives.table import load_table
from corrstore.datasets.errors import BadInput
from corrstore.datasets.pairing.sources import read_channels
from corrstore.datasets.recipe.periods import Interval
from corrstore.datasets.recipe.recipe import Recipe
from corrstore.datasets.variables.channels import Channel
from corrstore.datasets.variables.derivations import Derivation, derivations_of

_REASONS, _PROBLEMS = 3, 5  # named of each channel, and in all
_NO_TIME = "no time"
_LOSSES = ("truncated", "corrupt", "no_end_marker")
"""Kinds of problems by which a file has lost fields that it may have had."""


def refuse_absent_channels(
    recipe: Recipe, source: str, channels: list[Channel], inventory: Inventory, around: Interval
) -> None:
    """Raise BadInput where the archive has no field of a channel, or of what it is derived from.

    The message names the derivations that would make it and, where the archive has all that one takes, the line to
    write.
    `around` is the period of the inventory.
    """
    held = set(inventory.references["channel"].to_pylist())
    absent = [channel for channel in channels if _lacking(recipe, source, channel, held)]
    if not absent:
        return
    spec = recipe.sources[source]
    if spec.select and not held:
        _refuse_select(recipe, source, absent, around)
    possible = _possible_derivations(recipe, source, absent, around)
    lacking = ", ".join(_lacking(recipe, source, channel, held) for channel in absent)
    refusal = f"sources.{source}.path {spec.path} holds no field of {lacking} in the period"
    if not held:
        refusal += f" {recipe.interval}"
    if possible:
        made = ", ".join(f"{each.result.name} can be derived from {each}" for each in possible)
        derive = {**spec.derive, **{each.result.name: each.name for each in possible}}
        line = ", ".join(f"{name}: {derivation}" for name, derivation in derive.items())
        refusal += f"; {made}: write sources.{source}.derive: {{{line}}}"
    elif held:
        refusal += f"; it has {', '.join(sorted(held))}"
    others = [channel for channel in absent if channel not in [each.result for each in possible]]
    for channel in others:
        if derivations := derivations_of(channel):
            refusal += f"; {channel.name} could be derived from {' or from '.join(map(str, derivations))}"
    if others:
        wanted = {read.name: read for channel in others for read in read_channels(recipe, source, channel)}
        told = _what_is_there(recipe, source, [each for name, each in wanted.items() if name not in held])
        last = f"else remove {', '.join(channel.name for channel in others)} or extend the source's table"
        refusal = "\n  ".join([refusal, *told, f"{last}; corrstore archive {spec.path} lists all that is there"])
    raise BadInput(refusal)


def _refuse_select(recipe: Recipe, source: str, absent: list[Channel], around: Interval) -> None:
    """Raise BadInput where the archive has a channel that the source's `select` leaves out."""
    spec = recipe.sources[source]
    reads = [each for channel in absent for each in read_channels(recipe, source, channel)]
    found = take_inventory(source, spec.model_copy(update={"select": {}}), reads, around, recipe.known_variables)
    fields = found.references
    if not len(fields):
        return
    there = "; ".join(
        f"{key} is {shown(sorted({str(value) for value in fields[key].to_pylist()}))}"
        for key in spec.select
        if key in fields.column_names and key != "grid_hash"
    )
    selected = ", ".join(f"{key}: {value}" for key, value in spec.select.items())
    raise BadInput(
        f"sources.{source}.select {{{selected}}} keeps none of the {len(fields)} fields of"
        f" {', '.join(dict.fromkeys(fields['channel'].to_pylist()))}"
        + (f", in which {there}" if there else "")
        + "; write a value that is there, in quotes where it has zeros in front"
    )


def _what_is_there(recipe: Recipe, source: str, channels: list[Channel]) -> list[str]:
    """Return lines on what the archive holds in place of the channels, the most likely cause first."""
    spec = recipe.sources[source]
    table = load_table(spec.type, recipe.known_variables)
    where, patterns = f"sources.{source}.path", spec.files or table.files
    contents = read_contents(where, str(spec.path), patterns, table.dims, spec.opening, spec.foreign_engine)
    near: list[str] = []
    spans: dict[str, list[str]] = {}
    certain = False
    for channel in channels:
        reasons = reasons_for(channel, contents.fields, table)
        near += [f"{channel.name}: {reason}" for reason, _ in reasons[:_REASONS]]
        certain = certain or any(each for _, each in reasons)
        if reasons[_REASONS:]:
            near.append(f"{channel.name}: and {len(reasons) - _REASONS} more fields are near to it")
        here = [held for held in contents.fields if is_channel(held, channel, table)]
        if here:
            spans.setdefault(shown([f"{_span(held)} ({held.grid})" for held in here]), []).append(channel.name)
    for span, names in spans.items():
        line = f"correct the period, or sources.{source}.select"
        if span.startswith(_NO_TIME):
            line = "write in the source's table dims: {time: NAME}, the coordinate that has the times"
        near.append(f"fields of {shown(names)} are there of {span}; {line}")
    unused = [f"not used: {problem}" for problem in contents.problems[:_PROBLEMS]]
    if contents.problems[_PROBLEMS:]:
        unused.append(f"and {len(contents.problems) - _PROBLEMS} more are not used; corrstore archive lists them")
    damaged = any(problem.kind in _LOSSES for problem in contents.problems)
    lines = [*near, *unused] if certain or not damaged else [*unused, *near]
    others = types_that_know(channels, contents.fields, recipe.known_variables)
    if not near and others:
        lines.append(
            f"the source type {' or '.join(others[:3])} knows what is there: sources.{source}.type: {others[0]}"
        )
    if not lines:
        names = list(dict.fromkeys(f"{held.name} ({held.numbers_text})" for held in contents.fields))
        count = sum(contents.files.values())
        told = f"in {count} {'file' if count == 1 else 'files'} it holds {shown(names) or 'no field'}"
        if unknown := [channel.name for channel in channels if channel.variable.name not in table.fields]:
            told = f"the table {table.name} has no line for {shown(unknown)}; {told}"
        if any(not held.numbers for held in contents.fields):
            like = f"{{{channels[0].variable.name}: {{names: NAME}}}}"
            told += f"; if one of them is it, write in a source table of your own fields: {like}"
        lines.append(told)
    return lines


def _span(held: HeldField) -> str:
    span = time_span(held.times)
    return f"{span['first']} to {span['last']}" if span["count"] else _NO_TIME


def _lacking(recipe: Recipe, source: str, channel: Channel, held: set[str]) -> str:
    """Return what the archive lacks for a channel, in words; nothing where it has all."""
    lacking = [read.name for read in read_channels(recipe, source, channel) if read.name not in held]
    if not lacking or recipe.derivation(source, channel) is None:
        return " and ".join(lacking)
    return f"{' and '.join(lacking)} (from which {channel.name} is derived)"


def _possible_derivations(recipe: Recipe, source: str, absent: list[Channel], around: Interval) -> list[Derivation]:
    """Return a derivation of each absent channel for which the archive has all that it takes."""
    candidates = {channel.name: derivations_of(channel) for channel in absent}
    ingredients = {
        each.name: each for found in candidates.values() for one in found for each in one.ingredients.values()
    }
    if not ingredients:
        return []
    spec = recipe.sources[source]
    inventory = take_inventory(source, spec, list(ingredients.values()), around, recipe.known_variables)
    held = set(inventory.references["channel"].to_pylist())
    possible = (
        next((one for one in found if held.issuperset(each.name for each in one.ingredients.values())), None)
        for found in candidates.values()
    )
    return [derivation for derivation in possible if derivation is not None]
