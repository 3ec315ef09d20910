"""Constants of normalisation, made from the statistics of the train split or read from another store."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.parts import StoredRole
from corrstore.datasets.recipe.recipe import Recipe
from corrstore.datasets.statistics.blocks import BlockStatistics, merge_all
from corrstore.datasets.statistics.table import moments_of_sample
from corrstore.datasets.store.layout import Normalisations, stored_normalisation
from corrstore.datasets.store.opening import open_store
from corrstore.datasets.store.records import SampleRecord
from corrstore.datasets.variables.channels import Channel
from corrstore.datasets.variables.normalisation import Normalisation
from corrstore.datasets.variables.transforms import transform_named

_HALF_ULP = {"float16": 2.0**-11, "float32": 2.0**-24}
_LARGEST_NORMALISED = 65000.0  # less than float16's largest number, 65504


@dataclass(frozen=True)
class Constants:
    """The normalisation of each role's channels, and notes on how it was made, each with a count."""

    normalisations: Normalisations
    notes: dict[str, int]


def constants_from_records(recipe: Recipe, records: Iterable[SampleRecord]) -> Constants:
    """Return the mean and standard deviation of each channel's transformed values over the records.

    The standard deviation is at least the least one, see `least_std`; that of a channel that never changes is 1 where
    the recipe has no least one. What was left out of the records, as outside its physical range, is counted. Raises
    BadInput where a channel has no number at all.
    """
    measured = Measured()
    for record in records:
        measured.add(record)
    notes = Counter(
        {
            f"{label} fields outside their range, left out of the constants": len(faults)
            for label, faults in measured.outside.items()
        }
    )
    normalisations: Normalisations = {
        role: [_constants_of(recipe, role, channel, measured, notes) for channel in recipe.channels[role]]
        for role in recipe.roles
    }
    return Constants(normalisations, dict(notes))


@dataclass(frozen=True)
class Measured:
    """The records of the train split, by role and channel: statistics, and what is outside its range or missing."""

    blocks: dict[str, list[BlockStatistics]] = field(default_factory=lambda: defaultdict(list))
    outside: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    missing: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, record: SampleRecord) -> None:
        """Take in one record."""
        blocks = moments_of_sample(record.statistics)
        for (role, name), block in blocks.items():
            if block.count:
                self.blocks[f"{role} {name}"].append(block)
        for reason in record.reasons:
            label, _, fault = reason.partition(": ")
            was_counted = any(label == f"{role} {name}" for role, name in blocks)
            (self.missing if was_counted else self.outside)[label].append(fault)


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


def least_std(recipe: Recipe, channel: Channel) -> float:
    """Return the least standard deviation of a channel's transformed numbers.

    It is the recipe's, else the variable's, else the one with which float16 holds every number of the physical range.
    """
    declared = recipe.normalisation.least_std.get(channel.name, channel.variable.least_std)
    if declared is not None:
        return declared
    low, high = transformed_range(recipe, channel)
    return float(high - low) / _LARGEST_NORMALISED


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
    measured: Measured,
    notes: Counter[str],
) -> Normalisation:
    label, split = f"{role} {channel.name}", f"the train split {recipe.splits.intervals['train']}"
    found, outside = measured.blocks[label], measured.outside[label]
    if not found and outside:
        raise BadInput(
            f"{role} channel {channel.name}: all {len(outside)} fields in {split} hold numbers outside the physical"
            f" range, the first one: {outside[0]}; correct units or scale in the source's table"
        )
    if not found:
        first = next(iter(measured.missing[label]), "all pixels are missing where the archive has it")
        raise BadInput(
            f"{role} channel {channel.name} has no number in {split}: {first}; remove the channel or correct the source"
        )
    merged = merge_all(found)
    std, least = merged.std, least_std(recipe, channel)
    if not std > 0 and channel.name not in recipe.normalisation.least_std:
        notes[f"{label} never changes in the train split; its standard deviation is taken as 1"] = 1
        std = 1.0
    elif std < least:
        notes[
            f"{label} is nearly constant in {len(found)} samples of the train split: its standard deviation of"
            f" {std:.3g} is raised to {least:.3g}, the least (normalisation.least_std.{channel.name})"
        ] = 1
        std = least
    return stored_normalisation(recipe.transform_name(channel), merged.mean, std)
