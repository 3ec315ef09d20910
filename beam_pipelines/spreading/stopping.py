"""Stop a command by a signal: its child processes end, and it ends with one line and exit code 75."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from corrstore.datasets.commands import notices
from corrstore.datasets.errors import Stopped

_SECONDS_TO_END = 60.0


class _Interrupted(BaseException):
    """The exception of a signal, raised in the main thread; no handler of errors on the way takes it for one."""


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Raise Stopped in place of whatever the block does when SIGTERM or SIGINT arrives; a decorator, too.

    All child processes are killed. A block that has not ended a minute later ends with the process. Signals that are
    ignored stay so, as SIGINT is in what a shell has put into the background, and outside of the main thread, which
    alone receives signals, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[str] = []
    over = threading.Event()

    def end_anyway() -> None:
        if not over.wait(_SECONDS_TO_END):
            notices.print(f"corrstore: {_message(received[0])}", highlight=False, markup=False, soft_wrap=True)
            os._exit(Stopped.exit_code)

    def stop(number: int, _: FrameType | None) -> None:
        received.append(signal.Signals(number).name)
        if len(received) == 1:
            threading.Thread(target=end_anyway, daemon=True).start()
            threading.excepthook = lambda _: None  # pools complain of processes that are gone
            kill_children()
            raise _Interrupted

    signals = [each for each in (signal.SIGTERM, signal.SIGINT) if signal.getsignal(each) is not signal.SIG_IGN]
    usual_hook = threading.excepthook
    before = {each: signal.signal(each, stop) for each in signals}
    try:
        yield
    except BaseException:
        if not received:
            raise
    finally:
        over.set()
        for each, handler in before.items():
            signal.signal(each, handler)
        threading.excepthook = usual_hook
    if received:
        raise Stopped(_message(received[0]))


def kill_children(part_of_command: str = "") -> None:
    """Kill the processes that descend from this one and have the text in their command line; parents first."""
    import psutil  # only here: most commands stop nothing

    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            command = " ".join(child.cmdline())
            if part_of_command in command and "resource_tracker" not in command:  # Python's own ends by itself
                child.kill()


def _message(name: str) -> str:
    return f"stopped by {name}; the same command continues"
