"""One sample made from the archives' fields: read, regrid, normalise, count. Pure functions; nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corrstore.datasets.errors import BadInput, DamagedData
from corrstore.datasets.grids.regrid import regridder
from corrstore.datasets.pairing.sample_plan import SamplePlan
from corrstore.datasets.recipe.parts import StoredRole
from corrstore.datasets.recipe.recipe import Recipe
from corrstore.datasets.samples.reading import FieldReader, MissingField
from corrstore.datasets.statistics.blocks import BlockStatistics
from corrstore.datasets.statistics.counting import block_statistics, residual_statistics, stored_statistics
from corrstore.datasets.statistics.gradients import GradientPower, gradient_power
from corrstore.datasets.statistics.histograms import physical_edges, residual_edges
from corrstore.datasets.statistics.table import Role, statistics_table
from corrstore.datasets.store.constants import transformed_range
from corrstore.datasets.store.layout import StorePlan
from corrstore.datasets.store.records import COUNTED, SampleRecord, Status
from corrstore.datasets.variables.channels import Channel
from corrstore.datasets.variables.ranges import within_range
from corrstore.datasets.variables.transforms import transform_named

Blocks = dict[tuple[Role, str], BlockStatistics]


@dataclass(frozen=True)
class Sample:
    """The stored numbers [channel, lat, lon] of `input` and `target`, and the record without its shards."""

    stored: dict[StoredRole, NDArray[Any]]
    record: SampleRecord


@dataclass(frozen=True)
class PhysicalField:
    """One channel of one role of a sample in physical units, NaN where missing; `missing` says why all of it is.

    `outside` says that it holds numbers outside the physical range. `floored` and `capped` count the numbers that were
    moved to a declared floor or cap, `overshot` those that packing had moved beyond the range, and that are at its end.
    """

    role: StoredRole
    position: int
    channel: Channel
    values: NDArray[np.float32]
    floored: int = 0
    capped: int = 0
    overshot: int = 0
    outside: str | None = None
    missing: str | None = None


def physical_fields(recipe: Recipe, plan: SamplePlan) -> Iterator[PhysicalField]:
    """Yield a sample's channels one by one on their store grids; a channel's input comes before its target."""
    reader = FieldReader(recipe, plan)
    specs, channels = recipe.specs, recipe.channels
    positions = {role: {channel.name: i for i, channel in enumerate(of_role)} for role, of_role in channels.items()}
    for name in dict.fromkeys(channel.name for of_role in channels.values() for channel in of_role):
        for role in (role for role in specs if name in positions[role]):
            spec = specs[role]
            grid = spec.store_grid
            channel = channels[role][positions[role][name]]
            place = (role, positions[role][name], channel)
            try:
                values = reader.field(spec.source, channel, grid, spec.regrid, recipe.target_grid)
            except MissingField as reason:
                nothing = np.full(grid.shape, np.nan, np.float32)
                yield PhysicalField(*place, nothing, missing=str(reason))
                continue
            values, floored, capped = recipe.limited(name, values)
            found = within_range(values, channel.variable, partial(reader.packing_step, spec.source, channel))
            yield PhysicalField(*place, found.values, floored, capped, found.moved, found.outside)


def measure_sample(recipe: Recipe, plan: SamplePlan) -> SampleRecord:
    """Return the statistics of the transformed values, from which the constants of normalisation are made.

    A field that holds a number outside its physical range is left out, and named among the reasons, as is one that is
    missing.
    """
    blocks: Blocks = {}
    reasons = []
    for field in physical_fields(recipe, plan):
        if field.outside:
            reasons.append(f"{field.role} {field.channel.name}: {field.outside}")
            continue
        if field.missing:
            reasons.append(f"{field.role} {field.channel.name}: {field.missing}")
        transform = transform_named(recipe.transform_name(field.channel))
        edges = transformed_range(recipe, field.channel)
        with suppress(DamagedData):  # an infinite value: the second pass reports it, the constants ignore the field
            blocks[field.role, field.channel.name] = block_statistics(transform.forward(field.values), edges)
    init_time = recipe.axes.init_times[plan.index]
    table = statistics_table(plan.valid_time, blocks)
    return SampleRecord(plan.index, plan.valid_time, table, reasons=reasons, init_time=init_time)


def build_sample(plan: StorePlan, sample: SamplePlan) -> Sample:
    """Build one sample: its normalised values, their statistics, and those of the residual.

    The residual is the target minus the upsampled input of the same channel, both as stored, in physical units.
    A channel that is missing, or cannot be stored, becomes NaN; the record says so, and the sample is not valid.
    """
    stored = {role: np.empty(plan.shard_layout(role).shape, np.dtype(plan.recipe.store.dtype)) for role in plan.roles}
    blocks: Blocks = {}
    gradients: dict[tuple[Role, str], GradientPower] = {}
    reasons: list[str] = []
    counts: dict[str, dict[str, int]] = {name: {} for name in COUNTED}
    absent = dict.fromkeys(plan.roles, 0)
    for field in physical_fields(plan.recipe, sample):
        out = stored[field.role][field.position]
        normalisation = plan.normalisations[field.role][field.position]
        missing = field.missing
        try:
            normalisation.encode(field.values, plan.recipe.store.dtype, out=out)
        except BadInput as error:
            out[...] = np.nan
            missing = str(error)
        block = stored_statistics(out, normalisation, physical_edges(field.channel.variable))
        blocks[field.role, field.channel.name] = block
        if field.role == "input":
            gradients["input", field.channel.name] = gradient_power(normalisation.decode(out))
        label = f"{field.role} {field.channel.name}"
        if missing:
            absent[field.role] += 1
            reasons.append(f"{label}: {missing}")
        else:
            faults = [missing_pixels(plan, field.channel, block), field.outside]
            reasons += [f"{label}: {fault}" for fault in faults if fault]
        for name, counted in counts.items():
            if pixels := getattr(field, name):
                counted[label] = pixels
        if field.role == "target" and field.channel.name in plan.recipe.channel_names("input"):
            upsampled = _upsampled_input(plan, stored["input"], field.channel)
            edges = residual_edges(field.channel.variable)
            blocks["residual", field.channel.name] = residual_statistics(out, normalisation, upsampled, edges)
    status: Status = "partial" if reasons else "valid"
    if any(absent[role] == len(plan.channels(role)) for role in plan.roles):
        status = "missing"
    table = statistics_table(sample.valid_time, dict(sorted(blocks.items())), gradients)
    init_time = plan.axes.init_times[sample.index]
    record = SampleRecord(
        sample.index,
        sample.valid_time,
        table,
        status,
        reasons,
        floored=counts["floored"],
        capped=counts["capped"],
        overshot=counts["overshot"],
        terms=sample.terms,
        init_time=init_time,
    )
    return Sample(stored, record)


def missing_pixels(plan: StorePlan, channel: Channel, block: BlockStatistics) -> str | None:
    """Return in words that pixels of a stored channel are missing unexpectedly; None where they are not."""
    if not block.missing or (block.count and channel.name in plan.recipe.may_be_missing):
        return None
    return f"{block.missing} of {block.missing + block.count} pixels are missing"


def static_fields(recipe: Recipe, plan: SamplePlan | None) -> NDArray[np.float32]:
    """Return the static channels [channel, lat, lon] on the target grid, in physical units.

    Raises BadInput where one is missing or outside its physical range.
    """
    grid = recipe.target_grid
    fields = np.empty((len(recipe.static), *grid.shape), np.float32)
    if plan is None:
        return fields
    reader = FieldReader(recipe, plan)
    for position, spec in enumerate(recipe.static):
        assert spec.source is not None
        channel = recipe.channel(spec.variable)
        try:
            values = reader.field(spec.source, channel, grid, "bilinear", grid)
        except MissingField as reason:
            raise BadInput(
                f"static.{spec.variable}: {reason}; remove it from the recipe or name another source"
            ) from None
        found = within_range(values, channel.variable, partial(reader.packing_step, spec.source, channel))
        if found.outside:
            raise BadInput(f"static.{spec.variable}: {found.outside}; correct units or scale in the source's table")
        fields[position] = found.values
        if lacking := int(np.isnan(fields[position]).sum()):
            raise BadInput(
                f"static.{spec.variable}: {lacking} of {grid.lat.size * grid.lon.size} points of the target grid,"
                f" {grid}, have no number in sources.{spec.source}: they lie outside its grid, or where the file says"
                " that numbers are missing; shrink the grid, or give a file that has them"
            )
    return fields


def _upsampled_input(plan: StorePlan, stored_input: NDArray[Any], channel: Channel) -> NDArray[np.float32]:
    position = plan.recipe.channel_names("input").index(channel.name)
    coarse = plan.normalisations["input"][position].decode_float32(stored_input[position])
    return regridder(plan.grid("input"), plan.grid("target"), "bilinear")(coarse)
