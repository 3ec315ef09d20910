"""The archives that a recipe reads, and what it needs of each."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from corrstore.datasets.archives.table import load_table
from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.recipe import Recipe
from corrstore.datasets.variables.channels import Channel


def needed_channels(recipe: Recipe) -> dict[str, list[Channel]]:
    """Return the channels needed of each source with an archive.

    Those are the recipe's own, or what they are derived from, the other components of winds, and static channels.
    """
    needed: dict[str, dict[str, Channel]] = defaultdict(dict)
    for role, spec in recipe.specs.items():
        source = archive_source(recipe, spec.source)
        for channel in recipe.channels[role]:
            for read in read_channels(recipe, source, channel):
                for each in (read, read.vector_partner):
                    if each is not None:
                        needed[source][each.name] = each
    for static in (static for static in recipe.static if static.source is not None):
        channel = recipe.channel(static.variable)
        needed[archive_source(recipe, str(static.source))][channel.name] = channel
    return {source: list(channels.values()) for source, channels in needed.items()}


def read_channels(recipe: Recipe, source: str, channel: Channel) -> list[Channel]:
    """Return the channels of a source's archive that make up a channel: itself, or those that it is derived from."""
    derivation = recipe.derivation(source, channel)
    if derivation is None:
        return [channel]
    return [recipe.channel_of(source, each) for each in derivation.ingredients.values()]


def with_cell_methods(recipe: Recipe) -> Recipe:
    """Return the recipe that says of each source which variables hold over a window, as the source's table does.

    A derived channel is what all channels that it is derived from are. Raises BadInput where a table contradicts a
    variable, and where a channel is derived from maxima, from minima, or from values of several kinds.
    """
    sources = dict(recipe.sources)
    for source, channels in needed_channels(recipe).items():
        spec = recipe.sources[source]
        fields = load_table(spec.type, recipe.known_variables).fields
        of_rules = {name: rule.window_method for name, rule in fields.items()}
        methods = {}
        for variable in (recipe.known_variables[channel.variable.name] for channel in channels):
            method = of_rules.get(variable.name)
            if method and variable.method not in (None, method):
                raise BadInput(
                    f"sources.{source}: {spec.type} has {variable.name} as a {method}, but the variable is a"
                    f" {variable.method} of its window; correct the table, or take another variable"
                )
            if method and variable.method is None:
                methods[variable.name] = method
        for name in spec.derive:
            channel = recipe.channel(name)
            derivation = recipe.derivation(source, channel)
            ingredients = [] if derivation is None else list(derivation.ingredients.values())
            found = {methods.get(each.variable.name, each.variable.method) for each in ingredients}
            if len(found) > 1 or found & {"maximum", "minimum"}:
                kinds = ", ".join(sorted(str(each or "instantaneous") for each in found))
                raise BadInput(f"sources.{source}.derive.{name}: cannot be derived from values that are {kinds}")
            if method := next(iter(found), None):
                methods[channel.variable.name] = method
        sources[source] = spec.model_copy(update={"cell_methods": methods})
    return recipe.model_copy(update={"sources": sources})


def used_rules(recipe: Recipe) -> dict[str, Any]:
    """Return the rules by which the recipe's channels are read from each archive, as plain values.

    A build keeps them, because tables may change; not `run_hours`, which refuses messages and changes no number.
    """
    rules: dict[str, Any] = {}
    for source, channels in needed_channels(recipe).items():
        table = load_table(recipe.sources[source].type, recipe.known_variables)
        names = sorted({channel.variable.name for channel in channels} & set(table.fields))
        rules[source] = {name: table.fields[name].model_dump(mode="json", exclude={"run_hours"}) for name in names}
    return rules


def archive_source(recipe: Recipe, name: str) -> str:
    """Return the source whose archive is read for `name`: itself, or the source that it coarsens."""
    return recipe.sources[name].of or name
