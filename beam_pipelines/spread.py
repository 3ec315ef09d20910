"""Spreading one function over samples: the one pipeline that plans, builds and verifies, on any runner."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

import apache_beam as beam
import xarray_beam as xbeam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, _BeamArgumentParser
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from corrstore.beam_pipelines.progress import Progress
from corrstore.beam_pipelines.watch import watching_workers
from corrstore.datasets.errors import BadInput, CorrstoreError, OutOfResources
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.records import TaskRecord, write_task_record

_MARK = "corrstore cannot go on: "
_MANY = 4  # samples for each worker, from which processes of their own pay


class Task(Protocol):
    """What is done for one sample, or file: a picklable pure function from its index to the record to leave."""

    def __call__(self, index: int) -> TaskRecord: ...


@dataclass(frozen=True)
class Runner:
    """How Beam runs: its own options, or the embedded runner with `workers` processes (None: all cores)."""

    options: tuple[str, ...] = ()
    workers: int | None = None

    def __post_init__(self) -> None:
        _refuse_unknown(self.options)

    def pipeline(self, samples: int) -> beam.Pipeline:
        """A pipeline on the runner that the options name, else on the embedded one.

        That uses processes of its own where there is enough to do.
        """
        options = PipelineOptions(list(self.options), save_main_session=False)
        if any(option.startswith("--runner") for option in self.options):
            try:
                return beam.Pipeline(options=options)
            except ValueError as error:
                raise BadInput(f"Beam does not accept {' '.join(self.options)}: {error}") from None
        logging.getLogger("apache_beam").setLevel(logging.CRITICAL)  # a failure is raised, once
        workers = min(self.workers or os.cpu_count() or 1, -(-samples // _MANY))
        if workers == 1:
            return beam.Pipeline(runner=FnApiRunner(), options=options)
        options.view_as(DirectOptions).direct_num_workers = workers
        processes = SubprocessSDKEnvironment.from_command_string(f"{sys.executable} -m corrstore.beam_pipelines.worker")
        return beam.Pipeline(runner=FnApiRunner(default_environment=processes), options=options)


def _refuse_unknown(options: tuple[str, ...]) -> None:
    """Beam would pass over an option that it does not know, and with it a misspelt one of ours."""
    for option in options:
        if option.startswith("--runner=") and "." in option:
            module = option.removeprefix("--runner=").rpartition(".")[0]
            try:
                import_module(module)  # its options become known with it
            except ImportError:
                raise BadInput(f"{option}: there is no module {module}") from None
    parser = _BeamArgumentParser(add_help=False, allow_abbrev=False)
    for group in PipelineOptions.__subclasses__():
        group._add_argparse_args(parser)
    _, unknown = parser.parse_known_args(list(options))
    if unknown:
        raise BadInput(
            f"unknown option {unknown[0]}: neither corrstore nor Beam has it; see --help and docs/running.md"
        )


class WriteTaskRecord(beam.DoFn):
    """Does the task for each key and leaves its record; nothing big goes back through the runner."""

    def __init__(self, task: Task, folder: Folder, place: str) -> None:
        self.task, self.folder, self.place = task, folder, place

    def process(self, key: xbeam.Key) -> Iterator[xbeam.Key]:
        """One sample; an error that a user can act on keeps its one line through any runner."""
        try:
            write_task_record(self.folder, self.task(key.offsets["time"]), self.place)
        except CorrstoreError as error:
            raise RuntimeError(f"{_MARK}{type(error).__name__}: {error}\n") from None
        except OSError as error:
            raise RuntimeError(f"{_MARK}BadInput: {error.filename or 'a file'}: {error.strerror or error}\n") from None
        yield key


def spread(task: Task, indices: list[int], folder: Folder, place: str, runner: Runner, progress: Progress) -> None:
    """Do the task for every index and leave its record in `place`; returns when all are there.

    Linear: keys, a reshuffle, the work. Raises BadInput or OutOfResources in a worker's own words.
    """
    if not indices:
        return
    keys = [xbeam.Key({"time": index}) for index in indices]
    before = len(folder.names(place))
    try:
        with (
            progress.watching(folder, place, len(indices)),
            watching_workers(),
            runner.pipeline(len(indices)) as pipeline,
        ):
            _ = (
                pipeline
                | "Keys" >> beam.Create(keys, reshuffle=False)
                | "Spread" >> beam.Reshuffle()
                | "Do" >> beam.ParDo(WriteTaskRecord(task, folder, place))
            )
    except CorrstoreError:
        raise
    except Exception as error:
        said = re.search(re.escape(_MARK) + r"(\w+): (.+)", str(error))
        if said is None:
            raise
        kind = OutOfResources if said[1] == OutOfResources.__name__ else BadInput
        raise kind(said[2].split("\\n")[0].split(" [while running")[0]) from None
    left = len(folder.names(place)) - before
    if left < len(indices):
        raise BadInput(
            f"workers left {left} of {len(indices)} records in {folder.path(place)}; do they all see that folder?"
            " Start the same command again to go on"
        )
