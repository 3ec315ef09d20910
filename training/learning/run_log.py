"""The log of a run: CSV always, TensorBoard where it is installed."""

from __future__ import annotations

import csv
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from corrstore.datasets.errors import DamagedData, writing
from corrstore.training.learning.shares import Share
from corrstore.training.learning.validation import MEASURES, Scores

TRAINING = [
    "patches",
    "loss",
    "gradient_norm",
    "learning_rate",
    "patches_per_second",
    "stalled_share",
    "bytes_read_per_byte_used",
]
SHARES = ["patches", *Share._fields]
VALIDATION = ["patches", "channel", *MEASURES]


class RunLog:
    """`log.csv` (a row an update), `validation.csv` (a row a channel), `shares.csv`, and TensorBoard's events.

    Rows beyond the clock `patches_seen`, left by a run that was killed after its last checkpoint, are removed.
    """

    def __init__(self, folder: Path, patches_seen: int) -> None:
        self._folder = folder
        self._files = {
            name: _continued(folder / name, columns, patches_seen)
            for name, columns in (("log.csv", TRAINING), ("validation.csv", VALIDATION), ("shares.csv", SHARES))
        }
        self._board = _tensorboard(folder, patches_seen)

    def add(self, patches: int, row: dict[str, float]) -> None:
        """Write a row of training."""
        self._write("log.csv", [patches, *(row[name] for name in TRAINING[1:])])
        self._show(patches, {f"training/{name}": value for name, value in row.items()})

    def add_scores(self, patches: int, scores: Scores) -> None:
        """Write the scores of a validation."""
        for channel, values in scores.items():
            self._write("validation.csv", [patches, channel, *(values[name] for name in MEASURES)])
            self._show(patches, {f"{name}/{channel}": value for name, value in values.items()})

    def add_shares(self, patches: int, shares: Iterable[Share]) -> None:
        """Write the loss since the last validation, as shares of predicting nothing."""
        shown: dict[str, float] = {}
        for each in shares:
            self._write("shares.csv", [patches, *each])
            level = f"sigma {each.sigma_from:.2g} to {each.sigma_to:.2g}/" if each.sigma_to else ""
            shown[f"share/{each.channel}/{level}{each.wavelength} pixels"] = each.share
        self._show(patches, shown)

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()
        if self._board:
            self._board.close()

    def _write(self, name: str, row: list[Any]) -> None:
        shown = [f"{value:.6g}" if isinstance(value, float) else value for value in row]
        with writing(self._folder / name):
            csv.writer(self._files[name]).writerow(shown)
            self._files[name].flush()

    def _show(self, patches: int, values: dict[str, float]) -> None:
        if self._board:
            with writing(self._folder / "tensorboard"):
                for name, value in values.items():
                    self._board.add_scalar(name, value, patches)


def _continued(path: Path, columns: list[str], patches_seen: int) -> Any:
    rows: list[list[str]] = []
    if os.path.lexists(path) and (path.is_symlink() or not path.is_file()):
        raise DamagedData(f"{path} is a folder, a link or a pipe; move it away, and give the same command again")
    if path.exists():
        try:
            header, *lines = path.read_bytes().decode("ascii").splitlines() or [""]
            if not (patches_seen or ",".join(columns).startswith(header)):  # a full disk may have cut it
                raise ValueError("it has other columns than this log")
            rows = [row for row in csv.reader(lines) if row and int(row[0]) <= patches_seen and patches_seen]
        except (ValueError, csv.Error) as error:
            raise DamagedData(
                f"{path} is damaged ({error}); correct the line or move the file away, and give the same command again"
            ) from None
    with writing(path):
        file = path.open("w", newline="", encoding="utf-8")
        csv.writer(file).writerows([columns, *rows])
        file.flush()
    return file


def _tensorboard(folder: Path, patches_seen: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    usual_hook = threading.excepthook

    def hook(raised: threading.ExceptHookArgs) -> None:
        if not isinstance(raised.exc_value, OSError):  # its thread's: `_show` tells what ends the run
            usual_hook(raised)

    threading.excepthook = hook
    with writing(folder / "tensorboard"):
        return SummaryWriter(str(folder / "tensorboard"), purge_step=patches_seen + 1)
