"""Checking one sample of a store: against its own record, and against the archives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corrstore.datasets.errors import DamagedData
from corrstore.datasets.pairing.sample_plan import SamplePlan
from corrstore.datasets.recipe.parts import StoredRole
from corrstore.datasets.samples.sample import missing_pixels, physical_fields
from corrstore.datasets.statistics.blocks import BlockStatistics
from corrstore.datasets.statistics.counting import stored_statistics
from corrstore.datasets.statistics.histograms import physical_edges
from corrstore.datasets.statistics.table import STATISTICS_SCHEMA, merged_by_channel
from corrstore.datasets.storage.folder import Folder, checksum
from corrstore.datasets.store.constants import storage_error
from corrstore.datasets.store.layout import StorePlan
from corrstore.datasets.store.records import SampleRecord, Status
from corrstore.datasets.variables.ranges import excess, outside


def check_sample(folder: Folder, plan: StorePlan, record: SampleRecord, source: SamplePlan | None) -> SampleRecord:
    """Return what is wrong with a sample, as the reasons of a record without statistics.

    Each shard must be there, have its size and checksum, and decode; the statistics of what it holds must be those
    in its record; a valid sample must hold no unexpected NaN and nothing outside the physical range. Given the
    sample's fields in the archives, every number must equal theirs within the error of storing.
    """
    reasons: list[str] = []
    for role in plan.roles:
        reasons += list(_shard_faults(folder, plan, record, role, source))
    status: Status = "partial" if reasons else "valid"
    return replace(record, statistics=STATISTICS_SCHEMA.empty_table(), status=status, reasons=reasons)


def _shard_faults(
    folder: Folder, plan: StorePlan, record: SampleRecord, role: StoredRole, source: SamplePlan | None
) -> Iterator[str]:
    row = next((shard for shard in record.shards if shard.role == role), None)
    if row is None:
        yield f"the record names no shard of {role}"
        return
    try:
        content = folder.read(row.key)
    except FileNotFoundError:
        yield f"{row.key} is not there"
        return
    except DamagedData:
        yield f"{row.key} is no file that can be read"
        return
    if len(content) != row.bytes or checksum(content) != row.sha256:
        yield f"{row.key} has {len(content)} bytes and not the checksum of the {row.bytes} that were written"
        return
    try:
        stored = plan.shard_layout(role).decode(content)
    except DamagedData as error:
        yield f"{row.key}: {error}"
        return
    recorded = merged_by_channel(record.statistics)
    for position, channel in enumerate(plan.channels(role)):
        edges = physical_edges(channel.variable)
        normalisation, theirs = plan.normalisations[role][position], recorded[role, channel.name]
        block = stored_statistics(stored[position], normalisation, edges)
        plain = normalisation.keeping(plan.recipe.store.dtype)  # of records that older versions wrote
        if not (_same(block, theirs) or _same(stored_statistics(stored[position], plain, edges), theirs)):
            yield f"{role} {channel.name} has other statistics than its record"
        if record.status == "valid":
            label = f"{role} {channel.name}"
            ends = block.minimum, block.maximum
            if fault := missing_pixels(plan, channel, block):
                yield f"{label}: {fault}"
            if block.count and excess(channel.variable, *ends) > storage_error(plan.recipe, channel):
                yield f"{label}: {outside(channel.variable, *ends)}"
    if source is not None and record.status == "valid":
        yield from _source_faults(plan, role, stored, source)


def _source_faults(plan: StorePlan, role: StoredRole, stored: NDArray[Any], source: SamplePlan) -> Iterator[str]:
    for field in (field for field in physical_fields(plan.recipe, source) if field.role == role):
        label = f"{role} {field.channel.name}"
        if field.missing:
            yield f"{label}: {field.missing}"
            continue
        normalisation = plan.normalisations[role][field.position]
        ours = normalisation.decode(stored[field.position])
        known = np.isfinite(field.values)
        if not np.array_equal(known, np.isfinite(ours)):
            yield f"{label}: other pixels are missing than in the source"
        elif known.any():
            low, high = float(field.values[known].min()), float(field.values[known].max())
            bound = normalisation.error_bound(low, high, plan.recipe.store.dtype)
            worst = float(np.abs(ours[known] - field.values[known]).max())
            if worst > bound:
                yield f"{label}: differs from the source by up to {worst:g}, storing explains {bound:g}"


def _same(one: BlockStatistics, two: BlockStatistics) -> bool:
    numbers = ("count", "missing", "mean", "m2", "minimum", "maximum")
    return all(
        np.isclose(getattr(one, name), getattr(two, name), rtol=1e-9, atol=0, equal_nan=True) for name in numbers
    )
