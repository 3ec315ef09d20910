"""`plan`: what a build would do and cost, before anything is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from corrstore.beam_pipelines.changes import refuse_changes
from corrstore.datasets.pairing.sample_plan import sample_plans
from corrstore.datasets.pairing.sources import with_cell_methods
from corrstore.datasets.recipe.recipe import Recipe
from corrstore.datasets.recipe.sample_axes import SampleAxes
from corrstore.datasets.samples.changes import Changes, find_changes
from corrstore.datasets.samples.checksums import files_in_use, known_checksums, with_present_states
from corrstore.datasets.samples.input_shift import has_shift, input_shift
from corrstore.datasets.samples.preparation import Preparation, prepare
from corrstore.datasets.samples.probe import Cost, probe
from corrstore.datasets.samples.sample import build_sample
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.build_record import read_build_record
from corrstore.datasets.store.constants import constants_from_store, storage_error
from corrstore.datasets.store.layout import StorePlan
from corrstore.datasets.store.recorded import read_recorded
from corrstore.datasets.store.records import Status, with_init_time

_PROBED = 2
_MEASURED = 8  # samples of the train split, by which a channel that hardly changes is told
_SHIFTED, _SHIFTED_LEADS = 24, 12  # samples and leads whose inputs are compared with the training data


@dataclass(frozen=True)
class Plan:
    """The samples of a build, what they lack, and the cost of all of them by a probe of a few."""

    recipe: Recipe
    preparation: Preparation
    cost: Cost
    changed: dict[str, int] = field(default_factory=dict)
    shift: list[dict[str, Any]] = field(default_factory=list)
    gone: dict[str, int] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        """The number of samples that the store will have."""
        return len(self.recipe.axes.due_samples)

    @property
    def statuses(self) -> dict[str, int]:
        """The number of samples of each status that a build would give, as far as headers tell."""
        lacking, absent = len(self.preparation.missing), len(self.preparation.absent)
        return {"valid": self.samples - lacking, "partial": lacking - absent, "missing": absent}

    def status(self, index: int) -> Status:
        """The status that a build would give a sample, as far as headers tell."""
        if index in self.preparation.absent:
            return "missing"
        return "partial" if index in self.preparation.missing else "valid"

    @property
    def notes(self) -> dict[str, int]:
        """What a reader should know, each with a count: of the archives, and of the constants of a few samples."""
        return {**self.preparation.notes, **self.cost.notes}

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
            "notes": self.notes,
            "statuses": self.statuses,
            "status": {self.time_of(index): self.status(index) for index in self.recipe.axes.due_samples},
            "missing": {self.time_of(index): reasons for index, reasons in sorted(self.preparation.missing.items())},
            "storage_errors": self.storage_errors,
            "changed": self.changed,
            "gone": self.gone,
            "input_shift": self.shift,
        }

    @property
    def storage_errors(self) -> dict[str, float]:
        """The most that storing can change a number of each channel, in its units."""
        channels = {channel.name: channel for role in self.recipe.roles for channel in self.recipe.channels[role]}
        return {name: storage_error(self.recipe, channel) for name, channel in channels.items()}


def changed_since(recipe: Recipe, preparation: Preparation, folder: Folder) -> Changes:
    """Return how the archives differ from what the store in the folder, if there is one, was made of."""
    build_record = read_build_record(folder)
    if build_record is None:
        return Changes()
    refuse_changes(build_record, recipe, folder.url)
    used = files_in_use(preparation.files, preparation.pairs)
    pairs = with_present_states(preparation.pairs, used, folder, known_checksums(folder))
    return find_changes(recipe, build_record.recipe, read_recorded(folder).pairs, pairs)


def plan(recipe: Recipe, folder: Folder | None = None) -> Plan:
    """Prepare, and probe the first samples that lack nothing; raise BadInput as `prepare` does."""
    recipe = with_cell_methods(recipe)
    preparation = prepare(recipe)
    due = recipe.axes.due_samples
    whole = [index for index in due if index not in preparation.missing][:_PROBED]
    probed = whole or sorted(set(due) - preparation.absent)[:_PROBED]
    plans = {
        name: list(sample_plans(preparation.pairs.filter(pc.is_in(preparation.pairs["index"], pa.array(indices)))))
        for name, indices in (("built", probed), ("measured", _few_of_train(recipe, preparation) or probed))
    }
    changes = Changes() if folder is None else changed_since(recipe, preparation, folder)
    shift = input_shift(recipe, _few_inputs(recipe, preparation)).to_pylist() if has_shift(recipe) else []
    cost = probe(recipe, plans["built"], plans["measured"])
    return Plan(recipe, preparation, cost, changes.files, shift, changes.gone)


def _few_of_train(recipe: Recipe, preparation: Preparation) -> list[int]:
    """Return a few samples of the train split that lack nothing, if the constants are measured there."""
    if recipe.constants_from:
        return []
    train = np.flatnonzero(recipe.splits.intervals["train"].mask(recipe.axes.valid_times) & recipe.axes.due)
    return _spread(train[~np.isin(train, list(preparation.missing))], _MEASURED).tolist()


def _few_inputs(recipe: Recipe, preparation: Preparation) -> Iterator[pa.Table]:
    """Yield the statistics of the inputs of a few whole samples: at most 24, two to four of each of up to 12 leads."""
    chosen = _few_of_each_lead(recipe.axes, set(preparation.missing))
    rows = preparation.pairs.filter(pc.is_in(preparation.pairs["index"], pa.array(chosen)))
    inputs = recipe.model_copy(update={"target": None})
    plan = StorePlan(inputs, constants_from_store(inputs, str(recipe.constants_from)).normalisations)
    for sample in sample_plans(rows):
        record = build_sample(plan, sample).record
        if record.status == "valid":
            yield with_init_time(record.statistics, record.init_time)


def _few_of_each_lead(axes: SampleAxes, missing: set[int]) -> list[int]:
    """Return samples that lack nothing, spread evenly over the leads and, for each lead, over the runs."""
    leads = axes.lead_times.astype(np.int64)
    whole = np.array([index for index in axes.due_samples if index not in missing], np.int64)
    every_lead = np.unique(leads[whole])
    number = max(_SHIFTED // min(len(every_lead), _SHIFTED_LEADS), 1) if axes.leads is not None else _SHIFTED
    chosen: list[int] = []
    for lead in _spread(every_lead, _SHIFTED_LEADS):
        chosen += _spread(whole[leads[whole] == lead], min(number, 4) if axes.leads is not None else number).tolist()
    return chosen


def _spread(numbers: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return at most so many of the numbers, the first and the last among them."""
    return numbers[np.unique(np.linspace(0, len(numbers) - 1, min(most, len(numbers))).round().astype(int))]
