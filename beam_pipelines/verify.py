"""`verify`: check that a store is what its records say, and name what has to be built again."""

from __future__ import annotations

import json
import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from rich.console import Console

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
from corrstore.datasets.store.ledger import LEDGER, RECORDS, SOURCES, VERDICT, damaged_objects
from corrstore.datasets.store.opening import Store
from corrstore.datasets.store.records import SampleRecord, read_record, read_records

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
        name = f"{RECORDS}/{axes.key(index)}.parquet"
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
    `absent` are files that cannot be compared because they are not there, `drawn` the valid times that were compared.
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

    @property
    def passed(self) -> bool:
        """Return whether nothing is wrong."""
        return not self.faults and not self.damaged and not self.changed


def verify(store: Store, runner: Runner, console: Console, against_source: int = 0, seed: int | None = None) -> Verdict:
    """Check every sample, and `against_source` random valid ones against the archives.

    Other samples are drawn each time unless a seed is given. Where coordinates or tables are damaged, or an archive's
    file is another one now, nothing is compared. The verdict is left in the store's ledger for `build --repair`,
    unless the store cannot be written.
    """
    damaged = damaged_objects(store.folder)
    changed, absent = ({}, []) if damaged else changed_files(store.folder, store.table(SOURCES))
    compare = against_source > 0 and not damaged and not changed
    comparable = np.flatnonzero(store.valid) if compare else np.array([], dtype=np.int64)
    chosen = np.random.default_rng(seed).permutation(comparable)[:against_source]
    due = store.axes.due_samples
    task = CheckSample(store.folder, store.plan, frozenset(int(index) for index in chosen))
    with _place_for_checks(store.folder) as folder:
        place = f"{_CHECKS}-{uuid.uuid4().hex[:8]}"
        try:
            spread(task, due, folder, place, runner, Progress("verifying", console))
            checks = [record for record in read_records(folder, place) if record.reasons]
        finally:
            folder.remove(place)
        verdict = Verdict(
            checked=len(due),
            compared=len(chosen),
            faults={check.label: check.reasons for check in checks},
            rebuild=[check.index for check in checks],
            damaged=damaged,
            unknown=_unknown_objects(store),
            changed=changed,
            absent=absent,
            drawn=[store.axes.label(index) for index in sorted(chosen)],
        )
        folder.write(VERDICT, json.dumps(asdict(verdict), indent=1).encode())
    return verdict


@contextmanager
def _place_for_checks(folder: Folder) -> Iterator[Folder]:
    """The store itself or, where it is read-only, a folder of this machine."""
    if not folder.is_local or os.access(folder.path(LEDGER), os.W_OK):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="corrstore-") as elsewhere:
        yield Folder(str(Path(elsewhere)))


def _unknown_objects(store: Store) -> list[str]:
    """Objects below `input` and `target` that belong to no sample."""
    known = {store.plan.shard_key(role, index) for role in store.roles for index in store.axes.due_samples}
    found = {key for key in store.folder.all_keys() if key.split("/")[0] in ROLES and not key.endswith("zarr.json")}
    return sorted(found - known)
