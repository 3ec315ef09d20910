"""`verify`: check that a store is what its records say, and name what has to be built again."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from rich.console import Console

from corrstore.beam_pipelines.healing import damaged_files, healthy_build_record
from corrstore.beam_pipelines.spreading.progress import Progress
from corrstore.beam_pipelines.spreading.spread import Runner, spread
from corrstore.datasets.errors import DamagedData
from corrstore.datasets.pairing.sample_plan import SamplePlan
from corrstore.datasets.recipe.parts import ROLES
from corrstore.datasets.samples.changes import changed_files
from corrstore.datasets.samples.checking import check_sample
from corrstore.datasets.statistics.table import STATISTICS_SCHEMA
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.layout import StorePlan
from corrstore.datasets.store.ledger import LEDGER, METADATA, RECORDS, SOURCES, VERDICT, write_json
from corrstore.datasets.store.opening import Store, open_store
from corrstore.datasets.store.records import SampleRecord, read_reasons, read_record, record_of

_CHECKS = f"{LEDGER}/checks"


@dataclass(frozen=True)
class CheckSample:
    """One sample's shards against its record and, for those in `compared`, against the archives."""

    folder: Folder
    plan: StorePlan
    compared: frozenset[int]

    def __call__(self, index: int) -> SampleRecord:
        """The record of the check; its reasons say what is wrong."""
        axes = self.plan.axes
        time, init_time = axes.valid_times[index], axes.init_times[index]
        name = f"{RECORDS}/{record_of(axes, index)}"
        nothing = SampleRecord(index, time, STATISTICS_SCHEMA.empty_table(), "partial", init_time=init_time)
        if not self.folder.exists(name):
            return replace(nothing, reasons=[f"{name} is not there"])
        try:
            record = read_record(self.folder, name)
        except DamagedData:
            return replace(nothing, reasons=[f"{name} is damaged"])
        source = SamplePlan(index, time, record.terms) if index in self.compared else None
        return check_sample(self.folder, self.plan, record, source)


@dataclass(frozen=True)
class Verdict:
    """The result of a verification: counts of the samples checked, the faults, and the samples to build again.

    `damaged` are coordinates, metadata, static fields and tables, `unknown` objects that belong to no sample.
    `changed` maps each file of an archive that is another one now to the number of samples made of it as it was,
    `absent` are files that cannot be compared because they are not there, `drawn` the valid times that were compared
    with the archives; `wanted` were to be. `not_compared` maps each reason why samples could not be to their number.
    """

    checked: int
    compared: int
    faults: dict[str, list[str]]
    rebuild: list[int]
    damaged: list[str]
    unknown: list[str]
    changed: dict[str, int] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    drawn: list[str] = field(default_factory=list)
    wanted: int = 0
    not_compared: dict[str, int] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Return whether nothing is wrong and, where samples were to be compared with the archives, some were."""
        return not (self.faults or self.damaged or self.changed) and (self.compared > 0 or not self.wanted)


def verify(store: Store, runner: Runner, console: Console, against_source: int = 0, seed: int | None = None) -> Verdict:
    """Check every sample, and `against_source` random valid ones against the archives.

    Other samples are drawn each time unless a seed is given, of those whose files are there and are what they were.
    Where coordinates or tables are damaged, nothing is compared. The verdict is left in the store's ledger for
    `build --repair`, unless the store cannot be written.
    """
    return _verify(store.folder, store.plan, store, runner, console, against_source, seed)


def verify_folder(
    url: str, runner: Runner, console: Console, against_source: int = 0, seed: int | None = None
) -> Verdict:
    """Open the store and `verify` it; by its build record where its metadata is damaged, which the verdict names."""
    try:
        store = open_store(url)
    except DamagedData:
        folder = Folder(url)
        build_record = healthy_build_record(folder)
        if build_record is None or build_record.constants is None:
            raise
        plan = StorePlan(build_record.recipe, build_record.constants.normalisations)
        return _verify(folder, plan, None, runner, console, against_source)
    return verify(store, runner, console, against_source, seed)


def _verify(
    store: Folder,
    plan: StorePlan,
    opened: Store | None,
    runner: Runner,
    console: Console,
    against_source: int = 0,
    seed: int | None = None,
) -> Verdict:
    damaged = damaged_files(store)
    if opened is None and METADATA not in damaged:
        damaged.append(METADATA)
    changed, absent = ({}, {}) if damaged or opened is None else changed_files(store, opened.table(SOURCES))
    comparable: list[int] = []
    reasons = {"are of a store with damage in its ledger or metadata": len(plan.axes.due_samples)}
    if opened is not None and not damaged:
        comparable, reasons = _comparable(opened, changed, absent)
    chosen = np.random.default_rng(seed).permutation(np.array(comparable, np.int64))[:against_source]
    axes = plan.axes
    due = axes.due_samples
    task = CheckSample(store, plan, frozenset(int(index) for index in chosen))
    with _place_for_checks(store) as folder:
        place = f"{_CHECKS}-{uuid.uuid4().hex[:8]}"
        try:
            spread(task, due, folder, place, runner, Progress("verifying", console))
            faults = read_reasons(folder, place)
        finally:
            folder.remove(place)
        for index in due:
            key = f"{RECORDS}/{record_of(axes, index)}"
            if key in damaged:
                damaged.remove(key)
                faults.setdefault(index, [f"{key} is not what was written"])
        verdict = Verdict(
            checked=len(due),
            compared=len(chosen),
            faults={axes.label(index): reasons for index, reasons in sorted(faults.items())},
            rebuild=sorted(faults),
            damaged=damaged,
            unknown=_unknown_objects(store, plan),
            changed={path: len(samples - {-1}) for path, samples in changed.items()},
            absent=sorted(absent),
            drawn=[axes.label(index) for index in sorted(chosen)],
            wanted=against_source,
            not_compared=reasons if against_source else {},
        )
        write_json(folder, VERDICT, asdict(verdict))
    return verdict


def _comparable(
    store: Store, changed: dict[str, set[int]], absent: dict[str, set[int]]
) -> tuple[list[int], dict[str, int]]:
    """Return the samples that can be compared with the archives, and how many of the others have each reason."""
    left = {int(index) for index in np.flatnonzero(store.valid)}
    reasons = {"are not valid": len(store.axes.due_samples) - len(left)}
    for reason, files in (
        ("were made of files that are other ones now", changed),
        ("were made of files that are not there", absent),
    ):
        of_files = left & set().union(*files.values())
        reasons[reason] = len(of_files)
        left -= of_files
    return sorted(left), {reason: count for reason, count in reasons.items() if count}


@contextmanager
def _place_for_checks(folder: Folder) -> Iterator[Folder]:
    """The store itself or, where it is read-only, a folder of this machine."""
    if not folder.is_local or os.access(folder.path(LEDGER), os.W_OK):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="corrstore-") as elsewhere:
        yield Folder(str(Path(elsewhere)))


def _unknown_objects(store: Folder, plan: StorePlan) -> list[str]:
    """Objects below `input` and `target` that belong to no sample."""
    known = {plan.shard_key(role, index) for role in plan.roles for index in plan.axes.due_samples}
    found = {key for key in store.all_keys() if key.split("/")[0] in ROLES and not key.endswith("zarr.json")}
    return sorted(found - known)
