"""Progress that moves with any runner: it counts the records that workers leave."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text

from corrstore.datasets.storage.folder import Folder

_SECONDS_BETWEEN = 1.0


@dataclass(frozen=True)
class Progress:
    """A bar on the terminal, with a rate and an estimate; silent where the console is no terminal."""

    label: str
    console: Console

    @contextmanager
    def watching(self, folder: Folder, place: str, total: int) -> Iterator[None]:
        """Show how many of `total` new records have come to `place`, until the block ends."""
        if not self.console.is_terminal:
            yield
            return
        before = len(folder.names(place))
        done = threading.Event()
        with _bars(self.console) as bars:
            task = bars.add_task(self.label, total=total)

            def watch() -> None:
                while not done.wait(_SECONDS_BETWEEN):
                    bars.update(task, completed=len(folder.names(place)) - before)

            watcher = threading.Thread(target=watch, daemon=True)
            watcher.start()
            try:
                yield
            finally:
                done.set()
                watcher.join()
                bars.update(task, completed=len(folder.names(place)) - before)


@contextmanager
def progress_bar(label: str, total: int, console: Console) -> Iterator[Callable[[], None]]:
    """A bar over things that are done in this process; call what it gives once for each."""
    if not console.is_terminal:
        yield lambda: None
        return
    with _bars(console) as bars:
        task = bars.add_task(label, total=total)
        yield lambda: bars.advance(task)


def _bars(console: Console) -> Bars:
    return Bars(
        TextColumn("{task.description:<12}"),
        BarColumn(),
        MofNCompleteColumn(),
        _SecondsEach(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
    )


class _SecondsEach(ProgressColumn):
    """Seconds a sample, all workers together."""

    def render(self, task: Task) -> Text:
        """The rate as text; empty before the first sample."""
        return Text(f"{1 / task.speed:.2f} s each" if task.speed else "")
