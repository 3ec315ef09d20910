"""The command that scores forecasts: evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from corrstore.beam_pipelines.commands import beam_runner
from corrstore.datasets.commands import BEAM, AsJson, Workers, notices, print_json, stopped_by_signals
from corrstore.datasets.errors import BadInput

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
    baseline: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FOLDER", help="A store with targets, or a forecast, to compare with; may be repeated."
        ),
    ] = None,
    match: Annotated[
        str | None,
        typer.Option(
            metavar="available=6h",
            help="Take a baseline's newest run that started so long before the forecast's; by default the same run.",
        ),
    ] = None,
    regions: Annotated[
        Path | None, typer.Option(metavar="YAML", help="Regions by name: a box, or bounds of a static channel.")
    ] = None,
    persistence: Annotated[
        bool, typer.Option("--persistence", help="Compare with the truth at the run's start.")
    ] = False,
    climatology: Annotated[
        bool, typer.Option("--climatology", help="Compare with the truth's values in the train split.")
    ] = False,
    allow_training: Annotated[
        bool, typer.Option("--allow-training", help="Score times that the model was trained on, and mark the pages.")
    ] = False,
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
    from corrstore.datasets.storage.folder import Folder, absolute, write_file_atomically
    from corrstore.datasets.store.ledger import parquet_bytes
    from corrstore.training.evaluation.agenda import make_agenda
    from corrstore.training.evaluation.pages.report import left_out, write_evaluation_report
    from corrstore.training.evaluation.predictors.comparison import compare
    from corrstore.training.evaluation.predictors.regions import read_regions

    baselines = {}
    for each in baseline or []:
        name, equals, url = each.partition("=")
        if not (name and equals and url) or name in baselines:
            raise BadInput(f"--baseline {each!r}: write NAME=FOLDER, with another name for each")
        baselines[name] = absolute(url)
    comparison = compare(
        absolute(truth),
        absolute(forecast),
        baselines,
        match,
        read_regions(regions) if regions else {},
        persistence,
        climatology,
    )
    agenda = make_agenda(comparison, allow_training)
    found = run_evaluate(agenda, Folder(absolute(str(output))), beam_runner(context, workers), notices)
    for note in [*found.notes, *left_out(found), *([found.marked] if found.marked else [])]:
        notices.print(note, highlight=False, soft_wrap=True, markup=False)
    write_file_atomically(output / "scores.csv", found.csv.encode())
    write_file_atomically(output / "scores.parquet", parquet_bytes(found.table))
    write_evaluation_report(found, agenda, output / "report.html")
    if as_json:
        print_json([row._asdict() for row in found.grouped_rows])
    else:
        print_scores(found)
    notices.print(f"wrote {output / 'report.html'}, scores.csv and scores.parquet", highlight=False, soft_wrap=True)
