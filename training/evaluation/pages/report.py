"""The report of an evaluation: one self-contained page with the table of scores, maps side by side, and charts."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import jinja2
import numpy as np

from corrstore.catalog.drawing.charts import HEIGHT, WIDTH
from corrstore.catalog.drawing.figures import Map
from corrstore.catalog.drawing.pictures import Frame
from corrstore.catalog.pages.templates import page_templates
from corrstore.datasets.storage.folder import write_file_atomically
from corrstore.datasets.variables.channels import Channel
from corrstore.training.evaluation.agenda import Agenda
from corrstore.training.evaluation.pages.axes import Chart
from corrstore.training.evaluation.pages.charts import charts
from corrstore.training.evaluation.pages.maps import Case, case_maps, cases, mean_maps
from corrstore.training.evaluation.pages.outlines import SIDE, outlines
from corrstore.training.evaluation.pages.scorecard import best_predictor, cards, colour, verdict
from corrstore.training.evaluation.predictors.comparison import Opened
from corrstore.training.evaluation.predictors.matching import BELOW_GROUND
from corrstore.training.evaluation.results import Bias, Evaluation
from corrstore.training.evaluation.scoring.registry import BY_NAME, SHOWN
from corrstore.training.evaluation.scoring.scores import fss
from corrstore.training.evaluation.scoring.tallies import Floats
from corrstore.training.evaluation.uncertainty import LEAST_UNITS, Estimate
from corrstore.training.forecasts.files import Forecast

_MEMBERS_SHOWN = 2

_BIASES_SHOWN = 24


class PredictorScores(NamedTuple):
    """A predictor's scores of a channel, and the names of those in which no other predictor is better."""

    predictor: str
    scores: dict[str, Estimate]
    best: set[str]


class Skill(NamedTuple):
    """A predictor's fractions skill scores [threshold, width]."""

    predictor: str
    values: Floats


class ChannelPage(NamedTuple):
    """The content of the page for a channel."""

    channel: Channel
    rows: list[PredictorScores]
    cases: list[list[Map]]
    means: list[Map]
    charts: list[Chart]
    thresholds: tuple[float, ...]
    skills: list[Skill]


def write_evaluation_report(
    evaluation: Evaluation, agenda: Agenda, output: Path, drawn: Forecast | None = None
) -> None:
    """Write the page of an evaluation: one HTML file. Raises BadInput where it cannot be written."""
    opened = Opened(agenda.comparison, drawn)
    shown = cases(evaluation, agenda, opened)
    store, header, found = opened.truth.store, opened.forecast.header, cards(evaluation)
    frame = Frame.around(opened.truth.grid)
    titles = f"{store.recipe.name} {store.recipe.title} {header.title}".lower()
    page = (
        templates()
        .get_template("evaluation.html.j2")
        .render(
            evaluation=evaluation,
            header=header,
            recipe=store.recipe,
            fingerprint=store.fingerprint,
            synthetic="synthetic" in titles,
            shown=shown,
            frame=frame,
            outlines=outlines(opened, frame),
            outline_side=SIDE,
            pages=list(channel_pages(evaluation, shown)),
            cards=found,
            verdict=verdict(evaluation, found),
            left_out=left_out(evaluation),
            judged=best_predictor(evaluation),
            biased=sure_biases(evaluation),
            least_units=LEAST_UNITS,
            colour=colour,
            measures=SHOWN,
            widths_km=evaluation.domain.widths_km,
            box=(WIDTH, HEIGHT),
        )
    )
    write_file_atomically(output, page.encode())


def sure_biases(evaluation: Evaluation) -> list[Bias]:
    """Return the biases of the judged forecast that are significant, the surest first."""
    found = [each for each in evaluation.biases(best_predictor(evaluation)) if each.significant]
    return sorted(found, key=lambda each: -abs(each.value) / (each.high - each.low))[:_BIASES_SHOWN]


def left_out(evaluation: Evaluation) -> list[str]:
    """Return a sentence for each channel of which pixels are left out: a predictor lacks them, or below the ground."""
    found = []
    for (name, predictor), (count, pixels) in evaluation.left_out.items():
        if predictor == BELOW_GROUND and count:
            found.append(f"{name}: {count:,.0f} of {pixels:,.0f} pixels lie below the ground and are not scored.")
    for channel in evaluation.channels:
        count, pixels = evaluation.left_out[channel.name, ""]
        lacks = [
            f"{predictor} lacks {of[0]:,.0f}"
            for (name, predictor), of in evaluation.left_out.items()
            if name == channel.name and predictor not in ("", BELOW_GROUND) and of[0]
        ]
        if count:
            found.append(f"{channel.name}: {count:,.0f} of {pixels:,.0f} pixels are left out: {', '.join(lacks)}.")
    return found


def channel_pages(evaluation: Evaluation, shown: list[Case]) -> Iterator[ChannelPage]:
    """Yield the content of the page for each channel; the fields of one case are read after the other's."""
    maps = [[case_maps(case, channel, evaluation.baselines) for channel in evaluation.channels] for case in shown]
    for channel, of_channel in zip(evaluation.channels, zip(*maps, strict=True), strict=True):
        thresholds = channel.variable.thresholds
        skilled = evaluation.predictors(channel) if thresholds else []
        yield ChannelPage(
            channel,
            score_rows(evaluation, channel),
            list(of_channel),
            mean_maps(evaluation, channel),
            charts(evaluation, channel),
            thresholds,
            [Skill(each, fss(evaluation.tallies[channel.name, each].total)[0]) for each in skilled],
        )


def score_rows(evaluation: Evaluation, channel: Channel) -> list[PredictorScores]:
    """Return the rows of the table of scores of a channel."""
    predictors = evaluation.predictors(channel)
    found = {each: {name: evaluation.score(channel, each, name) for name in SHOWN} for each in predictors}
    lowest = {
        name: np.fmin.reduce([found[each][name].value for each in predictors])
        for name in SHOWN
        if BY_NAME[name].best == "lowest"
    }
    return [
        PredictorScores(each, found[each], {name for name, low in lowest.items() if found[each][name].value <= low})
        for each in predictors
    ]


def templates() -> jinja2.Environment:
    """Return the templates of the catalog's pages, and of these."""
    environment = page_templates()
    ours = jinja2.FunctionLoader(_template)
    environment.loader = jinja2.ChoiceLoader([ours, *([environment.loader] if environment.loader else [])])
    return environment


def _template(name: str) -> str | None:
    file = files("corrstore.training") / "templates" / name
    return file.read_text("utf-8") if file.is_file() else None
