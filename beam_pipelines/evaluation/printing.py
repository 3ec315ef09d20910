"""The result of an evaluation, and of two, on a terminal."""

from __future__ import annotations

import numpy as np
from rich import box
from rich.table import Table

from corrstore.catalog.printing.wording import NONE, number, units
from corrstore.datasets.commands import results
from corrstore.training.evaluation.groups import ALL, SEASONS
from corrstore.training.evaluation.pages.scorecard import cards, verdict
from corrstore.training.evaluation.pairs import Pair
from corrstore.training.evaluation.results import Evaluation
from corrstore.training.evaluation.scoring.registry import SHOWN


def print_scores(evaluation: Evaluation) -> None:
    """Print the verdict in words, and the scores over all samples."""
    found = cards(evaluation)
    for sentence in verdict(evaluation, found):
        results.print(sentence, highlight=False, markup=False)
    table = Table(
        "", *(title.replace(" ", "\n") for title in SHOWN.values()), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    for channel in evaluation.channels:
        table.add_row(f"[bold]{channel.name}[/bold] {units(channel.variable.units)}")
        for predictor in evaluation.predictors(channel):
            scores = (evaluation.score(channel, predictor, name) for name in SHOWN)
            table.add_row(predictor, *(number(float(each.value), 3) for each in scores))
    results.print(table)


def print_pair(pair: Pair) -> None:
    """Print two evaluations in words, and their differences by lead and by season; a dot marks what is significant."""
    for sentence in pair.verdict:
        results.print(sentence, highlight=False, markup=False)
    titles = ["channel", "lead", "season", "region", "A", "B"]
    titles += ["B worse\nby", "95 %\ninterval", "", "effective\nsamples"]
    table = Table(*titles, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for each in (each for each in pair.differences if each.period in (ALL, *SEASONS)):
        interval = NONE if np.isnan(each.low) else f"{number(each.low, 2)} to {number(each.high, 2)}"
        table.add_row(
            *(f"{each.channel} {units(each.units)}", each.lead, each.period, each.region),
            *(number(each.a, 3), number(each.b, 3)),
            *(number(each.difference, 2), interval, "●" if each.significant else ""),
            number(each.effective, 2),
        )
    results.print(table)
