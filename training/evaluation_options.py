"""The options of the commands that score a forecast: evaluate, and sample with --score."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from corrstore.datasets.errors import BadInput

if TYPE_CHECKING:
    from corrstore.training.evaluation.predictors.comparison import Comparison
    from corrstore.training.forecasts.files import Forecast

Baselines = Annotated[
    list[str] | None,
    typer.Option(
        "--baseline", metavar="NAME=FOLDER", help="A store with targets, or a forecast, to compare with; repeatable."
    ),
]
Match = Annotated[
    str | None,
    typer.Option(
        metavar="available=6h",
        help="Take a baseline's newest run that started so long before the forecast's; by default the same run.",
    ),
]
Regions = Annotated[
    Path | None, typer.Option(metavar="YAML", help="Regions by name: a box, or bounds of a static channel.")
]
Persistence = Annotated[bool, typer.Option("--persistence", help="Compare with the truth at the run's start.")]
Climatology = Annotated[bool, typer.Option("--climatology", help="Compare with the truth's values in the train split.")]
AllowTraining = Annotated[
    bool, typer.Option("--allow-training", help="Score times that the model was trained on, and mark the pages.")
]


def asked_comparison(
    truth: str,
    forecast: str,
    baseline: list[str] | None,
    match: str | None,
    regions: Path | None,
    persistence: bool,
    climatology: bool,
    drawn: Forecast | None = None,
) -> Comparison:
    """Return the comparison that the options ask for; raises BadInput as `compare` does, and for a wrong baseline."""
    from corrstore.datasets.storage.folder import absolute
    from corrstore.training.evaluation.predictors.comparison import compare
    from corrstore.training.evaluation.predictors.regions import read_regions

    named = read_regions(regions) if regions else {}
    baselines = _parsed_baselines(baseline)
    urls = absolute(truth), absolute(forecast)
    return compare(*urls, baselines, match, named, persistence, climatology, drawn)


def _parsed_baselines(words: list[str] | None) -> dict[str, str]:
    """Return the folders of baselines by name; raises BadInput for what is not NAME=FOLDER, and for a name twice."""
    from corrstore.datasets.storage.folder import absolute

    found: dict[str, str] = {}
    for word in words or []:
        name, _, url = word.partition("=")
        if not (name and url) or name in found:
            raise BadInput(f"--baseline {word!r}: write NAME=FOLDER, with another name for each")
        found[name] = absolute(url)
    return found
