"""`build`: from a recipe to a training store. Interrupted, it continues; finished, it does nothing."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console

from corrstore.beam_pipelines.changes import changed_splits, keep_in_history, refuse_changes
from corrstore.beam_pipelines.finish import Report, finish, is_finished, read_report
from corrstore.beam_pipelines.spreading.progress import Progress
from corrstore.beam_pipelines.spreading.spread import Runner, spread
from corrstore.beam_pipelines.tasks import ChecksumFile, MeasureSample, WriteSample
from corrstore.datasets.errors import BadInput, CorrstoreError
from corrstore.datasets.pairing.sources import used_rules
from corrstore.datasets.recipe.periods import time_key
from corrstore.datasets.recipe.recipe import Recipe
from corrstore.datasets.samples.checksums import file_checksum, files_in_use, files_without_checksum
from corrstore.datasets.samples.preparation import Preparation, prepare
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.build_record import BuildRecord, read_build_record, write_build_record
from corrstore.datasets.store.constants import Constants, constants_from_records, constants_from_store
from corrstore.datasets.store.layout import ROLES, StorePlan
from corrstore.datasets.store.ledger import (
    CHECKSUMS,
    LEDGER,
    MEASUREMENTS,
    PAIRS,
    RECORDS,
    UNFINISHED,
    VERDICT,
    read_json,
)
from corrstore.datasets.store.pairs_table import read_pairs, write_pairs
from corrstore.datasets.store.records import read_records, write_task_record

_LITTLE = 1 << 30  # bytes that are read sooner than workers start


@dataclass(frozen=True)
class BuildResult:
    """The number of samples that a build wrote now, and the report of the whole store."""

    written: int
    report: Report


def build(recipe: Recipe, folder: Folder, runner: Runner, console: Console, repair: bool = False) -> BuildResult:
    """Build the recipe's store in the folder, or continue, extend or repair the one that is there.

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
        todo = _begin(recipe, folder, preparation, constants, repair)
        if constants is None:
            constants = _constants(recipe, folder, preparation, runner, console)
            write_build_record(folder, BuildRecord(recipe, used_rules(recipe), constants))
        plan = StorePlan(recipe, constants.normalisations)
        if not todo and is_finished(folder, plan):
            return BuildResult(0, read_report(folder))
        spread(WriteSample(folder, plan), todo, folder, RECORDS, runner, Progress("writing", console))
        used_files = files_in_use(preparation.files, preparation.pairs)
        _checksum(used_files, folder, runner, console)
        report = finish(folder, plan, preparation, used_files, constants.notes)
        if repair:
            folder.remove(VERDICT)
        return BuildResult(len(todo), report)
    except CorrstoreError:
        if build_record is None and not folder.names(RECORDS) and not folder.names(MEASUREMENTS):
            for key in ("",) if is_new else (LEDGER, *ROLES):
                folder.remove(key)
        raise


def _checksum(used_files: pa.Table, folder: Folder, runner: Runner, console: Console) -> None:
    """Leave the checksums of files that have none yet: little is read here, much is spread."""
    files = files_without_checksum(used_files, folder)
    if (pc.sum(used_files["bytes"]).as_py() or 0) < _LITTLE:
        for path in files:
            write_task_record(folder, file_checksum(path), CHECKSUMS)
        return
    spread(ChecksumFile(files), list(range(len(files))), folder, CHECKSUMS, runner, Progress("checksums", console))


def _begin(
    recipe: Recipe, folder: Folder, preparation: Preparation, constants: Constants | None, repair: bool
) -> list[int]:
    """Write down what is to be done; returns the samples that are still to be written."""
    condemned, damaged = _condemned(folder) if repair else (set(), False)
    stale = _stale(folder, preparation.pairs) | condemned
    names = set(folder.names(RECORDS))
    keys = [f"{time_key(time)}.parquet" for time in recipe.times]
    todo = [index for index, key in enumerate(keys) if key not in names or index in stale]
    write_build_record(folder, BuildRecord(recipe, used_rules(recipe), constants))
    if todo or damaged:
        folder.write(UNFINISHED, b"a build is under way, or was stopped\n")
    for index in stale:  # before the pairs are replaced, by which they are known
        folder.remove(f"{RECORDS}/{keys[index]}")
    write_pairs(folder, preparation.pairs)
    return todo


def _stale(folder: Folder, pairs: pa.Table) -> set[int]:
    """The samples that were not valid when they were written, and whose fields have changed since."""
    if not folder.exists(PAIRS):
        return set()
    before = read_pairs(folder)
    suspects = {record.index for record in read_records(folder) if record.status != "valid"}
    return {index for index in suspects if not _rows(before, index).equals(_rows(pairs, index))}


def _rows(pairs: pa.Table, index: int) -> pa.Table:
    return pairs.filter(pc.equal(pairs["index"], index)).combine_chunks()


def _condemned(folder: Folder) -> tuple[set[int], bool]:
    """The samples that `verify` named and those that are not valid, and whether it named anything else."""
    if not folder.exists(VERDICT):
        raise BadInput(f"{folder.url} has no verdict to repair by; run `corrstore verify {folder.url}` first")
    verdict = read_json(folder, VERDICT)
    invalid = {record.index for record in read_records(folder) if record.status != "valid"}
    return set(verdict["rebuild"]) | invalid, bool(verdict["damaged"])


def _constants(recipe: Recipe, folder: Folder, preparation: Preparation, runner: Runner, console: Console) -> Constants:
    """The constants of normalisation: another store's, or measured on the train split."""
    if recipe.normalisation.constants_from:
        return constants_from_store(recipe, recipe.normalisation.constants_from)
    train = recipe.splits.train.interval.mask(recipe.times)
    chosen = [int(index) for index in train.nonzero()[0] if index not in preparation.absent]
    every = recipe.normalisation.every
    chosen = [index for i, index in enumerate(chosen) if (i + i // every) % every == 0]  # by turns at each hour
    done = set(folder.names(MEASUREMENTS))
    todo = [index for index in chosen if f"{time_key(recipe.times[index])}.parquet" not in done]
    spread(MeasureSample(folder, recipe), todo, folder, MEASUREMENTS, runner, Progress("measuring", console))
    return constants_from_records(recipe, read_records(folder, MEASUREMENTS))
