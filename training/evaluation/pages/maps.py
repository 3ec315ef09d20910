"""The maps of an evaluation: cases side by side, and mean errors in cells."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from corrstore.catalog.drawing.figures import MOST_PICTURE_BYTES, Map
from corrstore.catalog.drawing.palette import Scale, field_scale, residual_scale
from corrstore.catalog.drawing.pictures import Frame, colour_bar
from corrstore.catalog.printing import wording
from corrstore.datasets.grids.fields import FieldArray
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.recipe.sample_axes import sample_label
from corrstore.datasets.variables.channels import Channel
from corrstore.training.evaluation.agenda import Agenda
from corrstore.training.evaluation.predictors.comparison import Opened
from corrstore.training.evaluation.predictors.names import ENSEMBLE, INTERPOLATION, MEAN, REGRESSION
from corrstore.training.evaluation.predictors.sample import ScoredSample
from corrstore.training.evaluation.records.drawing import DrawnForecast
from corrstore.training.evaluation.results import Evaluation
from corrstore.training.evaluation.scoring.cells import cell_maps
from corrstore.training.evaluation.scoring.tallies import Floats

MOST_CASES = 4
_MEMBERS_SHOWN = 2


class Case(NamedTuple):
    """A sample that is shown, its label, and the size that each of its maps may have."""

    sample: ScoredSample
    label: str
    most_bytes: int


def cases(evaluation: Evaluation, agenda: Agenda, opened: Opened) -> list[Case]:
    """Return the samples that are shown: the one that varies most of all, then of other leads or parts of the period.

    What varies is the truth's rain, else its reflectivity, else its first channel. Of a forecast that is not kept, the
    others are of those that are.
    """
    varied, forecast = _variance(evaluation), opened.forecast
    leads = evaluation.times - evaluation.inits if evaluation.leads else np.arange(len(evaluation.times))
    there = [
        not isinstance(forecast, DrawnForecast) or all(map(forecast.in_folder, forecast.parts_of(position)))
        for position in agenda.positions
    ]
    chosen = [int(varied.argmax())]
    for part in np.array_split(np.unique(leads), min(MOST_CASES, len(np.unique(leads)))):
        among = np.flatnonzero(np.isin(leads, part) & there)
        if among.size and not np.isin(leads[chosen], part).any():
            chosen.append(int(max(among, key=lambda each: varied[each])))
    maps = 2 * (4 + len(evaluation.baselines) + _MEMBERS_SHOWN) * len(evaluation.channels)
    found = []
    for place, each in enumerate(chosen):
        sample = ScoredSample(opened, agenda.positions[each])
        share = MOST_PICTURE_BYTES // maps // (max(len(chosen) - 1, 1) if place else 1)
        found.append(Case(sample, sample_label(sample.valid_time, sample.init_time), share))
    return found


def _variance(evaluation: Evaluation) -> Floats:
    names = [channel.name for channel in evaluation.channels]
    name = next((each for each in ("tp", "refc") if each in names), names[0])
    return evaluation.tallies[name, REGRESSION].truth_spectrum.sum(axis=1)


def case_maps(case: Case, channel: Channel, baselines: list[str]) -> list[Map]:
    """Return maps of the truth, predictors and members in the colours of the truth's range, then their differences."""
    sample, grid = case.sample, case.sample.opened.truth.grid
    predictions, truth = sample.predictions(channel, noise=False), sample.truth(channel)
    names = (INTERPOLATION, *baselines, REGRESSION, MEAN)
    fields = {name: predictions[name][0] for name in names if name in predictions}
    members = predictions.get(ENSEMBLE, ())
    fields |= {f"CorrDiff member {number}": field for number, field in enumerate(members[:_MEMBERS_SHOWN])}
    known = truth[~np.isnan(truth)]
    low, high = np.percentile(known, (0.2, 99.8)) if known.size else (0.0, 0.0)
    scale = field_scale(channel.variable, float(low), float(high))
    differences = {f"{name} − truth": field - truth for name, field in fields.items()}
    of_differences = _around_zero(channel, list(differences.values()))
    drawn = [
        _map(grid, channel, name, field, scale, case.most_bytes) for name, field in {"truth": truth, **fields}.items()
    ]
    return drawn + [
        _map(grid, channel, name, field, of_differences, case.most_bytes) for name, field in differences.items()
    ]


def mean_maps(evaluation: Evaluation, channel: Channel) -> list[Map]:
    """Return maps of the mean error of all samples in cells, and of the root mean squared error, by predictor."""
    found = {name: cell_maps(sums) for (of, name), sums in evaluation.cells.items() if of == channel.name}
    if not found:
        return []
    grid, shape = evaluation.domain.grid, next(iter(found.values()))[0].shape
    cells = RectilinearGrid(*(_middles(axis, size) for axis, size in zip((grid.lat, grid.lon), shape, strict=True)))
    biases, errors = ({name: each[place].astype(np.float32) for name, each in found.items()} for place in (0, 1))
    of_biases = _around_zero(channel, list(biases.values()))
    known = np.concatenate([each[~np.isnan(each)] for each in errors.values()])
    plain = channel.variable.model_copy(update={"palette": "plain"})
    of_errors = field_scale(plain, 0.0, float(np.percentile(known, 99.5)) if known.size else 1.0)
    most = MOST_PICTURE_BYTES // (2 * len(found) * len(evaluation.channels))
    frame = Frame.around(grid)
    return [
        _map(cells, channel, f"{title} of {name}", field, scale, most, frame)
        for title, fields, scale in (("mean error", biases, of_biases), ("RMSE", errors, of_errors))
        for name, field in fields.items()
    ]


def _middles(axis: Floats, cells: int) -> Floats:
    """The middles of the cells of an axis, as cells.py has them."""
    side = next(each for each in range(1, axis.size + 1) if -(-axis.size // each) == cells)
    return np.array([axis[start : start + side].mean() for start in range(0, axis.size, side)])


def _around_zero(channel: Channel, fields: list[FieldArray]) -> Scale:
    every = np.abs(np.stack(fields))
    largest = float(np.nanpercentile(every, 99.5)) if np.isfinite(every).any() else 1.0
    return residual_scale(channel.variable, largest or 1.0)


def _map(
    grid: RectilinearGrid,
    channel: Channel,
    name: str,
    field: FieldArray,
    scale: Scale,
    most_bytes: int,
    frame: Frame | None = None,
) -> Map:
    frame, known = frame or Frame.around(grid), field[~np.isnan(field)]
    low, high = (float(known.min()), float(known.max())) if known.size else (np.nan, np.nan)
    span = f"{wording.number(low)} to {wording.number(high)}"
    return Map(
        name,
        span,
        frame.picture(field, grid, scale, most_bytes),
        colour_bar(scale, low, high, frame.characters),
        f"Map of {channel.variable.long_name} ({channel.name}), {name}: {span} {wording.units(channel.variable.units)}",
    )
