"""Constants of normalisation, made from the statistics of the train split or read from another store."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.parts import StoredRole
from corrstore.datasets.recipe.recipe import Recipe
from corrstore.datasets.statistics.blocks import BlockStatistics, merge_all
from corrstore.datasets.statistics.table import merged_by_channel
from corrstore.datasets.store.layout import Normalisations, stored_normalisation
from corrstore.datasets.store.opening import open_store
from corrstore.datasets.store.records import SampleRecord
from corrstore.datasets.variables.channels import Channel
from corrstore.datasets.variables.normalisation import Normalisation
from corrstore.datasets.variables.transforms import transform_named

_HALF_ULP = {"float16": 2.0**-11, "float32": 2.0**-24}
_ROUNDING = 1e-6  # share of the range by which packed values may exceed it


@dataclass(frozen=True)
class Constants:
    """The normalisation of each role's channels, and notes on how it was made, each with a count."""

    normalisations: Normalisations
    notes: dict[str, int]


def constants_from_records(recipe: Recipe, records: Iterable[SampleRecord]) -> Constants:
    """Return the mean and standard deviation of each channel's transformed values over the records.

    A field that holds a number outside its physical range says nothing about the atmosphere and is left out; a
    channel that never changes gets the standard deviation 1. Raises BadInput where a channel has no number at all.
    """
    notes: Counter[str] = Counter()
    blocks: dict[tuple[str, str], list[BlockStatistics]] = defaultdict(list)
    for record in records:
        for (role, name), block in merged_by_channel(record.statistics).items():
            low, high = transformed_range(recipe, recipe.channel(name))
            slack = _ROUNDING * (high - low)
            if block.count and not (low - slack <= block.minimum and block.maximum <= high + slack):
                notes[f"{role} {name} fields outside their range, left out of the constants"] += 1
            elif block.count:
                blocks[role, name].append(replace(block, histogram=np.zeros(0, np.int64)))
    normalisations: Normalisations = {
        role: [_constants_of(recipe, role, channel, blocks, notes) for channel in recipe.channels[role]]
        for role in recipe.roles
    }
    return Constants(normalisations, dict(notes))


def constants_from_store(recipe: Recipe, url: str) -> Constants:
    """Return another store's constants for the recipe's channels.

    Raises BadInput where that store lacks a channel or has another transform for it.
    """
    other = open_store(url).plan
    constants: Normalisations = {}
    for role in recipe.roles:
        known = dict(zip([channel.name for channel in other.channels(role)], other.normalisations[role], strict=True))
        for channel in recipe.channels[role]:
            theirs, wanted = known.get(channel.name), recipe.transform_name(channel)
            if theirs is None or theirs.transform.name != wanted:
                has = "does not have it" if theirs is None else f"transforms it by {theirs.transform.name}"
                raise BadInput(
                    f"normalisation.constants_from {url}: {role} {channel.name} ({wanted}): that store {has}"
                )
        constants[role] = [known[channel.name] for channel in recipe.channels[role]]
    return Constants(constants, {f"constants of normalisation taken from {url}": 1})


def transformed_range(recipe: Recipe, channel: Channel) -> NDArray[np.float64]:
    """Return the channel's transformed physical range [low, high]; low is raised to the transform's lowest number."""
    transform = transform_named(recipe.transform_name(channel))
    low, high = channel.variable.valid_range
    return transform.forward(np.array([max(low, transform.lowest), high]))


def storage_error(recipe: Recipe, channel: Channel) -> float:
    """Return the largest change, in physical units, that storing a number of the physical range can make.

    Whatever the constants: a stored number's half ulp is at most 2^-11 (float16) or 2^-24 (float32) of its distance
    from the mean, which lies in the range; the inverse transform stretches it by its steepest slope. A twentieth more
    is for the arithmetic.
    """
    transform = transform_named(recipe.transform_name(channel))
    low, high = transformed_range(recipe, channel)
    steepest = float(np.max(np.abs(transform.inverse_slope(np.array([low, high])))))
    return 1.05 * _HALF_ULP[recipe.store.dtype] * float(high - low) * steepest


def _constants_of(
    recipe: Recipe,
    role: StoredRole,
    channel: Channel,
    blocks: dict[tuple[str, str], list[BlockStatistics]],
    notes: Counter[str],
) -> Normalisation:
    found = blocks[role, channel.name]
    if not found:
        raise BadInput(
            f"{role} channel {channel.name} has no number in the train split {recipe.splits.intervals['train']};"
            " remove the channel or correct the source"
        )
    merged = merge_all(found)
    std = merged.std
    if not std > 0:
        notes[f"{role} {channel.name} never changes in the train split; its standard deviation is taken as 1"] = 1
        std = 1.0
    return stored_normalisation(recipe.transform_name(channel), merged.mean, std)
