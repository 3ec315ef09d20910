"""One command in several processes of this machine, as torchrun starts them.

Torchrun prints banners and a traceback where a process fails, and kills processes 30 seconds after a signal, in which
a checkpoint need not be written. Here the message and the exit code of the process that failed come through alone, and
a stopped process has the time that it needs. The processes meet in a file, so that no port can be taken.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import typer

from corrstore.datasets.commands import ERROR_FILE, notices
from corrstore.datasets.errors import OutOfResources, Stopped
from corrstore.training.learning.signals import on_signals, raise_stopped

MEETING_FILE = "CORRSTORE_MEETING_FILE"
"""Environment variable of the file in which the processes meet."""
_SECONDS_TO_END = 10.0
_SECONDS_BETWEEN_LOOKS = 0.1
_OWN_BUG = 70


def in_process_group() -> bool:
    """Return True in a process that `run_in_processes` or torchrun started."""
    return "RANK" in os.environ


def run_in_processes(count: int) -> None:
    """Run the command of this process in `count` processes, and end as they end.

    Raises Stopped where a signal stopped them, OutOfResources where one was killed, and typer.Exit with the exit code
    of the one that failed, its message printed.
    """
    with tempfile.TemporaryDirectory(prefix="corrstore-") as name:
        folder, stop = Path(name), threading.Event()
        children = [_start(rank, count, folder) for rank in range(count)]

        def pass_on() -> None:
            if not stop.is_set():
                _signal(children, signal.SIGTERM)
            stop.set()

        with on_signals(pass_on):
            failed = _wait(children, stop)
        if failed:
            _end(failed, folder, stop.is_set())


def _start(rank: int, count: int, folder: Path) -> subprocess.Popen[bytes]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    environment = {
        "OMP_NUM_THREADS": str(max(1, cores // count)),
        **os.environ,
        **dict.fromkeys(("RANK", "LOCAL_RANK"), str(rank)),
        **dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), str(count)),
        MEETING_FILE: str(folder / "meeting"),
        ERROR_FILE: str(folder / f"error-{rank}"),
    }
    words = [sys.executable, "-m", "corrstore", *sys.argv[1:]]
    if rank == 0:
        return subprocess.Popen(words, env=environment, process_group=0)
    with (folder / f"output-{rank}").open("wb") as file:
        return subprocess.Popen(words, env=environment, process_group=0, stdout=file, stderr=file)


def _wait(children: list[subprocess.Popen[bytes]], stop: threading.Event) -> dict[int, int]:
    """Wait until all have ended; returns the exit codes other than 0, by rank, of those that ended by themselves."""
    while any(child.poll() is None for child in children) and not any(child.returncode for child in children):
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    deadline = time.monotonic() + _SECONDS_TO_END
    while any(child.poll() is None for child in children) and (stop.is_set() or time.monotonic() < deadline):
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    failed = {rank: child.returncode for rank, child in enumerate(children) if child.returncode}
    _signal(children, signal.SIGKILL)
    for child in children:
        child.wait()
    return failed


def _signal(children: list[subprocess.Popen[bytes]], number: int) -> None:
    for child in children:
        if child.poll() is None:
            child.send_signal(number)


def _end(failed: dict[int, int], folder: Path, stopped: bool) -> None:
    """Raise or print the error of the process that failed first: the others fail because it is gone."""

    def order(rank: int) -> tuple[bool, bool, float]:
        error = folder / f"error-{rank}"
        return failed[rank] >= 0, failed[rank] == _OWN_BUG, error.stat().st_mtime if error.exists() else math.inf

    if stopped and failed.get(0) != Stopped.exit_code:
        raise_stopped()
    rank = 0 if stopped else min(failed, key=order)
    if failed[rank] == -signal.SIGKILL:
        raise OutOfResources(
            f"process {rank} was killed, most often because memory ran out; take a smaller micro_batch or batch, or"
            " fewer processes, and give the same command to go on"
        )
    message = next((each for each in (folder / f"error-{rank}", folder / f"output-{rank}") if each.exists()), None)
    if message:
        text = message.read_text(encoding="utf-8", errors="replace").rstrip()
        notices.print(text, style="red", highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(failed[rank] if failed[rank] > 0 else _OWN_BUG)
