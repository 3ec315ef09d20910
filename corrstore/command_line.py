"""The command line of corrstore: the commands of its packages, and how they end."""

from __future__ import annotations

import sys

import typer

import corrstore.beam_pipelines.commands
import corrstore.catalog.commands
import corrstore.training.commands
import corrstore.training.sampling_commands
from corrstore.datasets.commands import notices
from corrstore.datasets.errors import CorrstoreError
from corrstore.datasets.recipe.recipe import recipe_schema

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Build, check and describe training stores for kilometre-scale weather downscaling.",
)
app.add_typer(corrstore.beam_pipelines.commands.app)
app.add_typer(corrstore.catalog.commands.app)
app.add_typer(corrstore.training.commands.app)
app.add_typer(corrstore.training.sampling_commands.app)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a recipe.

    Example: `corrstore schema > recipe.schema.json`
    """
    print(recipe_schema())


def main() -> None:
    """Run the command; an error that a user can act on is one message and an exit code, not a traceback."""
    try:
        app()
    except CorrstoreError as error:
        notices.print(f"corrstore: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except Exception:
        notices.print_exception()
        notices.print("corrstore: this is an error of corrstore itself; please report it with the lines above")
        sys.exit(70)
