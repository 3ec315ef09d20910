"""The end of a build: the tables, the coordinates and, last of all, the metadata that makes the store readable."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from corrstore.datasets.pairing.sample_plan import SamplePlan, sample_plans
from corrstore.datasets.samples.input_shift import has_shift, input_shift, stored_input_rows
from corrstore.datasets.samples.sample import static_fields
from corrstore.datasets.statistics.table import STATISTICS_SCHEMA
from corrstore.datasets.storage.folder import Folder, checksum
from corrstore.datasets.store.layout import StorePlan
from corrstore.datasets.store.ledger import (
    HISTOGRAMS,
    PAIRS,
    PLANS,
    REPORT,
    SAMPLES,
    SHARDS,
    SHIFT,
    SOURCES,
    STATIC,
    STATISTICS,
    UNFINISHED,
    damaged,
    parquet_bytes,
    read_json,
    write_json,
    write_manifest,
)
from corrstore.datasets.store.metadata import metadata_objects
from corrstore.datasets.store.opening import open_store, read_attributes
from corrstore.datasets.store.records import SampleRecord
from corrstore.datasets.store.sample_tables import histograms_table, write_sample_tables


@dataclass(frozen=True)
class Report:
    """The report of a build: samples by status and why, problems of the archives, numbers that were moved."""

    samples: int
    valid: int
    partial: int
    missing: int
    reasons: dict[str, list[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)
    floored: dict[str, int] = field(default_factory=dict)
    capped: dict[str, int] = field(default_factory=dict)
    overshot: dict[str, int] = field(default_factory=dict)

    @property
    def missing_share(self) -> float:
        """The share of samples that are not valid."""
        return 1 - self.valid / self.samples


def is_finished(folder: Folder, plan: StorePlan) -> bool:
    """Return whether the store is whole and is this recipe's."""
    if folder.exists(UNFINISHED) or not folder.exists("zarr.json"):
        return False
    attributes = read_attributes(folder)
    return bool(attributes["recipe"] == plan.recipe.content)


def read_report(folder: Folder) -> Report:
    """The report of a finished build."""
    content = read_json(folder, REPORT)
    names = {each.name for each in fields(Report)}
    if not names - {"capped", "overshot"} <= set(content) <= names:  # an older corrstore counted less
        raise damaged(folder, REPORT, "it lacks a key, or has one too many")
    return Report(**content)


def finish(
    folder: Folder, plan: StorePlan, static: NDArray[np.float32], problems: list[str], notes: dict[str, int]
) -> Report:
    """Turn the records into tables and make the store readable; what killed writers left is swept away.

    Each object is replaced whole, the group's metadata last: a reader sees the store before or after, never between.
    `static` are the static fields [channel, lat, lon] in physical units, `problems` those of the archives.
    """
    axes = plan.axes
    summary = write_sample_tables(folder, of_runs=axes.inits is not None)
    folder.write(HISTOGRAMS, parquet_bytes(histograms_table(plan)))
    made = [STATISTICS, SHARDS, SAMPLES, SOURCES, HISTOGRAMS, PAIRS]
    if has_shift(plan.recipe):
        folder.write(SHIFT, parquet_bytes(input_shift(plan.recipe, stored_input_rows(folder))))
        made.append(SHIFT)
    report = Report(
        samples=len(axes.due_samples),
        valid=summary.statuses["valid"],
        partial=summary.statuses["partial"],
        missing=summary.statuses["missing"],
        reasons=summary.reasons,
        problems=problems,
        notes=dict(sorted(notes.items())),
        **{name: dict(counter) for name, counter in summary.counts.items()},
    )
    write_json(folder, REPORT, asdict(report))
    valid = np.zeros(len(axes), bool)
    valid[summary.valid] = True
    folder.sweep()
    objects = metadata_objects(plan, valid, static, checksum(folder.read(SOURCES)))
    write_manifest(folder, {**{key: folder.read(key) for key in made}, **objects})
    for key, content in objects.items():
        folder.write(key, content)
    folder.remove(PLANS)
    folder.remove(UNFINISHED)
    return report


def make_static(folder: Folder, plan: StorePlan, pairs: pa.Table, keep: bool) -> NDArray[np.float32]:
    """Return the static fields that the store has or, where it has none to `keep`, make them by the pairs.

    Their record is written.
    """
    if keep and folder.exists(STATIC) and folder.exists("zarr.json"):
        return open_store(folder.url, folder.storage_options).static
    if plan.recipe.like is not None:
        return open_store(plan.recipe.like.store).static
    sample_plan = next(sample_plans(pairs.filter(pc.equal(pairs["index"], -1))), None)
    fields = static_fields(plan.recipe, sample_plan)
    if sample_plan is not None:
        write_static_record(folder, sample_plan)
    return fields


def write_static_record(folder: Folder, sample_plan: SamplePlan) -> None:
    """Write the record of the static fields: what they were made of."""
    record = SampleRecord(-1, np.datetime64("NaT"), STATISTICS_SCHEMA.empty_table(), terms=sample_plan.terms)
    folder.write(STATIC, record.to_bytes())
