"""The page of two evaluations: tables of what B loses or gains over A, by channel and lead or part of the period."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from corrstore.catalog.pages.templates import write_page
from corrstore.catalog.printing.wording import is_synthetic
from corrstore.training.evaluation.groups import ALL
from corrstore.training.evaluation.pages.report import templates
from corrstore.training.evaluation.pages.scorecard import colour
from corrstore.training.evaluation.pairs import Difference, Pair
from corrstore.training.evaluation.results import Gain
from corrstore.training.evaluation.scoring.registry import BY_NAME
from corrstore.training.evaluation.uncertainty import CAUTION, FEW


def write_pair_page(pair: Pair, output: Path) -> None:
    """Write the page of two evaluations: one HTML file that needs no other."""
    tables: dict[str, dict[str, dict[str, Difference]]] = {}
    for each in pair.differences:
        parts = each.period != ALL
        table = tables.setdefault(f"{each.region}{', by part of the period' if parts else ''}", {})
        table.setdefault(each.channel, {})[each.period if parts else each.lead] = each
    page = (
        templates()
        .get_template("pair.html.j2")
        .render(
            pair=pair,
            verdict=pair.verdict,
            title=BY_NAME[pair.score].title or pair.score,
            tables=tables,
            share=share,
            enough=FEW,
            caution=CAUTION,
            colour=lambda each: colour(_gain(each)),
            synthetic=is_synthetic(*(each.title for each in pair.descriptions)),
        )
    )
    write_page(output, page)


def share(each: Difference) -> float:
    """Return the difference as a share of A's score; NaN of a score that is 0."""
    return each.difference / abs(each.a) if each.a else np.nan


def _gain(each: Difference) -> Gain:
    """The difference as a gain of B over A, which has a colour."""
    return Gain(each.channel, each.lead, -share(each), np.nan, np.nan, each.effective, each.significant)
