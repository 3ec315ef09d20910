"""The command line of corrstore: the commands of its packages, and how they end."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any

import typer
from typer.main import get_command

import corrstore.beam_pipelines.commands
import corrstore.beam_pipelines.evaluation.commands
import corrstore.catalog.commands
import corrstore.training.commands
import corrstore.training.sampling_commands
from corrstore import __version__
from corrstore.datasets.commands import error_console
from corrstore.datasets.errors import BadInput, CorrstoreError, system_error
from corrstore.datasets.storage.credentials import holds_credentials

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(corrstore.beam_pipelines.commands.app)
app.add_typer(corrstore.catalog.commands.app)
app.add_typer(corrstore.training.commands.app)
app.add_typer(corrstore.training.sampling_commands.app)
app.add_typer(corrstore.beam_pipelines.evaluation.commands.app)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"corrstore {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version, and end.")
    ] = False,
) -> None:
    """Build, check and describe training stores for kilometre-scale weather downscaling, and train models on them.

    Example: `corrstore build demo --output demo/store`, then `corrstore inspect demo/store`
    """


@app.command()
def schema() -> None:
    """Print the JSON Schema of a recipe.

    Example: `corrstore schema > recipe.schema.json`
    """
    from corrstore.datasets.recipe.recipe import recipe_schema

    print(recipe_schema())


@cache
def command() -> Callable[[], Any]:
    """Return the command with its groups and options, which takes a moment to make."""
    return get_command(app)


def _is_no_beam_import_notice(record: logging.LogRecord) -> bool:
    """Return False for Beam's warning of a BigQuery client, which nothing here uses."""
    return "bigquery client libraries are not available" not in record.getMessage()


def _end(error: CorrstoreError) -> None:
    error_console().print(f"corrstore: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
    sys.exit(error.exit_code)


def _refuse_credentials(words: list[str]) -> None:
    """Raise BadInput, without its value, for a URL that holds a password or a signature: messages and logs show it."""
    for position, word in enumerate(words, start=1):
        if holds_credentials(word):
            raise BadInput(
                f"word {position} of the command holds a URL with a user or a query, in which passwords and signatures"
                " stand; give it without them, and credentials by the environment"
            )


def main() -> None:
    """Run the command; an error that a user can act on is one message and an exit code, not a traceback."""
    logging.getLogger().addFilter(_is_no_beam_import_notice)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # torch's threads that spin while they wait starve the others
    try:
        _refuse_credentials(sys.argv[1:])
        command()()
    except CorrstoreError as error:
        _end(error)
    except (OSError, MemoryError) as error:
        _end(system_error(error))
    except Exception:
        console = error_console()
        console.print_exception()
        console.print("corrstore: this is an error of corrstore itself; please report it with the lines above")
        sys.exit(70)
