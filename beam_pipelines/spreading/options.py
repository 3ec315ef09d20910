"""Options of Beam on corrstore's command line: Beam passes over those that it does not know, corrstore refuses them."""

from __future__ import annotations

import io
import re
from argparse import ArgumentParser
from collections.abc import Iterable
from contextlib import redirect_stderr
from difflib import get_close_matches
from importlib import import_module

from apache_beam.options.pipeline_options import PipelineOptions

from corrstore.datasets.errors import BadInput


def refuse_unknown(options: tuple[str, ...], own_names: Iterable[str]) -> None:
    """Raise BadInput, with the nearest names, for an option that Beam does not know, and for a value it refuses.

    `own_names` are the names of the command's own options. The module of a `--runner` is imported first: its options
    become known with it.
    """
    for option in options:
        if option.startswith("--runner=") and "." in option:
            module = option.removeprefix("--runner=").rpartition(".")[0]
            try:
                import_module(module)
            except ImportError:
                raise BadInput(f"{option}: there is no module {module}") from None
    unknown: list[str] = []
    names = set(own_names)

    def look(parser: ArgumentParser) -> None:
        names.update(re.findall(r"--\w+", parser.format_usage()))
        unknown.extend(parser.parse_known_args(list(options))[1])

    said = io.StringIO()
    try:
        with redirect_stderr(said):
            PipelineOptions(list(options)).get_all_options(add_extra_args_fn=look)
    except SystemExit:
        reason = said.getvalue().rpartition("error: ")[2].strip()
        raise BadInput(f"Beam does not accept {' '.join(options)}: {reason}") from None
    if unknown:
        name = unknown[0].partition("=")[0]
        nearest = get_close_matches(name, sorted(names), cutoff=0.6)
        raise BadInput(
            f"unknown option {name}: neither corrstore nor Beam has it; "
            + (f"the nearest are {', '.join(nearest)}" if nearest else "see --help and docs/running.md")
        )
