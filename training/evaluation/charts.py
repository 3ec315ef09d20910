"""The charts of an evaluation: spectra, rank histograms and the reliability of the spread, as paths and ticks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator
from numpy.typing import ArrayLike, NDArray

from corrstore.catalog.drawing.charts import HEIGHT, WIDTH
from corrstore.catalog.drawing.pictures import Tick
from corrstore.catalog.printing.wording import power_of_ten, short_number, units
from corrstore.datasets.variables.channels import Channel
from corrstore.training.evaluation import scores
from corrstore.training.evaluation.evaluate import Evaluation
from corrstore.training.evaluation.predictions import ENSEMBLE

Numbers = NDArray[np.float64]
_WAVELENGTHS = np.array([5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000])
_DECADES_SHOWN = 4


class Line(NamedTuple):
    """A line of a chart: its name and its path."""

    name: str
    path: str

    @property
    def style(self) -> str:
        """The class of the line in a style sheet."""
        return self.name.lower().replace(" ", "-")


@dataclass(frozen=True)
class Chart:
    """Lines over an axis; `about` says what is on the axes."""

    title: str
    about: str
    lines: list[Line]
    x_ticks: list[Tick]
    y_ticks: list[Tick]


class _Axis(NamedTuple):
    """An axis from `low` to `high`, linear or logarithmic."""

    low: float
    high: float
    logarithmic: bool = False

    def at(self, numbers: ArrayLike) -> Numbers:
        """Return the positions of the numbers, 0 to 1; numbers beyond an end are at the end."""
        low, high, places = self.low, self.high, np.clip(np.asarray(numbers, float), self.low, self.high)
        if self.logarithmic:
            low, high, places = np.log(low), np.log(high), np.log(places)
        return np.asarray((places - low) / (high - low))

    def ticks(self, numbers: ArrayLike, text: Callable[[float], str] = short_number) -> list[Tick]:
        """Return ticks at the numbers that lie on the axis."""
        numbers = np.asarray(numbers, float)
        shown = numbers[(numbers >= self.low) & (numbers <= self.high)]
        return [Tick(100 * float(at), text(float(number))) for at, number in zip(self.at(shown), shown, strict=True)]

    @property
    def round_ticks(self) -> list[Tick]:
        """Ticks at a few round numbers."""
        return self.ticks(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(self.low, self.high))


def charts(evaluation: Evaluation, channel: Channel) -> list[Chart]:
    """Return the charts of a channel: fewer without an ensemble, or with a small one."""
    every = (spectra_chart, rank_chart, reliability_chart)
    return [chart for each in every if (chart := each(evaluation, channel)) is not None]


def spectra_chart(evaluation: Evaluation, channel: Channel) -> Chart | None:
    """Return variance by wavelength of the truth and of every predictor; None where no sample was whole."""
    waves = evaluation.domain.wavenumbers
    totals = {each: evaluation.tallies[channel.name, each].total for each in evaluation.predictors(channel)}
    first = next(iter(totals.values()))
    if not first.truth_spectrum.any():
        return None
    spectra = {"truth": first.truth_spectrum, **{name: total.spectrum for name, total in totals.items()}}
    densities = {name: (spectrum[0] / first.whole / waves.widths)[waves.resolved] for name, spectrum in spectra.items()}
    truth, centres = densities["truth"], waves.centres[waves.resolved]
    most = max(float(each.max()) for each in densities.values())
    along = _Axis(float(centres[0]), float(centres[-1]), logarithmic=True)
    upright = _Axis(max(float(truth.min()) / 10, most * 10.0 ** -(2 * _DECADES_SHOWN)), most * 2, logarithmic=True)
    decades = LogLocator(numticks=_DECADES_SHOWN + 2).tick_values(upright.low, upright.high)
    unit = units(channel.variable.units)
    return Chart(
        "Power spectra",
        f"({unit})² km, by wavelength in km",
        [Line(name, _path(along.at(centres), upright.at(each))) for name, each in densities.items()],
        along.ticks(1 / _WAVELENGTHS[::-1], lambda wavenumber: short_number(round(1 / wavenumber))),
        upright.ticks(decades, power_of_ten),
    )


def rank_chart(evaluation: Evaluation, channel: Channel) -> Chart | None:
    """Return the rank histogram of the truth, relative to a reliable ensemble; None without members."""
    found = evaluation.tallies.get((channel.name, ENSEMBLE))
    if found is None:
        return None
    relative = scores.rank_shares(found.total)[0] * (found.members + 1)
    along = _Axis(0, found.members + 1)
    upright = _Axis(0, max(2.0, float(relative.max()) * 1.05))
    edges = np.arange(found.members + 2).repeat(2)[1:-1]
    even = np.array([1.0, 1.0])
    return Chart(
        "Rank of the truth",
        "among the members; 1 is as often as of a reliable ensemble",
        [
            Line("reliable", _path(np.array([0.0, 1.0]), upright.at(even))),
            Line(ENSEMBLE, _path(along.at(edges), upright.at(relative.repeat(2)))),
        ],
        along.ticks(np.unique([0.5, found.members + 0.5]), lambda rank: "lowest" if rank < 1 else "highest"),
        upright.round_ticks,
    )


def reliability_chart(evaluation: Evaluation, channel: Channel) -> Chart | None:
    """Return the error by the ensemble's spread; None without an ensemble."""
    found = evaluation.tallies.get((channel.name, ENSEMBLE))
    if found is None or not np.isfinite(found.classes).all():
        return None
    spread, error = (each[0] for each in scores.spread_reliability(found.total))
    axis = _Axis(0, float(max(spread.max(), error.max())) * 1.05 or 1.0)
    ends = np.array([0.0, 1.0])
    return Chart(
        "Reliability of the spread",
        f"RMSE by spread, both in {units(channel.variable.units) or '1'}, of tenths of the pixels",
        [Line("reliable", _path(ends, ends)), Line(ENSEMBLE, _path(axis.at(spread), axis.at(error)))],
        axis.round_ticks,
        axis.round_ticks,
    )


def _path(x: Numbers, y: Numbers) -> str:
    """Return the path through points whose coordinates are 0 to 1, from the left and from the bottom."""
    points = zip(np.rint(x * WIDTH).astype(int), np.rint((1 - y) * HEIGHT).astype(int), strict=True)
    return "M" + "L".join(f"{across} {down}" for across, down in points)
