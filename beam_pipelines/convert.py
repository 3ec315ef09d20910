"""`convert`: a store of an older layout becomes one of the present layout, without its archives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import zarr
from rich.console import Console

from corrstore.beam_pipelines.finish import Report, finish, is_finished, read_report, write_static_record
from corrstore.beam_pipelines.spreading.progress import Progress
from corrstore.beam_pipelines.spreading.spread import Runner, spread
from corrstore.datasets.errors import BadInput
from corrstore.datasets.pairing.sample_plan import sample_plans
from corrstore.datasets.recipe.recipe import recipe_from
from corrstore.datasets.samples.conversion import convert_sample, old_attributes, old_pairs
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.storage.ownership import one_writer
from corrstore.datasets.store.build_record import (
    BuildRecord,
    is_before_build_record,
    read_build_record,
    read_plan,
    write_build_record,
    write_plans,
)
from corrstore.datasets.store.constants import Constants
from corrstore.datasets.store.layout import StorePlan, stored_normalisation
from corrstore.datasets.store.ledger import BUILD, LEDGER, RECORDS, REPORT, UNFINISHED, read_json
from corrstore.datasets.store.records import SampleRecord, record_of


@dataclass(frozen=True)
class ConvertSample:
    """The conversion of one sample's shards and record."""

    old: Folder
    new: Folder

    def __call__(self, index: int) -> SampleRecord:
        """Write the shards of sample `index`; returns its record."""
        return convert_sample(self.old, self.new, read_plan(self.new, index))


def convert(old: Folder, new: Folder, runner: Runner, console: Console) -> Report:
    """Write the store of layout 2 in `old` anew in `new`; interrupted, it continues, finished, it does nothing.

    No number is changed, and no archive is read. Raises BadInput where `old` is no finished store of layout 2 or `new`
    holds anything else, and DamagedData where something of the old store is not what was written.
    """
    attributes = old_attributes(old)
    recipe = recipe_from(attributes["recipe"], old.path("zarr.json"))
    fields, build_json = attributes["fingerprint_fields"], read_json(old, BUILD)
    normalisations = {
        role: [stored_normalisation(*each) for each in fields[role]["normalisation"]] for role in recipe.roles
    }
    plan = StorePlan(recipe, normalisations)
    build_record = BuildRecord(recipe, build_json["rules"], Constants(normalisations, build_json["constants"]["notes"]))
    begun = read_build_record(new)
    if not is_before_build_record(new) if begun is None else begun.recipe.content != recipe.content:
        raise BadInput(f"{new.url} holds something else; give the path of a new folder")
    if begun is not None and is_finished(new, plan):
        return read_report(new)
    with one_writer(new, LEDGER, f"converts {old.url}"):
        return _convert(old, new, plan, build_record, runner, console)


def _convert(
    old: Folder, new: Folder, plan: StorePlan, build_record: BuildRecord, runner: Runner, console: Console
) -> Report:
    """Do what `convert` says, as the only writer of the new folder."""
    pairs = old_pairs(old)
    write_build_record(new, build_record)
    new.write(UNFINISHED, b"a conversion is under way, or was stopped\n")
    done = set(new.names(RECORDS))
    todo = [index for index in plan.axes.due_samples if record_of(plan.axes, index) not in done]
    write_plans(new, pairs.filter(pc.is_in(pairs["index"], pa.array(todo, pa.int64()))))
    spread(ConvertSample(old, new), todo, new, RECORDS, runner, Progress("converting", console))
    for static_plan in sample_plans(pairs.filter(pc.equal(pairs["index"], -1))):
        write_static_record(new, static_plan)
    group = zarr.open_consolidated(old.path(), mode="r", zarr_format=3, storage_options=old.storage_options or None)
    report = read_json(old, REPORT)
    static = np.asarray(group["static"][...])  # type: ignore[index]
    return finish(new, plan, static, report["problems"], report["notes"])
