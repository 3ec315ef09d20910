"""The command line of corrstore: the commands of its packages, and how they end."""

from __future__ import annotations

import sys
from pathlib import Path

import datasets

if not Path(str(datasets.__file__)).with_name("variables.py").exists():
    sys.exit(
        f"corrstore: the package `datasets` at {Path(str(datasets.__file__)).parent} is not corrstore's own;"
        " install corrstore into an environment of its own"
    )

import typer

import beam_pipelines.commands
import catalog.commands
import training.commands
import training.sampling_commands
from datasets.commands import notices
from datasets.errors import CorrstoreError
from datasets.recipe import recipe_schema

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Build, check and describe training stores for kilometre-scale weather downscaling.",
)
app.add_typer(beam_pipelines.commands.app)
app.add_typer(catalog.commands.app)
app.add_typer(training.commands.app)
app.add_typer(training.sampling_commands.app)


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


if __name__ == "__main__":
    main()
