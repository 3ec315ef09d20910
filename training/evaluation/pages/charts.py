"""The charts of an evaluation: scores by lead, events, spectra, ranks and reliability, as paths and ticks."""

from __future__ import annotations

import re
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
from corrstore.training.evaluation.predictors.names import CLIMATOLOGY, ENSEMBLE, MEAN, MEMBER, PERSISTENCE, PREDICTORS
from corrstore.training.evaluation.results import ALL, Evaluation
from corrstore.training.evaluation.scoring import scores

Numbers = NDArray[np.float64]
_WAVELENGTHS = np.array([5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000])
_DECADES_SHOWN = 4


class Line(NamedTuple):
    """A line of a chart: its name, its path and the path of the band around it."""

    name: str
    path: str
    band: str = ""

    @property
    def style(self) -> str:
        """The class of the line in a style sheet; baselines take turns at three."""
        known = (*PREDICTORS, "truth", "reliable", PERSISTENCE, CLIMATOLOGY)
        own = f"baseline{sum(self.name.encode()) % 3}" if self.name not in known else self.name
        return re.sub(r"[^a-z0-9]+", "-", own.lower()).strip("-")


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
    """Return the charts of a channel: fewer without leads, thresholds or an ensemble, or with a small one."""
    every = (crps_by_lead, bias_by_lead, performance_chart, probability_chart, spectra_chart, rank_chart)
    drawn = [each(evaluation, channel) for each in (*every, reliability_chart)]
    return [chart for chart in drawn if chart is not None]


def crps_by_lead(evaluation: Evaluation, channel: Channel) -> Chart | None:
    """Return the CRPS of every predictor by lead; None of fewer than two leads."""
    return _by_lead(evaluation, channel, "crps", "CRPS by lead")


def bias_by_lead(evaluation: Evaluation, channel: Channel) -> Chart | None:
    """Return the bias of every predictor by lead; None of fewer than two leads."""
    return _by_lead(evaluation, channel, "bias", "Bias by lead")


def _by_lead(evaluation: Evaluation, channel: Channel, score: str, title: str) -> Chart | None:
    leads = evaluation.leads
    if len(leads) < 2:
        return None
    kept = [each for each in evaluation.predictors(channel) if score == "crps" or each != MEMBER]
    found = {each: [evaluation.score(channel, each, score, lead) for lead in leads] for each in kept}
    values = np.array([[each.value for each in row] for row in found.values()])
    low, high = min(float(np.nanmin(values)), 0.0), max(float(np.nanmax(values)), 0.0)
    along, upright = _Axis(0, len(leads) - 1), _Axis(low * 1.15, high * 1.15 or 1.0)
    x = along.at(np.arange(len(leads)))
    lines = []
    for name, row in found.items():
        ends = [np.array([float(getattr(each, end)) for each in row]) for end in ("low", "high")]
        band = ""
        if np.isfinite(ends).all():
            band = _path(np.append(x, x[::-1]), upright.at(np.append(ends[0], ends[1][::-1]))) + "Z"
        lines.append(Line(name, _path(x, upright.at([float(each.value) for each in row])), band))
    step = -(-len(leads) // 6)
    ticks = [Tick(100 * float(at), lead) for at, lead in list(zip(x, leads, strict=True))[::step]]
    return Chart(title, units(channel.variable.units), lines, ticks, upright.round_ticks)


def performance_chart(evaluation: Evaluation, channel: Channel) -> Chart | None:
    """Return detection over success ratio, a line through the thresholds; None without thresholds."""
    if not channel.variable.thresholds:
        return None
    axis, lines = _Axis(0, 1), [Line("reliable", _path(np.array([0.0, 1.0]), np.array([0.0, 1.0])))]
    for name in evaluation.predictors(channel):
        total = evaluation.tallies[channel.name, name].total
        success, detected = 1 - scores.far(total)[0], scores.pod(total)[0]
        known = np.isfinite(success) & np.isfinite(detected)
        if known.any():
            x, y = (np.append(each[known], each[known][-1]) for each in (success, detected))
            lines.append(Line(name, _path(x, y)))
    listed = ", ".join(short_number(each) for each in channel.variable.thresholds)
    about = (
        f"probability of detection by success ratio, at {listed} {units(channel.variable.units)}; better at top right"
    )
    return Chart("Performance", about, lines, axis.round_ticks, axis.round_ticks)


def probability_chart(evaluation: Evaluation, channel: Channel) -> Chart | None:
    """Return the frequency of the lowest event by its forecast probability, of ensembles; None without thresholds."""
    if not channel.variable.thresholds:
        return None
    axis, lines = _Axis(0, 1), [Line("reliable", _path(np.array([0.0, 1.0]), np.array([0.0, 1.0])))]
    for name in evaluation.predictors(channel):
        found = evaluation.tallies[channel.name, name]
        weight, probability, event = found.total.reliability[0, 0].T
        if found.members > 1 and (known := weight > 0).any():
            lines.append(Line(name, _path(probability[known] / weight[known], event[known] / weight[known])))
    if len(lines) == 1:
        return None
    about = (
        f"of {short_number(channel.variable.thresholds[0])} {units(channel.variable.units)}: frequency by probability"
    )
    return Chart("Reliability of events", about, lines, axis.round_ticks, axis.round_ticks)


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
        [Line(name, _path(along.at(centres), upright.at(each))) for name, each in densities.items() if name != MEMBER],
        along.ticks(1 / _WAVELENGTHS[::-1], lambda wavenumber: short_number(round(1 / wavenumber))),
        upright.ticks(decades, power_of_ten),
    )


def rank_chart(evaluation: Evaluation, channel: Channel) -> Chart | None:
    """Return the rank histogram of the truth, relative to a reliable ensemble; None without members."""
    found = evaluation.tallies.get((channel.name, ENSEMBLE))
    if found is None:
        return None
    shown = [group for group in evaluation.groups if group.region == group.period == ALL]
    shown = [shown[0]] if len(shown) < 3 else [shown[1], shown[-1]]  # the first and the last lead
    shares = [
        scores.rank_shares(found.summed(group.samples[None].astype(float)))[0] * (found.members + 1) for group in shown
    ]
    along = _Axis(0, found.members + 1)
    upright = _Axis(0, max(2.0, float(np.max(shares)) * 1.05))
    edges = np.arange(found.members + 2).repeat(2)[1:-1]
    lines = [Line("reliable", _path(np.array([0.0, 1.0]), upright.at([1.0, 1.0])))]
    names = (ENSEMBLE, MEAN)  # the colours of the first and the last lead
    for name, share in zip(names, shares, strict=False):
        lines.append(Line(name, _path(along.at(edges), upright.at(share.repeat(2)))))
    told = "" if len(shown) == 1 else f"; at {shown[0].lead} and, in the colour of {MEAN}, at {shown[1].lead}"
    return Chart(
        "Rank of the truth",
        f"among the members; 1 is as often as of a reliable ensemble{told}",
        lines,
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
