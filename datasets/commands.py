"""The parts that all commands share: consoles, JSON, and the arguments that several take."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from corrstore.datasets.errors import DataFallShort

notices = Console(stderr=True)
results = Console()

ERROR_FILE = "CORRSTORE_ERROR_FILE"
"""Environment variable of the file that takes the error which ends a command, in place of the terminal."""

BEAM = {"allow_extra_args": True, "ignore_unknown_options": True}
"""Settings of a command that passes what it does not know to Beam."""

RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="A shipped recipe's name, or a YAML file.")]
StorePath = Annotated[str, typer.Argument(metavar="STORE", help="The store's folder, or gs://bucket/path.")]
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
    """Print JSON for a script."""
    print(json.dumps(content, indent=2, default=_plain))


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)  # a NumPy number


def fall_short(share: float, allowed: float, lacking: int, samples: int) -> None:
    """Raise DataFallShort where a larger share of the samples lacks something than the recipe allows."""
    if share > allowed:
        raise DataFallShort(
            f"the data falls short: {lacking} of {samples} samples ({share:.1%}) are not valid, and the recipe's"
            f" max_missing_share allows {allowed:.1%}"
        )
