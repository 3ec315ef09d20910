"""One command in several processes of this machine, as torchrun starts them.

Torchrun prints banners and a traceback where a process fails, and kills processes 30 seconds after a signal, in which
a checkpoint need not be written. Here the message and the exit code of the process that failed come through alone, and
a stopped process has a minute. The processes meet in a file, so that no port can be taken, and end with this one.
"""

from __future__ import annotations

import ctypes
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import typer

from corrstore.datasets.commands import ERROR_FILE, SECONDS_TO_STOP, module_command, notices, on_signals
from corrstore.datasets.errors import OutOfResources, Stopped

MEETING_FILE = "CORRSTORE_MEETING_FILE"
"""Environment variable of the file in which the processes meet."""
_PARENT = "CORRSTORE_PARENT"
"""Environment variable of the process that started them."""
_SECONDS_TO_END = 10.0
_SECONDS_BETWEEN_LOOKS = 0.1
_SET_SIGNAL_OF_PARENTS_DEATH = 1  # PR_SET_PDEATHSIG of prctl(2)
_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_OWN_BUG = 70


def in_process_group() -> bool:
    """Return True in a process that `run_in_processes` or torchrun started."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def end_with_parent() -> None:
    """Let a process that `run_in_processes` started be killed when the one that started it is gone.

    Linux alone can do that; elsewhere only a parent that is gone already is noticed.
    """
    parent = os.environ.get(_PARENT)
    if parent is None:
        return
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_SIGNAL_OF_PARENTS_DEATH, signal.SIGKILL)
    if os.getppid() != int(parent):
        os._exit(Stopped.exit_code)


def run_in_processes(count: int) -> None:
    """Run the command of this process in `count` processes, and end as they end.

    A signal is passed on, after which they have a minute; a second one kills them. Raises Stopped where a signal
    stopped them, OutOfResources where one was killed, and typer.Exit with the exit code of the one that failed, its
    message printed.
    """
    children: list[subprocess.Popen[bytes]] = []
    stops: list[str] = []

    def pass_on(name: str) -> None:
        stops.append(name)
        if len(stops) == 1:
            _signal(children, signal.SIGTERM)

    with tempfile.TemporaryDirectory(prefix="corrstore-") as name, on_signals(pass_on):
        folder = Path(name)
        for rank in range(count):
            children.append(_start(rank, count, folder))
        if stops:
            _signal(children, signal.SIGTERM)
        failed, unfinished = _wait(children, stops)
        if stops and (failed or unfinished) and failed.get(0) != Stopped.exit_code:
            raise Stopped(f"stopped by {stops[0]}; the same command continues")
        if failed:
            _end(failed, folder, bool(stops))


def _start(rank: int, count: int, folder: Path) -> subprocess.Popen[bytes]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    environment = {
        "OMP_NUM_THREADS": str(max(1, cores // count)),
        **os.environ,
        **dict.fromkeys(("RANK", "LOCAL_RANK"), str(rank)),
        **dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), str(count)),
        MEETING_FILE: str(folder / "meeting"),
        ERROR_FILE: str(folder / f"error-{rank}"),
        _PARENT: str(os.getpid()),
    }
    words = [*module_command("corrstore"), *sys.argv[1:]]
    if rank == 0:
        return subprocess.Popen(words, env=environment, process_group=0)
    with (folder / f"output-{rank}").open("wb") as file:
        return subprocess.Popen(words, env=environment, process_group=0, stdout=file, stderr=file)


def _wait(children: list[subprocess.Popen[bytes]], stops: list[str]) -> tuple[dict[int, int], bool]:
    """Wait until all have ended, or have had their time after a stop or a failure, or a second signal arrives.

    Returns the exit codes other than 0 by rank, the first to end first, and whether some had to be killed.
    """
    failed: dict[int, int] = {}
    deadline = math.inf
    while True:
        codes = [child.poll() for child in children]
        for rank, code in enumerate(codes):
            if code:
                failed.setdefault(rank, code)
        if deadline == math.inf and (stops or failed):
            deadline = time.monotonic() + (SECONDS_TO_STOP if stops else _SECONDS_TO_END)
        if None not in codes or time.monotonic() > deadline or len(stops) > 1:
            break
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    _signal(children, signal.SIGKILL)
    for child in children:
        child.wait()
    return failed, None in codes


def _signal(children: list[subprocess.Popen[bytes]], number: int) -> None:
    for child in children:
        if child.poll() is None:
            child.send_signal(number)


def _end(failed: dict[int, int], folder: Path, stopped: bool) -> None:
    """Raise or print the error of the process that failed first: the others fail because it is gone."""

    def order(rank: int) -> tuple[bool, bool, float]:
        error = folder / f"error-{rank}"
        return failed[rank] >= 0, failed[rank] == _OWN_BUG, error.stat().st_mtime if error.exists() else math.inf

    rank = 0 if stopped else min(failed, key=order)
    if failed[rank] < 0:
        _raise_killed(rank, signal.Signals(-failed[rank]))
    message = next((each for each in (folder / f"error-{rank}", folder / f"output-{rank}") if each.exists()), None)
    if message:
        _print(message.read_text(encoding="utf-8", errors="replace").rstrip())
    raise typer.Exit(failed[rank])


def _raise_killed(rank: int, number: signal.Signals) -> None:
    if number not in _FROM_OUTSIDE:
        _print(f"corrstore: process {rank} was ended by {number.name}, an error of corrstore or of a library it uses")
        raise typer.Exit(_OWN_BUG)
    cause = ""
    if number == signal.SIGKILL:
        cause = ", most often because memory ran out; take a smaller micro_batch or batch, or fewer processes"
    raise OutOfResources(f"process {rank} was killed by {number.name}{cause}; the same command continues")


def _print(text: str) -> None:
    notices.print(text, style="red", highlight=False, markup=False, soft_wrap=True)
