"""The command as a process of its own, to be stopped and killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def running(*arguments: object, ignoring: str = "") -> Iterator[subprocess.Popen]:
    """The command in a process group of its own, none of which is left at the end; SIGINT and SIGTERM as by default."""
    default = {name: "IGN" if name == ignoring else "DFL" for name in ("SIGTERM", "SIGINT")}
    handled = "; ".join(f"signal.signal(signal.{name}, signal.SIG_{each})" for name, each in default.items())
    code = f"import os, signal, sys; {handled}; os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    command = [sys.executable, "-c", code, "-m", "corrstore", *map(str, arguments)]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def waited(process: subprocess.Popen, until: Callable[[], bool]) -> bool:
    """Wait until that has come; return whether the process is still running."""
    while process.poll() is None and not until():
        time.sleep(0.002)
    return process.poll() is None
