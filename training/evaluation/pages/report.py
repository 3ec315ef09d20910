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
from corrstore.catalog.pages.templates import page_templates, write_page
from corrstore.catalog.printing.wording import is_synthetic
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
from corrstore.training.evaluation.uncertainty import CAUTION, FEW, LEAST_UNITS, Estimate, significant
from corrstore.training.forecasts.files import Forecast

_BIASES_SHOWN = 24


class PredictorScores(NamedTuple):
    """A predictor's scores of a channel, and the names of those in which it is significantly the lowest."""

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
    page = (
        templates()
        .get_template("evaluation.html.j2")
        .render(
            evaluation=evaluation,
            header=header,
            evaluation_of=agenda.comparison,
            recipe=store.recipe,
            fingerprint=store.fingerprint,
            synthetic=is_synthetic(store.recipe.name, store.recipe.title, header.title),
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
            enough=FEW,
            caution=CAUTION,
            colour=colour,
            measures=SHOWN,
            widths_km=evaluation.domain.widths_km,
            box=(WIDTH, HEIGHT),
        )
    )
    write_page(output, page)


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
    best = lowest_predictors(evaluation)
    maps = [[case_maps(case, channel, evaluation.baselines) for channel in evaluation.channels] for case in shown]
    for channel, of_channel in zip(evaluation.channels, zip(*maps, strict=True), strict=True):
        thresholds = channel.variable.thresholds
        skilled = evaluation.predictors(channel) if thresholds else []
        yield ChannelPage(
            channel,
            score_rows(evaluation, channel, best),
            list(of_channel),
            mean_maps(evaluation, channel),
            charts(evaluation, channel),
            thresholds,
            [Skill(each, fss(evaluation.tallies[channel.name, each].total)[0]) for each in skilled],
        )


def score_rows(
    evaluation: Evaluation, channel: Channel, best: dict[tuple[str, str], set[str]]
) -> list[PredictorScores]:
    """Return the rows of the table of scores of a channel."""
    return [
        PredictorScores(
            predictor,
            {name: evaluation.score(channel, predictor, name) for name in SHOWN},
            {name for name in SHOWN if predictor in best.get((channel.name, name), ())},
        )
        for predictor in evaluation.predictors(channel)
    ]


def lowest_predictors(evaluation: Evaluation) -> dict[tuple[str, str], set[str]]:
    """Return, by channel and shown score that is best when low, the predictors of the lowest where that is sure.

    Sure is what is significantly lower than the next one's, on paired units, at a false discovery rate of 5 % among all
    channels and scores. What has the same score, as a mean has of its ensemble, shares its place.
    """
    found, p = dict[tuple[str, str], set[str]](), []
    for channel in evaluation.channels:
        for name in (name for name in SHOWN if BY_NAME[name].best == "lowest"):
            every = {
                each: float(evaluation.score(channel, each, name).value) for each in evaluation.predictors(channel)
            }
            known = {each: value for each, value in every.items() if np.isfinite(value)}
            lowest = min(known, key=lambda each: known[each], default="")
            rivals = {each: value for each, value in known.items() if not np.isclose(value, known[lowest], 1e-5, 0)}
            if rivals:
                keys = [(channel.name, each) for each in (lowest, min(rivals, key=lambda each: rivals[each]))]
                p.append(float(evaluation.gain(evaluation.groups[0], keys, name).p))
                found[channel.name, name] = known.keys() - rivals.keys()
    return {key: names for (key, names), sure in zip(found.items(), significant(np.array(p)), strict=True) if sure}


def templates() -> jinja2.Environment:
    """Return the templates of the catalog's pages, and of these."""
    environment = page_templates()
    ours = jinja2.FunctionLoader(_template)
    environment.loader = jinja2.ChoiceLoader([ours, *([environment.loader] if environment.loader else [])])
    return environment


def _template(name: str) -> str | None:
    file = files("corrstore.training") / "templates" / name
    return file.read_text("utf-8") if file.is_file() else None
