"""The constants of normalisation: from the statistics of the train split, or from another store."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from datasets.encoding import Normalisation
from datasets.errors import BadInput
from datasets.layout import ROLES
from datasets.recipe import Recipe
from datasets.records import Record
from datasets.statistics import BlockStatistics, statistics_from_table
from datasets.transforms import transform_named


@dataclass(frozen=True)
class Constants:
    """The normalisation of each role's channels, and notes with counts on how it came about."""

    normalisations: dict[str, list[Normalisation]]
    notes: dict[str, int]


def stored_normalisation(transform: str, mean: float, std: float) -> Normalisation:
    """The normalisation that a store keeps as these three."""
    return Normalisation(transform_named(transform), mean, std)


def constants_from_records(recipe: Recipe, records: Iterable[Record]) -> Constants:
    """Mean and standard deviation of each channel's transformed numbers over the records.

    A field that holds a number outside its physical range says nothing about the atmosphere and is left out; a
    channel that never changes gets the standard deviation 1. Raises BadInput where a channel has no number at all.
    """
    notes: Counter[str] = Counter()
    blocks: dict[tuple[str, str], list[BlockStatistics]] = defaultdict(list)
    limits = {
        channel.name: transform_named(recipe.transform_name(channel)).forward(np.array(channel.variable.valid_range))
        for role in ROLES
        for channel in recipe.channels[role]
    }
    for record in records:
        for (role, channel, _), block in statistics_from_table(record.statistics).items():
            low, high = limits[channel]
            slack = 1e-6 * (high - low)
            if block.count and not (low - slack <= block.minimum and block.maximum <= high + slack):
                notes[f"{role} {channel} fields outside their range, left out of the constants"] += 1
            else:
                blocks[role, channel].append(block)
    constants: dict[str, list[Normalisation]] = {role: [] for role in ROLES}
    for role in ROLES:
        for channel in recipe.channels[role]:
            merged = BlockStatistics.merge_all(blocks[role, channel.name])
            if merged.count == 0:
                raise BadInput(
                    f"{role} channel {channel.name} has no number in the train split {recipe.splits.train.interval};"
                    " remove the channel or correct the source"
                )
            std = merged.std
            if not std > 0:
                notes[f"{role} {channel.name} never changes in the train split; its standard deviation is taken as 1"] = 1
                std = 1.0
            constants[role].append(stored_normalisation(recipe.transform_name(channel), merged.mean, std))
    return Constants(constants, dict(notes))
