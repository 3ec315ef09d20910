"""The command in processes of their own, which begin with all libraries imported, so that many can be killed."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

MINUTES = 600.0  # seconds, in which what would wait for ever is given up
IMPORTED = (
    *("tests.chaos.running", "corrstore.beam_pipelines.build", "corrstore.beam_pipelines.evaluation.evaluate"),
    *("corrstore.training.forecasts.forecast", "corrstore.training.learning.trainer", "corrstore.catalog.pages.page"),
    "corrstore.datasets.synthetic.archive",
)


@dataclass(frozen=True)
class Command:
    """A command that has begun, in a session of its own."""

    process: BaseProcess
    said: Path

    @classmethod
    def begun(cls, words: list[str], said: Path, largest: int | None = None) -> Command:
        """Begin the command; what it prints goes to the file `said`. No file may grow beyond `largest` bytes."""
        process = multiprocessing.get_context("forkserver").Process(target=_run, args=(words, str(said), largest))
        process.start()
        return cls(process, said)

    def ended(self, seconds: float = MINUTES) -> int | None:
        """Wait for the end and return the exit code; None where it has not ended by then."""
        self.process.join(seconds)
        return self.process.exitcode

    def kill(self) -> None:
        """Kill the command, and the processes that it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid or 0, signal.SIGKILL)
        self.process.kill()  # where it has no session of its own yet
        self.process.join()

    @property
    def words(self) -> str:
        """Return the end of what it has printed."""
        return self.said.read_text(errors="replace")[-2000:]


def _run(words: list[str], said: str, largest: int | None) -> None:
    os.setsid()
    if largest is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    with Path(said).open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = ["corrstore", *words]
    from corrstore.__main__ import main

    main()
