"""Progress that moves with any runner: it counts the records that workers leave."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

from rich.console import Console

from corrstore.catalog.printing.progress import shown_progress
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.storage.repeating import repeated

_SECONDS_BETWEEN, _SECONDS_BETWEEN_IN_A_LOG = 1.0, 15.0
_PAUSES = 20  # times the seconds that a look took


@dataclass(frozen=True)
class Progress:
    """Show the records that workers leave: a bar with rate and estimate on a terminal, a line a minute in a log."""

    label: str
    console: Console

    @contextmanager
    def watching(self, folder: Folder, place: str, total: int) -> Iterator[None]:
        """Show how many of `total` new records have come to `place`, until the block ends.

        To list many of them takes a while: at most a twentieth of the time goes into it.
        """
        before = len(folder.names(place))
        pause = _SECONDS_BETWEEN if self.console.is_terminal else _SECONDS_BETWEEN_IN_A_LOG
        with shown_progress(self.console, self.label, "records", total) as show:
            due = 0.0

            def look() -> None:
                nonlocal due
                started = time.monotonic()
                if started >= due:
                    show(len(folder.names(place)) - before)
                    due = started + _PAUSES * (time.monotonic() - started)

            try:
                with repeated(look, pause):
                    yield
            finally:
                due = 0.0
                look()


@contextmanager
def counted_progress(label: str, unit: str, total: int, console: Console) -> Iterator[Callable[[], None]]:
    """Show the progress of work in this process; call the yielded function once for each thing that is done."""
    done = count(1)
    with shown_progress(console, label, unit, total) as show:
        yield lambda: show(next(done))
