"""`plan`: what a build would do and cost, before anything is written."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from corrstore.beam_pipelines.changes import refuse_changes
from corrstore.datasets.pairing.sample_plan import sample_plans
from corrstore.datasets.recipe.recipe import Recipe
from corrstore.datasets.samples.changes import find_changes
from corrstore.datasets.samples.checksums import files_in_use, with_present_states
from corrstore.datasets.samples.preparation import Preparation, prepare
from corrstore.datasets.samples.probe import Cost, probe
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.build_record import read_build_record
from corrstore.datasets.store.constants import storage_error
from corrstore.datasets.store.recorded import read_recorded

_PROBED = 2


@dataclass(frozen=True)
class Plan:
    """The samples of a build, what they lack, and the cost of all of them by a probe of a few."""

    recipe: Recipe
    preparation: Preparation
    cost: Cost
    changed: dict[str, int] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        """The number of samples that the store will have."""
        return len(self.recipe.axes.due_samples)

    @property
    def measured_samples(self) -> int:
        """The number of samples that the first pass reads, for the constants."""
        axes = self.recipe.axes
        if self.recipe.constants_from:
            return 0
        train = int((self.recipe.splits.intervals["train"].mask(axes.valid_times) & axes.due).sum())
        return -(-train // self.recipe.normalisation.every)

    @property
    def bytes(self) -> int:
        """The size of all shards together."""
        return self.samples * sum(self.cost.bytes.values())

    @property
    def hours_of_one_core(self) -> float:
        """The time of both passes on one core like this machine's."""
        seconds = self.measured_samples * self.cost.measure_seconds + self.samples * self.cost.write_seconds
        return seconds / 3600

    @property
    def missing_share(self) -> float:
        """The share of samples that lack something."""
        return len(self.preparation.missing) / self.samples

    def time_of(self, index: int) -> str:
        """The name of a sample: its valid time, or its run and lead time."""
        return self.recipe.axes.label(index)

    @property
    def summary(self) -> dict[str, object]:
        """The plan as plain values, for a script."""
        return {
            "samples": self.samples,
            "samples_that_lack_something": len(self.preparation.missing),
            "samples_measured": self.measured_samples,
            "bytes": self.bytes,
            "hours_of_one_core": self.hours_of_one_core,
            "worker_bytes": self.cost.peak_bytes,
            "files": len(self.preparation.files),
            "problems": [str(problem) for problem in self.preparation.problems],
            "notes": self.preparation.notes,
            "missing": {self.time_of(index): reasons for index, reasons in sorted(self.preparation.missing.items())},
            "storage_errors": self.storage_errors,
            "changed": self.changed,
        }

    @property
    def storage_errors(self) -> dict[str, float]:
        """The most that storing can change a number of each channel, in its units."""
        channels = {channel.name: channel for role in self.recipe.roles for channel in self.recipe.channels[role]}
        return {name: storage_error(self.recipe, channel) for name, channel in channels.items()}


def changed_since(recipe: Recipe, preparation: Preparation, folder: Folder) -> dict[str, int]:
    """Return each file that is another one than the store in the folder was made of, with its number of samples."""
    build_record = read_build_record(folder)
    if build_record is None:
        return {}
    refuse_changes(build_record, recipe, folder.url)
    used = files_in_use(preparation.files, preparation.pairs)
    pairs = with_present_states(preparation.pairs, used, recipe.sources, folder)
    return find_changes(recipe, build_record.recipe, read_recorded(folder).pairs, pairs).files


def plan(recipe: Recipe, folder: Folder | None = None) -> Plan:
    """Prepare, and probe the first samples that lack nothing; raise BadInput as `prepare` does."""
    preparation = prepare(recipe)
    due = recipe.axes.due_samples
    whole = [index for index in due if index not in preparation.missing][:_PROBED]
    probed = whole or sorted(set(due) - preparation.absent)[:_PROBED]
    rows = preparation.pairs.filter(pc.is_in(preparation.pairs["index"], pa.array(probed)))
    changed = {} if folder is None else changed_since(recipe, preparation, folder)
    return Plan(recipe, preparation, probe(recipe, list(sample_plans(rows))), changed)
