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
from corrstore.catalog.drawing.palette import Scale, field_scale
from corrstore.catalog.drawing.pictures import Frame, colour_bar
from corrstore.catalog.pages.templates import page_templates
from corrstore.catalog.printing import wording
from corrstore.datasets.grids.fields import FieldArray
from corrstore.datasets.storage.folder import write_file_atomically
from corrstore.datasets.store.opening import Store
from corrstore.datasets.variables.channels import Channel
from corrstore.training.evaluation.charts import Chart, charts
from corrstore.training.evaluation.evaluate import Evaluation
from corrstore.training.evaluation.predictions import ENSEMBLE, INTERPOLATION, MEAN, REGRESSION, ScoredSample
from corrstore.training.evaluation.scores import Score, fss
from corrstore.training.evaluation.tallies import Floats
from corrstore.training.forecasts.files import Forecast

MEASURES = ("mae", "rmse", "bias", "crps", "spread_skill", "spectral_distance")
"""The columns of the table of scores."""
_MEMBERS_SHOWN = 2
_LOWER_IS_BETTER = {"mae", "rmse", "crps", "spectral_distance"}


class PredictorScores(NamedTuple):
    """A predictor's scores of a channel, and the names of those in which no other predictor is better."""

    predictor: str
    scores: dict[str, Score]
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


def write_evaluation_report(evaluation: Evaluation, store: Store, forecast: Forecast, output: Path) -> None:
    """Write the page of an evaluation: one HTML file that needs no other. Raises BadInput where it cannot be written.

    Its maps are of the time at which the truth's rain, else its reflectivity, else its first channel varies most.
    """
    shown = most_varied(evaluation)
    position = int(np.flatnonzero(forecast.header.valid_times == evaluation.times[shown])[0])
    pages = list(channel_pages(evaluation, ScoredSample(store, forecast, position)))
    page = (
        _templates()
        .get_template("evaluation.html.j2")
        .render(
            evaluation=evaluation,
            header=forecast.header,
            recipe=store.recipe,
            fingerprint=store.fingerprint,
            synthetic="synthetic" in store.recipe.title.lower(),
            shown=evaluation.times[shown],
            frame=Frame.around(store.grid("target")),
            pages=pages,
            measures=MEASURES,
            widths_km=evaluation.domain.widths_km,
            box=(WIDTH, HEIGHT),
        )
    )
    write_file_atomically(output, page.encode())


def most_varied(evaluation: Evaluation) -> int:
    """Return the position, among the scored times, of the time that the maps show."""
    names = [channel.name for channel in evaluation.channels]
    name = next((each for each in ("tp", "refc") if each in names), names[0])
    return int(evaluation.tallies[name, REGRESSION].truth_spectrum.sum(axis=1).argmax())


def channel_pages(evaluation: Evaluation, sample: ScoredSample) -> Iterator[ChannelPage]:
    """Yield the content of the page for each channel."""
    maps = (4 + _MEMBERS_SHOWN) * len(evaluation.channels)
    for channel in evaluation.channels:
        thresholds = channel.variable.thresholds
        skilled = evaluation.predictors(channel) if thresholds else []
        yield ChannelPage(
            channel,
            score_rows(evaluation, channel),
            channel_maps(sample, channel, MOST_PICTURE_BYTES // maps),
            charts(evaluation, channel),
            thresholds,
            [Skill(each, fss(evaluation.tallies[channel.name, each].total)[0]) for each in skilled],
        )


def score_rows(evaluation: Evaluation, channel: Channel) -> list[PredictorScores]:
    """Return the rows of the table of scores of a channel."""
    predictors = evaluation.predictors(channel)
    found = {each: {name: evaluation.score(channel, each, name) for name in MEASURES} for each in predictors}
    lowest = {name: np.fmin.reduce([found[each][name].value for each in predictors]) for name in _LOWER_IS_BETTER}
    return [
        PredictorScores(each, found[each], {name for name, low in lowest.items() if found[each][name].value <= low})
        for each in predictors
    ]


def channel_maps(sample: ScoredSample, channel: Channel, most_bytes: int) -> list[Map]:
    """Return maps of the truth, the predictors and some members, all in the colours of the truth's range."""
    predictions = sample.predictions(channel)
    truth = sample.truth(channel)
    fields = {"truth": truth}
    fields |= {name: predictions[name][0] for name in (INTERPOLATION, REGRESSION, MEAN) if name in predictions}
    members = predictions.get(ENSEMBLE, ())
    fields |= {f"CorrDiff member {number}": field for number, field in enumerate(members[:_MEMBERS_SHOWN])}
    known = truth[~np.isnan(truth)]
    low, high = np.percentile(known, (0.2, 99.8)) if known.size else (0.0, 0.0)
    scale = field_scale(channel.variable, float(low), float(high))
    return [_map(sample.store, channel, name, field, scale, most_bytes) for name, field in fields.items()]


def _map(store: Store, channel: Channel, name: str, field: FieldArray, scale: Scale, most_bytes: int) -> Map:
    grid = store.grid("target")
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
