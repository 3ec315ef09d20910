"""The charts of distributions: ranks, the probability integral transform, quantiles, and the spread."""

from __future__ import annotations

import numpy as np

from corrstore.catalog.printing.wording import short_number, units
from corrstore.datasets.statistics.histograms import physical_edges
from corrstore.datasets.variables.channels import Channel
from corrstore.training.evaluation.groups import ALL
from corrstore.training.evaluation.pages.axes import Axis, Chart, Line, path
from corrstore.training.evaluation.predictors.names import ENSEMBLE
from corrstore.training.evaluation.results import Evaluation
from corrstore.training.evaluation.scoring import scores
from corrstore.training.evaluation.scoring.distributions import LEVELS, PIT_BINS, quantiles

_LEADS_SHOWN = 5


def rank_chart(evaluation: Evaluation, channel: Channel) -> Chart | None:
    """Return the rank histograms of the truth by lead, relative to a reliable ensemble; None without members."""
    found = evaluation.tallies.get((channel.name, ENSEMBLE))
    if found is None:
        return None
    every = [group for group in evaluation.groups if group.region == group.period == ALL]
    leads = every[1:] or every
    shown = [leads[k] for k in np.unique(np.linspace(0, len(leads) - 1, _LEADS_SHOWN).astype(int))]
    shares = [
        scores.rank_shares(found.summed(group.samples[None].astype(float)))[0] * (found.members + 1) for group in shown
    ]
    along = Axis(0, found.members + 1)
    upright = Axis(0, max(2.0, float(np.max(shares)) * 1.05))
    edges = np.arange(found.members + 2).repeat(2)[1:-1]
    lines = [Line("reliable", path(np.array([0.0, 1.0]), upright.at([1.0, 1.0])))]
    for place, (group, share) in enumerate(zip(shown, shares, strict=True)):
        name = ENSEMBLE if group.lead == ALL else group.lead
        drawn = path(along.at(edges), upright.at(share.repeat(2)))
        lines.append(Line(name, drawn, of="" if group.lead == ALL else f"lead{place}"))
    return Chart(
        "Rank of the truth",
        f"among the members{'' if len(every) == 1 else ', by lead'}; 1 is as often as of a reliable ensemble",
        lines,
        along.ticks(np.unique([0.5, found.members + 0.5]), lambda rank: "lowest" if rank < 1 else "highest"),
        upright.round_ticks,
    )


def transform_chart(evaluation: Evaluation, channel: Channel) -> Chart | None:
    """Return the density of the probability integral transform of all ensembles; None without members."""
    every = {each: evaluation.tallies[channel.name, each] for each in evaluation.predictors(channel)}
    found = {name: scores.pit(tally.total)[0] for name, tally in every.items() if tally.members > 1}
    if ENSEMBLE not in found:
        return None
    along, upright = Axis(0, 1), Axis(0, max(2.0, max(float(each.max()) for each in found.values()) * 1.05))
    edges = np.arange(PIT_BINS + 1).repeat(2)[1:-1] / PIT_BINS
    lines = [Line("reliable", path(np.array([0.0, 1.0]), upright.at([1.0, 1.0])))]
    lines += [Line(name, path(along.at(edges), upright.at(each.repeat(2)))) for name, each in found.items()]
    about = "density by the share of the ensemble below the truth; ties are spread evenly; 1 is reliable"
    return Chart("Probability integral transform", about, lines, along.round_ticks, upright.round_ticks)


def quantile_chart(evaluation: Evaluation, channel: Channel) -> Chart | None:
    """Return the quantiles of all pixels of each predictor over the truth's (Q-Q)."""
    edges = physical_edges(channel.variable)
    totals = {each: evaluation.tallies[channel.name, each].total for each in evaluation.predictors(channel)}
    truth = quantiles(next(iter(totals.values())).truth_distribution, edges)[0]
    found = {name: quantiles(each.distribution, edges)[0] for name, each in totals.items()}
    every = np.array([truth, *found.values()])
    if not np.isfinite(every).all() or np.ptp(every) == 0:
        return None
    axis = Axis(float(every.min()), float(every.max()))
    ends = np.array([0.0, 1.0])
    return Chart(
        "Quantiles",
        f"of all pixels over the truth's, {short_number(LEVELS[0])} to {short_number(LEVELS[-1])}, in"
        f" {units(channel.variable.units) or '1'}; steeper than the diagonal is more extreme",
        [
            Line("as the truth", path(ends, ends), of="reliable"),
            *(Line(name, path(axis.at(truth), axis.at(each))) for name, each in found.items()),
        ],
        axis.round_ticks,
        axis.round_ticks,
    )


def reliability_chart(evaluation: Evaluation, channel: Channel) -> Chart | None:
    """Return the error by the ensemble's spread; None without an ensemble."""
    found = evaluation.tallies.get((channel.name, ENSEMBLE))
    if found is None or not np.isfinite(found.classes).all():
        return None
    spread, error = (each[0] for each in scores.spread_reliability(found.total))
    axis = Axis(0, float(max(spread.max(), error.max())) * 1.05 or 1.0)
    ends = np.array([0.0, 1.0])
    return Chart(
        "Reliability of the spread",
        f"RMSE by spread, both in {units(channel.variable.units) or '1'}, of tenths of the pixels",
        [Line("reliable", path(ends, ends)), Line(ENSEMBLE, path(axis.at(spread), axis.at(error)))],
        axis.round_ticks,
        axis.round_ticks,
    )
