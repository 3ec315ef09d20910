"""The signals that stop a command: SIGTERM of a scheduler, SIGINT of a keyboard."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from corrstore.datasets.errors import Stopped


@contextmanager
def on_signals(action: Callable[[], object]) -> Iterator[None]:
    """Call `action` at SIGTERM and SIGINT while the block runs.

    Only the main thread receives signals: in another one nothing happens.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.signal(each, lambda *_: action()) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def raise_stopped(message: str = "stopped by a signal") -> NoReturn:
    """Raise Stopped with the way to go on; where several processes stop, those beside the first end without a word."""
    if os.environ.get("RANK", "0") != "0":
        raise typer.Exit(Stopped.exit_code)
    raise Stopped(f"{message}; give the same command to go on")
