"""Watching worker processes: the embedded runner would wait for ever for one that was killed."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from corrstore.datasets.errors import OutOfResources

_SECONDS_BETWEEN = 1.0
_ROUNDS_OF_GRACE = 5  # in which a run that is over may end by itself
_ALARM = signal.SIGUSR1  # SIGINT is ignored in what a shell has put into the background


@contextmanager
def watching_workers() -> Iterator[None]:
    """Raise OutOfResources soon after a worker process of this one has died before the block has ended."""
    over, died = threading.Event(), threading.Event()

    def watch() -> None:
        seen: set[int] = set()
        rounds_without = 0
        while not over.wait(_SECONDS_BETWEEN):
            alive = _workers()
            seen |= alive
            rounds_without = rounds_without + 1 if seen - alive else 0
            if rounds_without > _ROUNDS_OF_GRACE:
                died.set()
                for worker in alive:
                    with suppress(ProcessLookupError):
                        os.kill(worker, signal.SIGKILL)
                os.kill(os.getpid(), _ALARM)
                return

    if threading.current_thread() is not threading.main_thread():
        yield  # no signal would reach it
        return
    usual_handler = signal.signal(_ALARM, signal.default_int_handler)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    usual_hook, threading.excepthook = threading.excepthook, lambda _: None  # Beam's threads, of a worker that is gone
    try:
        yield
    except (KeyboardInterrupt, RuntimeError):
        if died.is_set():
            raise OutOfResources(
                "a worker process was killed, perhaps because memory ran out; start the same command again"
                " with fewer --workers"
            ) from None
        raise
    finally:
        over.set()
        watcher.join()
        signal.signal(_ALARM, usual_handler)
        threading.excepthook = usual_hook


def _workers() -> set[int]:
    found = set()
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if "corrstore.beam_pipelines.worker" in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
                found.add(child.pid)
    return found
