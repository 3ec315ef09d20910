"""Spreading one function over samples: the one pipeline that plans, builds and verifies, on any runner."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import apache_beam as beam
import xarray_beam as xbeam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from corrstore.beam_pipelines.spreading.failures import forget_failures, raise_failure, write_failure
from corrstore.beam_pipelines.spreading.progress import Progress
from corrstore.beam_pipelines.spreading.watch import watching_workers
from corrstore.datasets.errors import BadInput, CorrstoreError, OutOfResources
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.records import TaskRecord, write_task_record

_RUNS_AGAIN = "see that its scheduler and workers run, and all see the output's folder; the same command goes on"
_MANY = 4  # samples for each worker, from which processes of their own pay


class Task(Protocol):
    """A task for one sample, or file: a picklable pure function from its index to the record to leave."""

    def __call__(self, index: int) -> TaskRecord: ...


@dataclass(frozen=True)
class Runner:
    """The way Beam runs: its own options, or the embedded runner with `workers` processes (None: all cores)."""

    options: tuple[str, ...] = ()
    workers: int | None = None

    @property
    def is_embedded(self) -> bool:
        """Return whether no option names another runner."""
        return not any(option.startswith("--runner") for option in self.options)

    @property
    def named(self) -> str:
        """Return the option that names the runner, for messages."""
        return next((option for option in self.options if option.startswith("--runner")), "the embedded runner")

    def processes(self, samples: int) -> int:
        """Return the number of processes that the embedded runner works with on that many samples."""
        return min(self.workers or os.cpu_count() or 1, -(-samples // _MANY))

    def pipeline(self, samples: int, worker_command: str) -> beam.Pipeline:
        """Return a pipeline on the runner that the options name, else on the embedded one.

        The embedded one starts processes by the command where there is enough to do.
        """
        options = PipelineOptions(list(self.options), save_main_session=False)
        if not self.is_embedded:
            logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # what ends the run is told, once
            try:
                return beam.Pipeline(options=options)
            except ValueError as error:
                raise BadInput(f"Beam does not accept {' '.join(self.options)}: {error}") from None
        logging.getLogger("apache_beam").setLevel(logging.CRITICAL)  # a failure is raised, once
        workers = self.processes(samples)
        if workers == 1:
            return beam.Pipeline(runner=FnApiRunner(), options=options)
        options.view_as(DirectOptions).direct_num_workers = workers
        processes = SubprocessSDKEnvironment.from_command_string(worker_command)
        return beam.Pipeline(runner=FnApiRunner(default_environment=processes), options=options)


class WriteTaskRecord(beam.DoFn):
    """Do the task for each key and leave its record; nothing big goes back through the runner."""

    def __init__(self, task: Task, folder: Folder, place: str, failures: str) -> None:
        self.task, self.folder, self.place, self.failures = task, folder, place, failures

    def process(self, key: xbeam.Key) -> Iterator[xbeam.Key]:
        """Do one task; an error that a user can act on is left in `failures`, as data, and ends the pipeline."""
        index = key.offsets["time"]
        try:
            write_task_record(self.folder, self.task(index), self.place)
        except (CorrstoreError, OSError, MemoryError) as error:
            write_failure(self.folder, self.failures, index, error)
            raise RuntimeError(f"task {index} failed; the reason is in {self.folder.path(self.failures)}") from None
        yield key


def spread(task: Task, indices: list[int], folder: Folder, place: str, runner: Runner, progress: Progress) -> None:
    """Do the task for every index and leave its record in `place`; return when all are there.

    Linear: keys, a reshuffle where others than this process work, the work. Raises what a task raised, with all its
    lines, and OutOfResources where a worker process died, or the runner ended without all records.
    """
    if not indices:
        return
    keys = [xbeam.Key({"time": index}) for index in indices]
    before = len(folder.names(place))
    failures = f"{place}-failures"
    forget_failures(folder, failures)
    try:
        with (
            progress.watching(folder, place, len(indices)),
            watching_workers() as worker_command,
            runner.pipeline(len(indices), worker_command) as pipeline,
        ):
            work = pipeline | "Keys" >> beam.Create(keys, reshuffle=False)
            if not runner.is_embedded or runner.processes(len(indices)) > 1:
                work |= "Spread" >> beam.Reshuffle()
            _ = work | "Do" >> beam.ParDo(WriteTaskRecord(task, folder, place, failures))
    except CorrstoreError:
        raise
    except Exception as error:
        raise_failure(folder, failures)
        if not runner.is_embedded and (isinstance(error, OSError) or type(error).__module__.startswith("distributed")):
            raise OutOfResources(f"{runner.named}: {error or type(error).__name__}; {_RUNS_AGAIN}") from None
        raise
    finally:
        forget_failures(folder, failures)
    left = len(folder.names(place)) - before
    if left < len(indices):
        found = f"{runner.named} has ended, and left {left} of {len(indices)} records in {folder.path(place)}"
        raise OutOfResources(f"{found}; {_RUNS_AGAIN}")
