"""The commands that score forecasts: evaluate, and compare for two evaluations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from corrstore.beam_pipelines.commands import beam_runner
from corrstore.datasets.commands import BEAM, AsJson, Workers, notices, print_json, stopped_by_signals
from corrstore.training.evaluation_options import (
    AllowTraining,
    Baselines,
    Climatology,
    Match,
    Persistence,
    Regions,
    asked_comparison,
)

app = typer.Typer()


@app.command(context_settings=BEAM)
@stopped_by_signals()
def evaluate(
    context: typer.Context,
    truth: Annotated[str, typer.Option(metavar="STORE", help="A store of valid times; it is not copied.")],
    forecast: Annotated[str, typer.Option(metavar="FORECAST", help="The forecast that `corrstore sample` wrote.")],
    output: Annotated[
        Path, typer.Option(metavar="FOLDER", help="The folder of report.html, scores.csv and scores.parquet.")
    ],
    baseline: Baselines = None,
    match: Match = None,
    regions: Regions = None,
    persistence: Persistence = False,
    climatology: Climatology = False,
    allow_training: AllowTraining = False,
    block_days: Annotated[
        float | None,
        typer.Option(
            min=0.01, max=36525, metavar="DAYS", help="Resample blocks of so many days; by default as each score needs."
        ),
    ] = None,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Score a forecast against the truth by lead time, beside its parts, noise and baselines, and write a report.

    All predictors are scored on the same samples and pixels. Started again it goes on where it stopped. Beam's options
    pass through.

    Example: `corrstore evaluate --truth demo/store --forecast demo/forecast --output demo/evaluation`

    Example: `corrstore evaluate --truth demo/store --forecast demo/downscaled --baseline cma_meso=demo/cma_meso
    --output demo/verdict`
    """
    from corrstore.beam_pipelines.evaluation.evaluate import evaluate as run_evaluate
    from corrstore.beam_pipelines.evaluation.printing import print_scores
    from corrstore.datasets.storage.folder import Folder, absolute
    from corrstore.datasets.storage.ownership import one_writer
    from corrstore.training.evaluation.agenda import make_agenda
    from corrstore.training.evaluation.pages.files import write_evaluation
    from corrstore.training.evaluation.records.records import refuse_other_content

    folder = Folder(absolute(str(output)))
    refuse_other_content(folder)
    comparison = asked_comparison(truth, forecast, baseline, match, regions, persistence, climatology)
    agenda = make_agenda(comparison, allow_training)
    with one_writer(folder, "", "evaluates"):
        found = replace(run_evaluate(agenda, folder, beam_runner(context, workers), notices), block_days=block_days)
        write_evaluation(found, agenda, output)
    if as_json:
        print_json([row._asdict() for row in found.grouped_rows])
    else:
        print_scores(found)


@app.command(name="compare")
def compare_evaluations(
    scores_a: Annotated[str, typer.Argument(metavar="SCORES_A", help="The folder of an evaluation.")],
    scores_b: Annotated[str, typer.Argument(metavar="SCORES_B", help="That of another one.")],
    score: Annotated[str, typer.Option(metavar="NAME", help="The score, as in scores.csv.")] = "crps",
    predictor: Annotated[
        str | None, typer.Option(metavar="NAME", help="The predictor; by default the ensemble, else the regression.")
    ] = None,
    output: Annotated[Path | None, typer.Option(metavar="HTML", help="Write the comparison as a page.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare two evaluations on the samples that both have: a retrained model, another season, region or seed.

    For each channel and lead it prints by how much B is worse than A, the 95 % interval of that, and whether it is
    significant among all of them.

    Example: `corrstore compare scores_before scores_after --output compared.html`
    """
    from corrstore.beam_pipelines.evaluation.printing import print_pair
    from corrstore.catalog.pages.templates import refuse_other_file
    from corrstore.datasets.storage.folder import absolute
    from corrstore.training.evaluation.pages.pair import write_pair_page
    from corrstore.training.evaluation.pairs import paired

    if output is not None:
        refuse_other_file(output)
    pair = paired(absolute(scores_a), absolute(scores_b), predictor, score)
    if as_json:
        print_json([each._asdict() for each in pair.differences])
    else:
        print_pair(pair)
    if output is not None:
        write_pair_page(pair, output)
        notices.print(f"wrote {output}", highlight=False, soft_wrap=True)
