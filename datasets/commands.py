"""The parts that all commands share: consoles, JSON, the arguments that several take, and how a signal stops them."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from corrstore.datasets.errors import DataFallShort, Stopped

notices = Console(stderr=True)
results = Console()

ERROR_FILE = "CORRSTORE_ERROR_FILE"
"""Environment variable of the file that takes the error which ends a command, in place of the terminal."""

SECONDS_TO_STOP = 60.0
"""Seconds in which a command that a signal stopped may end by itself."""

BEAM = {"allow_extra_args": True, "ignore_unknown_options": True}
"""Settings of a command that passes what it does not know to Beam."""

RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="A shipped recipe's name, or a YAML file.")]
StorePath = Annotated[str, typer.Argument(metavar="STORE", help="The store's folder, or gs:// or s3://bucket/path.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the recipe, such as period.end=2019-01-01."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes of the embedded runner; all cores of the machine by default.")
]


def error_console() -> Console:
    """Return the console of the error that ends the command: the terminal, or the file of ERROR_FILE."""
    path = os.environ.get(ERROR_FILE)
    return Console(file=Path(path).open("w", encoding="utf-8"), width=120) if path else notices


def print_json(content: Any) -> None:
    """Print JSON for a script; a number that is not finite is null, since JSON has none."""
    print(json.dumps(_plain(content), indent=2, allow_nan=False))


def _plain(value: Any) -> Any:
    """Return the content with keys and values that JSON has."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if hasattr(value, "item"):
        value = value.item()  # of a NumPy number
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def fall_short(share: float, allowed: float, lacking: int, samples: int) -> None:
    """Raise DataFallShort where a larger share of the samples lacks something than the recipe allows."""
    if share > allowed:
        raise DataFallShort(
            f"the data falls short: {lacking} of {samples} samples ({share:.1%}) are not valid, and the recipe's"
            f" max_missing_share allows {allowed:.1%}"
        )


def process_rank() -> int:
    """Return the rank of this process among those that torchrun or `--processes` started; 0 where it is alone."""
    return int(os.environ["RANK"]) if "WORLD_SIZE" in os.environ and "RANK" in os.environ else 0


def module_command(name: str) -> list[str]:
    """Return the command that runs a module in a new process.

    It imports from the working folder only where this process does: `python -m` would put that folder first, and with
    it whatever files a user has there.
    """
    imports_from_here = not {"", str(Path.cwd())}.isdisjoint(sys.path)
    return [sys.executable, *([] if imports_from_here else ["-P"]), "-m", name]


class _Interrupted(BaseException):
    """The exception of a signal, raised in the main thread; no handler of errors on the way takes it for one."""


@contextmanager
def on_signals(action: Callable[[str], object]) -> Iterator[None]:
    """Call `action` with the signal's name at SIGTERM, SIGINT and SIGHUP while the block runs.

    Signals that are ignored stay so, as SIGHUP is under nohup, and SIGINT in what a shell has put into the background.
    Outside of the main thread, which alone receives signals, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = [
        each for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP) if signal.getsignal(each) is not signal.SIG_IGN
    ]
    before = {each: signal.signal(each, lambda number, _: action(signal.Signals(number).name)) for each in heard}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Raise Stopped in place of whatever the block does when a signal of `on_signals` arrives; a decorator, too.

    All child processes are killed. A block that has not ended a minute later ends with the process.
    """
    received: list[str] = []
    over = threading.Event()
    usual_hook = threading.excepthook

    def end_anyway() -> None:
        if not over.wait(SECONDS_TO_STOP):
            error_console().print(f"corrstore: {_text(received[0])}", highlight=False, markup=False, soft_wrap=True)
            os._exit(Stopped.exit_code)

    def stop(name: str) -> None:
        received.append(name)
        if len(received) == 1:
            threading.Thread(target=end_anyway, daemon=True).start()
            threading.excepthook = lambda _: None  # pools complain of processes that are gone
            kill_children()
            raise _Interrupted

    try:
        with on_signals(stop):
            yield
    except BaseException:
        if not received:
            raise
    finally:
        over.set()
        threading.excepthook = usual_hook
    if received:
        raise stop_error(_text(received[0]))


def stop_error(message: str) -> Exception:
    """Return the error that ends a stopped command with 75; of several processes only the first has a message."""
    return typer.Exit(Stopped.exit_code) if process_rank() else Stopped(message)


def kill_children(part_of_command: str = "") -> None:
    """Kill the processes that descend from this one and have the text in their command line; parents first."""
    import psutil  # only here: most commands stop nothing

    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            command = " ".join(child.cmdline())
            if part_of_command in command and "resource_tracker" not in command:  # Python's own ends by itself
                child.kill()


def _text(name: str) -> str:
    return f"stopped by {name}; the same command continues"
