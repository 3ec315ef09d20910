"""`build`: from a recipe to a training store. Interrupted, it continues; finished, it does nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console

from corrstore.beam_pipelines.changes import changed_splits, keep_in_history, refuse_changes
from corrstore.beam_pipelines.finish import Report, finish, is_finished, make_static, read_report
from corrstore.beam_pipelines.healing import Lost, healthy_build_record, refuse_other_constants, remove_damaged
from corrstore.beam_pipelines.spreading.progress import Progress
from corrstore.beam_pipelines.spreading.spread import Runner, spread
from corrstore.beam_pipelines.tasks import ChecksumFile, MeasureSample, WriteSample
from corrstore.beam_pipelines.verify import verify_folder
from corrstore.datasets.archives.contents.state import archive_state
from corrstore.datasets.errors import BadInput, CorrstoreError
from corrstore.datasets.pairing.sources import used_rules, with_cell_methods
from corrstore.datasets.recipe.parts import ROLES
from corrstore.datasets.recipe.recipe import Recipe
from corrstore.datasets.samples.changes import Changes, find_changes
from corrstore.datasets.samples.checksums import (
    files_in_use,
    files_without_checksum,
    known_checksums,
    restore_checksums,
    with_present_states,
)
from corrstore.datasets.samples.input_shift import read_shift
from corrstore.datasets.samples.preparation import Preparation, prepare
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.storage.ownership import one_writer
from corrstore.datasets.store.build_record import (
    BuildRecord,
    is_before_build_record,
    read_build_record,
    write_build_record,
    write_plans,
)
from corrstore.datasets.store.constants import Constants, constants_from_records, constants_from_store
from corrstore.datasets.store.layout import StorePlan
from corrstore.datasets.store.ledger import (
    ARCHIVES,
    CHECKSUMS,
    LEDGER,
    MEASUREMENTS,
    METADATA,
    PAIRS,
    RECORDS,
    SAMPLES,
    UNFINISHED,
    VERDICT,
    check_objects,
    damaged,
    read_json,
    write_json,
)
from corrstore.datasets.store.recorded import Recorded, read_recorded
from corrstore.datasets.store.records import read_moments, record_of

_LITTLE = 1 << 30  # bytes that are read sooner than workers start


@dataclass(frozen=True)
class BuildResult:
    """The number of samples that a build wrote, the report of the whole store, and the changes of the archives.

    `changed` maps each file of an archive that is another one now to the number of samples made of it as it was,
    `gone` each that is not there any more to the number of samples that are kept as they were made of it;
    `shift` has the rows of the table of the input's shift, see `datasets.samples.input_shift`.
    """

    written: int
    report: Report
    changed: dict[str, int] = field(default_factory=dict)
    shift: list[dict[str, Any]] = field(default_factory=list)
    gone: dict[str, int] = field(default_factory=dict)


def build(
    recipe: Recipe, folder: Folder, runner: Runner, console: Console, repair: bool = False, refresh: bool = False
) -> BuildResult:
    """Build the recipe's store in the folder, or continue, extend, repair or refresh the one that is there.

    To `repair` is to build again what `verify` named, which runs first where its last verdict names nothing. To
    `refresh` is to build again the samples whose files in the archives are other ones now. A finished store with
    nothing to do is not touched.
    Raises BadInput where the recipe or an archive cannot work, or the folder holds another recipe's store, and InUse
    where another process builds there; a folder that this call made and wrote no sample into is then removed again.
    """
    recipe = with_cell_methods(recipe)
    build_record = _begun(recipe, folder, repair)
    states = _states(recipe)
    if not (repair or refresh) and _is_done(recipe, folder, build_record, states):
        with one_writer(folder, LEDGER, f"builds {recipe.name}"):
            return BuildResult(0, read_report(folder), {}, read_shift(folder))
    is_new = not folder.exists()
    preparation = prepare(recipe)
    with one_writer(folder, LEDGER, f"builds {recipe.name}"):
        build_record = _begun(recipe, folder, repair)  # another process may have begun or ended a build
        if repair and build_record is not None and not folder.exists(METADATA):
            folder.write(METADATA, b"gone, or never written")  # damage, which is found and healed as any other
        try:
            return _build(recipe, folder, build_record, preparation, states, runner, console, repair, refresh)
        except CorrstoreError:
            if build_record is None and not folder.names(RECORDS) and not folder.names(MEASUREMENTS):
                for key in ("",) if is_new else (LEDGER, *ROLES):
                    folder.remove(key)
            raise


def _begun(recipe: Recipe, folder: Folder, repair: bool) -> BuildRecord | None:
    """Return the build record of a build of the same recipe in the folder; raises BadInput where it holds another."""
    build_record = healthy_build_record(folder) if repair else read_build_record(folder)
    if build_record is None:
        if not is_before_build_record(folder):
            raise BadInput(f"{folder.url} holds something that is no store; give another --output")
        return None
    refuse_changes(build_record, recipe, folder.url)
    if not repair:
        refuse_other_constants(folder, build_record)
    return build_record


def _build(
    recipe: Recipe,
    folder: Folder,
    build_record: BuildRecord | None,
    preparation: Preparation,
    states: dict[str, str | None],
    runner: Runner,
    console: Console,
    repair: bool,
    refresh: bool,
) -> BuildResult:
    """Do what `build` says, as the only writer of the folder."""
    verdict = _verdict(folder, runner, console) if repair else {}
    lost = remove_damaged(folder) if repair else Lost()
    if build_record is not None and folder.exists("zarr.json") and (changed := changed_splits(build_record, recipe)):
        for key, (was, now) in changed.items():
            console.print(f"{key} was {was} and is now {now}", highlight=False, markup=False, soft_wrap=True)
        keep_in_history(folder, changed)
    constants = build_record.constants if build_record else None
    recorded = read_recorded(folder, of_records=repair)
    pairs = _with_file_states(recipe, folder, preparation, lost.checksums, runner, console)
    changes = find_changes(recipe, build_record.recipe if build_record else recipe, recorded.pairs, pairs)
    work = _work(recipe, folder, recorded, changes, verdict, lost, refresh)
    if constants is not None and not work.any and is_finished(folder, StorePlan(recipe, constants.normalisations)):
        if repair:
            folder.remove(VERDICT)
        return BuildResult(0, read_report(folder), changes.files, read_shift(folder), changes.gone)
    _begin(recipe, folder, constants, work, pairs)
    if constants is None:
        constants = _constants(recipe, folder, preparation, runner, console)
        write_build_record(folder, BuildRecord(recipe, used_rules(recipe), constants))
    else:
        measure = MeasureSample(folder, recipe)
        spread(measure, work.measured, folder, MEASUREMENTS, runner, Progress("measuring", console))
    plan = StorePlan(recipe, constants.normalisations)
    spread(WriteSample(folder, plan), work.samples, folder, RECORDS, runner, Progress("writing", console))
    static = make_static(folder, plan, pairs, keep=not (repair or refresh))
    if not changes.gone and (refresh or not changes.files):
        write_json(folder, ARCHIVES, states)
    elif set(work.samples) - set(preparation.missing):
        folder.remove(ARCHIVES)  # samples of two states of the archives
    problems = [str(problem) for problem in preparation.problems]
    report = finish(folder, plan, static, problems, {**preparation.notes, **constants.notes})
    if repair:
        folder.remove(VERDICT)
    told = {} if refresh else changes.files
    return BuildResult(len(work.samples), report, told, read_shift(folder), changes.gone)


def _states(recipe: Recipe) -> dict[str, str | None]:
    """Return the state of each archive, None where that cannot be told."""
    return {
        source: archive_state(source, recipe.sources[source], recipe.known_variables) for source in used_rules(recipe)
    }


def _is_done(recipe: Recipe, folder: Folder, build_record: BuildRecord | None, states: dict[str, str | None]) -> bool:
    """Return whether the store is this recipe's and finished, and its archives are as they were then.

    The tables that tell what it was made of are compared with the manifest: raises DamagedData.
    """
    if None in states.values() or build_record is None or build_record.constants is None:
        return False
    if not is_finished(folder, StorePlan(recipe, build_record.constants.normalisations)):
        return False
    if not folder.exists(ARCHIVES) or read_json(folder, ARCHIVES) != states:
        return False
    check_objects(folder, lambda key: key in (PAIRS, SAMPLES))
    axes = recipe.axes
    return set(folder.names(RECORDS)) == {record_of(axes, index) for index in axes.due_samples}


@dataclass(frozen=True)
class _Work:
    """The samples to write, to remove the records of, and to measure again, and whether other objects need work."""

    samples: list[int]
    stale: set[int]
    measured: list[int]
    others: bool

    @property
    def any(self) -> bool:
        """True where there is anything to do."""
        return bool(self.samples) or self.others


def _with_file_states(
    recipe: Recipe, folder: Folder, preparation: Preparation, lost: set[str], runner: Runner, console: Console
) -> pa.Table:
    """Return the pairs with the state of each file: of few bytes the checksums are made here, of many by workers.

    Those that a ledger has `lost` are made again.
    """
    used = files_in_use(preparation.files, preparation.pairs)
    for name in sorted(restore_checksums(used, folder, lost)):
        console.print(f"{CHECKSUMS}/{name} was damaged, and is of a file that is not there any more", soft_wrap=True)
    known = known_checksums(folder)
    unknown = files_without_checksum(used, known)
    size = pc.sum(used.filter(pc.is_in(used["path"], pa.array(unknown, pa.string())))["bytes"]).as_py() or 0
    if size >= _LITTLE:
        task, indices = ChecksumFile(unknown), list(range(len(unknown)))
        spread(task, indices, folder, CHECKSUMS, runner, Progress("checksums", console))
        known = known_checksums(folder)
    return with_present_states(preparation.pairs, used, folder, known)


def _work(
    recipe: Recipe,
    folder: Folder,
    recorded: Recorded,
    changes: Changes,
    verdict: dict[str, Any],
    lost: Lost,
    refresh: bool,
) -> _Work:
    """Return what is to be done; nothing is written.

    Samples that were not valid are written again where the archives give other fields now, and all of them where there
    is a verdict.
    """
    condemned = set(verdict.get("rebuild", []))
    if verdict:
        condemned |= {index for index, status in recorded.statuses.items() if status != "valid"}
    stale = {index for index in changes.samples if refresh or recorded.statuses.get(index) not in ("valid", None)}
    stale = (stale | condemned) - {-1}
    names = set(folder.names(RECORDS))
    axes = recipe.axes
    keys = {index: record_of(axes, index) for index in axes.due_samples}
    samples = [index for index, key in keys.items() if key not in names or index in stale]
    measured = [index for index, key in keys.items() if key in lost.measurements]
    others = bool(verdict.get("damaged") or lost.keys or (refresh and -1 in changes.samples))
    return _Work(samples, stale, measured, others)


def _begin(recipe: Recipe, folder: Folder, constants: Constants | None, work: _Work, pairs: pa.Table) -> None:
    """Write down what is to be done, and remove the records of samples that are written again."""
    folder.write(UNFINISHED, b"a build is under way, or was stopped\n")
    write_build_record(folder, BuildRecord(recipe, used_rules(recipe), constants))
    axes = recipe.axes
    for index in work.stale:
        folder.remove_obstacle(key := f"{RECORDS}/{record_of(axes, index)}")
        folder.remove(key)
    if constants is not None:
        plan = StorePlan(recipe, constants.normalisations)
        for key in (plan.shard_key(role, index) for role in plan.roles for index in work.stale):
            folder.remove_obstacle(key)
    wanted = pa.array([*work.samples, *work.measured], pa.int64())
    planned = pairs if constants is None else pairs.filter(pc.is_in(pairs["index"], wanted))
    write_plans(folder, planned)


def _verdict(folder: Folder, runner: Runner, console: Console) -> dict[str, Any]:
    """Return what the last `verify` found; the store is verified first where that is nothing, or was repaired since."""
    if folder.exists(VERDICT) and (verdict := _read_verdict(folder))["rebuild"] + verdict["damaged"]:
        return verdict
    console.print(f"{folder.url} has no verdict that names damage: it is verified first", soft_wrap=True)
    verify_folder(folder.url, runner, console)
    return _read_verdict(folder)


def _read_verdict(folder: Folder) -> dict[str, Any]:
    verdict = read_json(folder, VERDICT)
    rebuild, others = (verdict.get(key) if isinstance(verdict, dict) else None for key in ("rebuild", "damaged"))
    if not (
        isinstance(rebuild, list) and all(isinstance(index, int) for index in rebuild) and isinstance(others, list)
    ):
        raise damaged(folder, VERDICT, "it lacks the samples or the objects to build again")
    return verdict


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
    todo = [index for index in chosen if record_of(axes, index) not in done]
    spread(MeasureSample(folder, recipe), todo, folder, MEASUREMENTS, runner, Progress("measuring", console))
    return constants_from_records(recipe, read_moments(folder, MEASUREMENTS))
