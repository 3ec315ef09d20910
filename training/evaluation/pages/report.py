"""The report of an evaluation: one self-contained page with the table of scores, maps side by side, and charts."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import jinja2
import numpy as np

from corrstore.catalog.drawing.charts import HEIGHT, WIDTH
from corrstore.catalog.drawing.figures import MOST_PICTURE_BYTES, Map
from corrstore.catalog.drawing.palette import Scale, field_scale, residual_scale
from corrstore.catalog.drawing.pictures import Frame, colour_bar
from corrstore.catalog.pages.templates import page_templates
from corrstore.catalog.printing import wording
from corrstore.datasets.grids.fields import FieldArray
from corrstore.datasets.recipe.sample_axes import sample_label
from corrstore.datasets.storage.folder import write_file_atomically
from corrstore.datasets.variables.channels import Channel
from corrstore.training.evaluation.agenda import Agenda
from corrstore.training.evaluation.matching import BELOW_GROUND
from corrstore.training.evaluation.pages.charts import Chart, charts
from corrstore.training.evaluation.pages.scorecard import cards, colour, verdict
from corrstore.training.evaluation.predictors.comparison import Opened
from corrstore.training.evaluation.predictors.names import ENSEMBLE, INTERPOLATION, MEAN, REGRESSION
from corrstore.training.evaluation.predictors.sample import ScoredSample
from corrstore.training.evaluation.results import Evaluation
from corrstore.training.evaluation.scoring.registry import BY_NAME, SHOWN
from corrstore.training.evaluation.scoring.scores import fss
from corrstore.training.evaluation.scoring.tallies import Floats
from corrstore.training.evaluation.uncertainty import Estimate
from corrstore.training.forecasts.files import Forecast

_MEMBERS_SHOWN = 2


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
    maps: list[Map]
    charts: list[Chart]
    thresholds: tuple[float, ...]
    skills: list[Skill]


def write_evaluation_report(
    evaluation: Evaluation, agenda: Agenda, output: Path, drawn: Forecast | None = None
) -> None:
    """Write the page of an evaluation: one HTML file that needs no other. Raises BadInput where it cannot be written.

    Its maps are of the sample in which the truth's rain, else its reflectivity, else its first channel varies most.
    """
    opened, shown = Opened(agenda.comparison, drawn), most_varied(evaluation)
    store, header, found = opened.truth.store, opened.forecast.header, cards(evaluation)
    sample = ScoredSample(opened, agenda.positions[shown])
    titles = f"{store.recipe.name} {store.recipe.title} {header.title}".lower()
    page = (
        _templates()
        .get_template("evaluation.html.j2")
        .render(
            evaluation=evaluation,
            header=header,
            recipe=store.recipe,
            fingerprint=store.fingerprint,
            synthetic="synthetic" in titles,
            shown=sample_label(sample.valid_time, sample.init_time),
            frame=Frame.around(opened.truth.grid),
            pages=list(channel_pages(evaluation, sample)),
            cards=found,
            verdict=verdict(evaluation, found),
            left_out=left_out(evaluation),
            colour=colour,
            measures=SHOWN,
            widths_km=evaluation.domain.widths_km,
            box=(WIDTH, HEIGHT),
        )
    )
    write_file_atomically(output, page.encode())


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


def most_varied(evaluation: Evaluation) -> int:
    """Return the position, among the scored samples, of the one that the maps show."""
    names = [channel.name for channel in evaluation.channels]
    name = next((each for each in ("tp", "refc") if each in names), names[0])
    return int(evaluation.tallies[name, REGRESSION].truth_spectrum.sum(axis=1).argmax())


def channel_pages(evaluation: Evaluation, sample: ScoredSample) -> Iterator[ChannelPage]:
    """Yield the content of the page for each channel."""
    maps = 2 * (4 + len(evaluation.baselines) + _MEMBERS_SHOWN) * len(evaluation.channels)
    for channel in evaluation.channels:
        thresholds = channel.variable.thresholds
        skilled = evaluation.predictors(channel) if thresholds else []
        yield ChannelPage(
            channel,
            score_rows(evaluation, channel),
            channel_maps(sample, channel, evaluation.baselines, MOST_PICTURE_BYTES // maps),
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


def channel_maps(sample: ScoredSample, channel: Channel, baselines: list[str], most_bytes: int) -> list[Map]:
    """Return maps of the truth, predictors and members in the colours of the truth's range, then their differences."""
    predictions = sample.predictions(channel)
    truth = sample.truth(channel)
    names = (INTERPOLATION, *baselines, REGRESSION, MEAN)
    fields = {name: predictions[name][0] for name in names if name in predictions}
    members = predictions.get(ENSEMBLE, ())
    fields |= {f"CorrDiff member {number}": field for number, field in enumerate(members[:_MEMBERS_SHOWN])}
    known = truth[~np.isnan(truth)]
    low, high = np.percentile(known, (0.2, 99.8)) if known.size else (0.0, 0.0)
    scale = field_scale(channel.variable, float(low), float(high))
    differences = {f"{name} − truth": field - truth for name, field in fields.items()}
    every = np.abs(np.stack(list(differences.values())))
    largest = float(np.nanpercentile(every, 99.5)) if np.isfinite(every).any() else 1.0
    drawn = [
        _map(sample, channel, name, field, scale, most_bytes) for name, field in {"truth": truth, **fields}.items()
    ]
    of_differences = residual_scale(channel.variable, largest or 1.0)
    return drawn + [
        _map(sample, channel, name, field, of_differences, most_bytes) for name, field in differences.items()
    ]


def _map(sample: ScoredSample, channel: Channel, name: str, field: FieldArray, scale: Scale, most_bytes: int) -> Map:
    grid = sample.opened.truth.grid
    frame, known = Frame.around(grid), field[~np.isnan(field)]
    low, high = (float(known.min()), float(known.max())) if known.size else (np.nan, np.nan)
    span = f"{wording.number(low)} to {wording.number(high)}"
    return Map(
        name,
        span,
        frame.picture(field, grid, scale, most_bytes),
        colour_bar(scale, low, high, frame.characters),
        f"Map of {channel.variable.long_name} ({channel.name}), {name}: {span} {wording.units(channel.variable.units)}",
    )


def _templates() -> jinja2.Environment:
    """The templates of the catalog's pages, and this one's."""
    environment = page_templates()
    ours = jinja2.FunctionLoader(_template)
    environment.loader = jinja2.ChoiceLoader([ours, *([environment.loader] if environment.loader else [])])
    return environment


def _template(name: str) -> str | None:
    file = files("corrstore.training") / "templates" / name
    return file.read_text("utf-8") if file.is_file() else None
