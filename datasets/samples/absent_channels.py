"""The refusal of channels that an archive lacks, with the derivation that would make them."""

from __future__ import annotations

from corrstore.datasets.archives.inventory import Inventory, take_inventory
from corrstore.datasets.errors import BadInput
from corrstore.datasets.pairing.sources import read_channels
from corrstore.datasets.recipe.periods import Interval
from corrstore.datasets.recipe.recipe import Recipe
from corrstore.datasets.variables.channels import Channel
from corrstore.datasets.variables.derivations import Derivation, derivations_of


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
    possible = _possible_derivations(recipe, source, absent, around)
    if len(absent) == len(channels) and not possible:
        raise BadInput(
            f"sources.{source}.path {spec.path} holds none of the recipe's channels around the period"
            f" {recipe.interval}, in {len(inventory.files)} files; correct period, the path or the source's type"
        )
    lacking = ", ".join(_lacking(recipe, source, channel, held) for channel in absent)
    refusal = f"sources.{source}.path {spec.path} holds no field of {lacking} in the period"
    if possible:
        made = ", ".join(f"{each.result.name} can be derived from {each}" for each in possible)
        derive = {**spec.derive, **{each.result.name: each.name for each in possible}}
        line = ", ".join(f"{name}: {derivation}" for name, derivation in derive.items())
        refusal += f"; {made}: write sources.{source}.derive: {{{line}}}"
    else:
        refusal += f"; it has {', '.join(sorted(held))}"
    others = [channel for channel in absent if channel not in [each.result for each in possible]]
    if others:
        refusal += f"; remove {', '.join(channel.name for channel in others)} or extend the source's table"
    for channel in others:
        if derivations := derivations_of(channel):
            refusal += f"; {channel.name} could be derived from {' or from '.join(map(str, derivations))}"
    raise BadInput(refusal)


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
