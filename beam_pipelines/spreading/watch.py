"""Watching worker processes: the embedded runner would wait for ever for one that was killed."""

from __future__ import annotations

import os
import shlex
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from types import FrameType

from corrstore.datasets.commands import kill_children, module_command
from corrstore.datasets.errors import OutOfResources

_MODULE = "corrstore.beam_pipelines.spreading.worker"
_SECONDS_BETWEEN = 0.5
_LOOKS_BETWEEN, _TIMES_STOPPED = 4, 4  # of looks at whether a worker is stopped: for six seconds, as its driver is not
_STOPPED = "a worker process was stopped by a signal, and has been killed; start the same command again to go on"
_SECONDS_OF_GRACE = 5.0  # in which a run that is over may end by itself; no end of a run kills a worker
_SECONDS_TO_INSIST = 30.0
_SHELL_SIGNALS = 128  # a shell adds it to the number of the signal that killed a process
_ALARM = signal.SIGURG  # ignored by default, so one that comes too late does nothing


class _WorkerGone(BaseException):
    """The exception of a worker that is gone, raised in the main thread, which waits for it."""


@contextmanager
def watching_workers() -> Iterator[str]:
    """Yield the command that starts a worker; raise OutOfResources where one dies before the block has ended.

    A shell waits for each worker, and leaves a file when it dies, however early that is. A worker that a signal has
    stopped for some seconds counts as dead. Outside of the main thread, which alone receives signals, nothing is
    watched.
    """
    worker = shlex.join([*module_command(_MODULE), str(os.getpid())])
    if threading.current_thread() is not threading.main_thread():
        yield worker
        return
    over, died, stopped = (threading.Event() for _ in range(3))

    def watch(trace: Path) -> None:
        seen_stopped = 0
        for look in count():
            if over.wait(_SECONDS_BETWEEN):
                return
            if look % _LOOKS_BETWEEN == 0:
                seen_stopped = seen_stopped + 1 if _any_is_stopped() else 0
            if seen_stopped == _TIMES_STOPPED:
                stopped.set()
            if stopped.is_set() or (trace.exists() and (_was_killed(trace) or not over.wait(_SECONDS_OF_GRACE))):
                died.set()
                kill_children(_MODULE)
                while not over.is_set():
                    signal.pthread_kill(threading.main_thread().ident or 0, _ALARM)
                    over.wait(_SECONDS_TO_INSIST)

    def wake(_: int, __: FrameType | None) -> None:
        if died.is_set() and not over.is_set():
            raise _WorkerGone

    usual_handler, usual_hook = signal.getsignal(_ALARM), threading.excepthook
    with tempfile.TemporaryDirectory(prefix="corrstore-") as folder:
        trace = Path(folder) / "a-worker-died"
        watcher = threading.Thread(target=watch, args=[trace], daemon=True)
        try:
            signal.signal(_ALARM, wake)
            threading.excepthook = lambda _: None  # Beam's threads complain of a worker that is gone
            watcher.start()
            place = shlex.quote(folder)
            yield f"exec 2>{place}/said-$$; {worker} || (code=$?; set -C; echo $code $$ > {place}/{trace.name}) || :"
        except BaseException:
            if died.is_set():
                raise OutOfResources(_STOPPED if stopped.is_set() else _cause(trace)) from None
            raise
        finally:
            over.set()
            watcher.join()
            signal.signal(_ALARM, usual_handler)
            threading.excepthook = usual_hook


def _any_is_stopped() -> bool:
    """Return whether a signal has stopped a worker, such as SIGSTOP."""
    import psutil  # only here, as in `kill_children`

    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if child.status() == psutil.STATUS_STOPPED and _MODULE in " ".join(child.cmdline()):
                return True
    return False


def _was_killed(trace: Path) -> bool:
    """Return whether a signal killed the worker; the shell may not have written yet how it ended."""
    code = trace.read_text().partition(" ")[0]
    return bool(code) and int(code) > _SHELL_SIGNALS


def _cause(trace: Path) -> str:
    """Return what is known of the worker that died first: its exit code, as a shell counts it, and what it said."""
    code, shell = trace.read_text().split()
    if _was_killed(trace):
        return (
            "a worker process was killed, perhaps because memory ran out; start the same command again with fewer"
            " --workers"
        )
    said = (trace.parent / f"said-{shell}").read_text(errors="replace").strip().splitlines()
    last = f": {said[-1]}" if said else ""
    return f"a worker process ended with exit code {code}{last}; start the same command again to go on"
