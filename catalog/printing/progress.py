"""The progress of a long command: a bar on a terminal, a line a minute in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

SECONDS_BETWEEN_LINES = 60.0


@dataclass
class LogLines:
    """Lines of a log with the work that is done, its rate and the time left; at most one a minute.

    `done` is the work that an earlier command did: it does not count for the rate. `clock` gives seconds.
    """

    console: Console
    label: str
    unit: str
    total: int
    done: int = 0
    clock: Callable[[], float] = time.monotonic
    _started: float = field(init=False)
    _printed: float = field(init=False)

    def __post_init__(self) -> None:
        self._started = self._printed = self.clock()

    def show(self, done: int, note: str = "") -> None:
        """Print a line where the last one is a minute old; `note` is printed behind it."""
        now = self.clock()
        if now - self._printed < SECONDS_BETWEEN_LINES or done <= self.done:
            return
        self._printed = now
        rate = (done - self.done) / (now - self._started)
        left = timedelta(seconds=round((self.total - done) / rate))
        speed = f"{rate:,.1f} {self.unit}/s" if rate >= 1 else f"{1 / rate:,.1f} s each"
        text = f"{self.label}: {done:,} of {self.total:,} {self.unit}, {speed}, {left} left"
        self.console.print(f"{text}, {note}" if note else text, highlight=False, markup=False, soft_wrap=True)


class Show(Protocol):
    """A function that shows how much is done, and a note."""

    def __call__(self, done: int, note: str = "") -> None: ...


@contextmanager
def shown_progress(console: Console, label: str, unit: str, total: int, done: int = 0) -> Iterator[Show]:
    """Yield the function that shows progress: by a bar with rate and estimate on a terminal, else by LogLines."""
    if not console.is_terminal:
        yield LogLines(console, label, unit, total, done).show
        return
    columns = TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(), _SecondsEach()
    with Progress(*columns, TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task(label, total=total, completed=done)

        def show(done: int, note: str = "") -> None:
            bar.update(task, completed=done, description=f"{label} {note}".rstrip())

        yield show


class _SecondsEach(ProgressColumn):
    """Seconds for each thing that is done, all workers together."""

    def render(self, task: Task) -> Text:
        """The rate as text; empty before the first one is done."""
        return Text(f"{1 / task.speed:.2f} s each" if task.speed else "")
