"""The charts of an evaluation: scores by lead and events."""

from __future__ import annotations

import numpy as np

from corrstore.catalog.drawing.pictures import Tick
from corrstore.catalog.printing.wording import short_number, units
from corrstore.datasets.variables.channels import Channel
from corrstore.training.evaluation.pages.axes import Axis, Chart, Line, path
from corrstore.training.evaluation.pages.distribution_charts import (
    quantile_chart,
    rank_chart,
    reliability_chart,
    transform_chart,
)
from corrstore.training.evaluation.pages.spectra_charts import flow_charts, spectra_chart
from corrstore.training.evaluation.predictors.names import MEMBER
from corrstore.training.evaluation.results import Evaluation
from corrstore.training.evaluation.scoring import scores


def charts(evaluation: Evaluation, channel: Channel) -> list[Chart]:
    """Return the charts of a channel: fewer without leads, thresholds or an ensemble, or with a small one."""
    every = (crps_by_lead, bias_by_lead, performance_chart, probability_chart, spectra_chart)
    of_values = (rank_chart, transform_chart, reliability_chart, quantile_chart)
    drawn = [each(evaluation, channel) for each in (*every, *of_values)]
    return [chart for chart in drawn if chart is not None] + flow_charts(evaluation, channel)


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
    room = 0.4 * (high - low) or 1.0
    bounds = np.array([[(each.low, each.high) for each in row] for row in found.values()])
    low, high = max(np.nanmin([low, *bounds.flat]), low - room), min(np.nanmax([high, *bounds.flat]), high + room)
    along, upright = Axis(0, len(leads) - 1), Axis(low * 1.05, high * 1.05 or 1.0)
    x = along.at(np.arange(len(leads)))
    lines = []
    for name, row in found.items():
        ends = [np.array([float(getattr(each, end)) for each in row]) for end in ("low", "high")]
        band = ""
        if np.isfinite(ends).all():
            band = path(np.append(x, x[::-1]), upright.at(np.append(ends[0], ends[1][::-1]))) + "Z"
        lines.append(Line(name, path(x, upright.at([float(each.value) for each in row])), band))
    step = -(-len(leads) // 6)
    ticks = [Tick(100 * float(at), lead) for at, lead in list(zip(x, leads, strict=True))[::step]]
    return Chart(title, units(channel.variable.units), lines, ticks, upright.round_ticks)


def performance_chart(evaluation: Evaluation, channel: Channel) -> Chart | None:
    """Return detection over success ratio, a line through the thresholds; None without thresholds."""
    if not channel.variable.thresholds:
        return None
    axis, lines = (
        Axis(0, 1),
        [Line("as many as observed", path(np.array([0.0, 1.0]), np.array([0.0, 1.0])), of="reliable")],
    )
    for name in evaluation.predictors(channel):
        total = evaluation.tallies[channel.name, name].total
        success, detected = 1 - scores.far(total)[0], scores.pod(total)[0]
        known = np.isfinite(success) & np.isfinite(detected)
        if known.any():
            x, y = (np.append(each[known], each[known][-1]) for each in (success, detected))
            lines.append(Line(name, path(x, y)))
    listed = ", ".join(short_number(each) for each in channel.variable.thresholds)
    about = (
        f"probability of detection by success ratio, at {listed} {units(channel.variable.units)}; better at top right"
    )
    return Chart("Performance", about, lines, axis.round_ticks, axis.round_ticks)


def probability_chart(evaluation: Evaluation, channel: Channel) -> Chart | None:
    """Return the frequency of the lowest event by its forecast probability, of ensembles; None without thresholds."""
    if not channel.variable.thresholds:
        return None
    axis, lines = Axis(0, 1), [Line("reliable", path(np.array([0.0, 1.0]), np.array([0.0, 1.0])))]
    for name in evaluation.predictors(channel):
        found = evaluation.tallies[channel.name, name]
        weight, probability, event = found.total.reliability[0, 0].T
        if found.members > 1 and (known := weight > 0).any():
            lines.append(Line(name, path(probability[known] / weight[known], event[known] / weight[known])))
    if len(lines) == 1:
        return None
    about = (
        f"of {short_number(channel.variable.thresholds[0])} {units(channel.variable.units)}: frequency by probability"
    )
    return Chart("Reliability of events", about, lines, axis.round_ticks, axis.round_ticks)
