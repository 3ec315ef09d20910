"""`build`: from a recipe to a training store. Interrupted, it continues; finished, it does nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console

from corrstore.beam_pipelines.changes import changed_splits, keep_in_history, refuse_changes
from corrstore.beam_pipelines.finish import Report, finish, is_finished, make_static, read_report
from corrstore.beam_pipelines.spreading.progress import Progress
from corrstore.beam_pipelines.spreading.spread import Runner, spread
from corrstore.beam_pipelines.tasks import ChecksumFile, MeasureSample, WriteSample
from corrstore.datasets.errors import BadInput, CorrstoreError
from corrstore.datasets.pairing.sources import used_rules
from corrstore.datasets.recipe.parts import ROLES
from corrstore.datasets.recipe.recipe import Recipe
from corrstore.datasets.samples.changes import Changes, find_changes
from corrstore.datasets.samples.checksums import files_in_use, files_without_checksum, with_present_states
from corrstore.datasets.samples.preparation import Preparation, prepare
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.build_record import BuildRecord, read_build_record, write_build_record, write_plans
from corrstore.datasets.store.constants import Constants, constants_from_records, constants_from_store
from corrstore.datasets.store.layout import StorePlan
from corrstore.datasets.store.ledger import (
    CHECKSUMS,
    LEDGER,
    MEASUREMENTS,
    RECORDS,
    UNFINISHED,
    VERDICT,
    read_json,
)
from corrstore.datasets.store.recorded import Recorded, read_recorded
from corrstore.datasets.store.records import read_records

_LITTLE = 1 << 30  # bytes that are read sooner than workers start


@dataclass(frozen=True)
class BuildResult:
    """The number of samples that a build wrote, the report of the whole store, and the changes of the archives.

    `changed` maps each file of an archive that is another one now to the number of samples made of it as it was.
    """

    written: int
    report: Report
    changed: dict[str, int] = field(default_factory=dict)


def build(
    recipe: Recipe, folder: Folder, runner: Runner, console: Console, repair: bool = False, refresh: bool = False
) -> BuildResult:
    """Build the recipe's store in the folder, or continue, extend, repair or refresh the one that is there.

    To `repair` is to build again what the last `verify` named; to `refresh`, the samples whose files in the archives
    are other ones now. A finished store with nothing to do is not touched.
    Raises BadInput where the recipe or an archive cannot work, or the folder holds another recipe's store; a folder
    that this call made and wrote no sample into is then removed again.
    """
    build_record = read_build_record(folder)
    if build_record is None and folder.names(""):
        raise BadInput(f"{folder.url} holds something that is no store; give another --output")
    if build_record is not None:
        refuse_changes(build_record, recipe, folder.url)
    is_new = not folder.exists()
    preparation = prepare(recipe)
    if build_record is not None and folder.exists("zarr.json") and (changed := changed_splits(build_record, recipe)):
        for key, (was, now) in changed.items():
            console.print(f"{key} was {was} and is now {now}", highlight=False, markup=False, soft_wrap=True)
        keep_in_history(folder, changed)
    constants = build_record.constants if build_record else None
    try:
        recorded = read_recorded(folder)
        pairs = _with_file_states(recipe, folder, preparation, runner, console)
        changes = find_changes(recipe, build_record.recipe if build_record else recipe, recorded.pairs, pairs)
        work = _work(recipe, folder, recorded, changes, repair, refresh)
        if constants is not None and not work.any and is_finished(folder, StorePlan(recipe, constants.normalisations)):
            return BuildResult(0, read_report(folder), changes.files)
        _begin(recipe, folder, constants, work, pairs)
        if constants is None:
            constants = _constants(recipe, folder, preparation, runner, console)
            write_build_record(folder, BuildRecord(recipe, used_rules(recipe), constants))
        plan = StorePlan(recipe, constants.normalisations)
        spread(WriteSample(folder, plan), work.samples, folder, RECORDS, runner, Progress("writing", console))
        static = make_static(folder, plan, pairs, keep=not (repair or refresh))
        problems = [str(problem) for problem in preparation.problems]
        report = finish(folder, plan, static, problems, {**preparation.notes, **constants.notes})
        if repair:
            folder.remove(VERDICT)
        return BuildResult(len(work.samples), report, {} if refresh else changes.files)
    except CorrstoreError:
        if build_record is None and not folder.names(RECORDS) and not folder.names(MEASUREMENTS):
            for key in ("",) if is_new else (LEDGER, *ROLES):
                folder.remove(key)
        raise


@dataclass(frozen=True)
class _Work:
    """The samples to write, those whose records are to be removed first, and whether other objects need work."""

    samples: list[int]
    stale: set[int]
    others: bool

    @property
    def any(self) -> bool:
        """True where there is anything to do."""
        return bool(self.samples) or self.others


def _with_file_states(
    recipe: Recipe, folder: Folder, preparation: Preparation, runner: Runner, console: Console
) -> pa.Table:
    """Return the pairs with the state of each file: of few bytes the checksums are made here, of many by workers."""
    used = files_in_use(preparation.files, preparation.pairs)
    unknown = files_without_checksum(used, folder)
    size = pc.sum(used.filter(pc.is_in(used["path"], pa.array(unknown, pa.string())))["bytes"]).as_py() or 0
    if size >= _LITTLE:
        task, indices = ChecksumFile(unknown), list(range(len(unknown)))
        spread(task, indices, folder, CHECKSUMS, runner, Progress("checksums", console))
    return with_present_states(preparation.pairs, used, recipe.sources, folder)


def _work(recipe: Recipe, folder: Folder, recorded: Recorded, changes: Changes, repair: bool, refresh: bool) -> _Work:
    """Return what is to be done; nothing is written.

    Samples that were not valid are written again where the archives give other fields now.
    """
    condemned, damaged = _condemned(folder, recorded) if repair else (set(), False)
    stale = {index for index in changes.samples if refresh or recorded.statuses.get(index) not in ("valid", None)}
    stale = (stale | condemned) - {-1}
    names = set(folder.names(RECORDS))
    axes = recipe.axes
    keys = {index: f"{axes.key(index)}.parquet" for index in axes.due_samples}
    samples = [index for index, key in keys.items() if key not in names or index in stale]
    return _Work(samples, stale, damaged or (refresh and -1 in changes.samples))


def _begin(recipe: Recipe, folder: Folder, constants: Constants | None, work: _Work, pairs: pa.Table) -> None:
    """Write down what is to be done, and remove the records of samples that are written again."""
    write_build_record(folder, BuildRecord(recipe, used_rules(recipe), constants))
    if work.any:
        folder.write(UNFINISHED, b"a build is under way, or was stopped\n")
    axes = recipe.axes
    for index in work.stale:
        folder.remove(f"{RECORDS}/{axes.key(index)}.parquet")
    planned = pairs if constants is None else pairs.filter(pc.is_in(pairs["index"], pa.array(work.samples, pa.int64())))
    write_plans(folder, planned)


def _condemned(folder: Folder, recorded: Recorded) -> tuple[set[int], bool]:
    """Return the samples that `verify` named and those that are not valid, and whether it named anything else."""
    if not folder.exists(VERDICT):
        raise BadInput(f"{folder.url} has no verdict to repair by; run `corrstore verify {folder.url}` first")
    verdict = read_json(folder, VERDICT)
    invalid = {index for index, status in recorded.statuses.items() if status != "valid"}
    return set(verdict["rebuild"]) | invalid, bool(verdict["damaged"])


def _constants(recipe: Recipe, folder: Folder, preparation: Preparation, runner: Runner, console: Console) -> Constants:
    """The constants of normalisation: another store's, or measured on the train split."""
    if recipe.constants_from:
        return constants_from_store(recipe, recipe.constants_from)
    axes = recipe.axes
    train = recipe.splits.intervals["train"].mask(axes.valid_times) & axes.due
    chosen = [int(index) for index in train.nonzero()[0] if index not in preparation.absent]
    every = recipe.normalisation.every
    chosen = [index for i, index in enumerate(chosen) if (i + i // every) % every == 0]  # by turns at each hour
    done = set(folder.names(MEASUREMENTS))
    todo = [index for index in chosen if f"{axes.key(index)}.parquet" not in done]
    spread(MeasureSample(folder, recipe), todo, folder, MEASUREMENTS, runner, Progress("measuring", console))
    return constants_from_records(recipe, read_records(folder, MEASUREMENTS))
