"""Evaluation: what one sample gives, and how the samples come together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corrstore.datasets.statistics.histograms import physical_edges
from corrstore.datasets.variables.channels import Channel
from corrstore.training.evaluation.agenda import Agenda, make_agenda
from corrstore.training.evaluation.groups import ALL
from corrstore.training.evaluation.predictors import fits
from corrstore.training.evaluation.predictors.comparison import Opened, compare
from corrstore.training.evaluation.predictors.fits import Fit, cell_sums, residual_sums, spectrum_sums, totals
from corrstore.training.evaluation.predictors.matching import CELLS, LEFT_OUT, Matched, beside, in_order, matched
from corrstore.training.evaluation.predictors.names import MAPPED
from corrstore.training.evaluation.predictors.sample import ScoredSample, channel_seed, normalised
from corrstore.training.evaluation.results import Evaluation
from corrstore.training.evaluation.scoring.cells import cell_errors
from corrstore.training.evaluation.scoring.tallies import NO_EDGES, Domain, Floats, Tally, merged, tally
from corrstore.training.evaluation.scoring.winds import Northward
from corrstore.training.evaluation.sums import SumsRecord


def evaluate(truth: str, forecast: str, **settings: Any) -> Evaluation:
    """Score a forecast in this process: `compare`, then each sample after the other."""
    agenda = make_agenda(compare(truth, forecast, **settings))
    opened, places = Opened(agenda.comparison), list(zip(agenda.positions, agenda.keys, strict=True))
    own = [fit_sample(opened, *place) for place in places]
    found = {
        group: totals(group, (mine for mine, theirs in zip(own, agenda.groups, strict=True) if theirs == group))
        for group in dict.fromkeys(agenda.groups)
    }
    return collected(
        agenda,
        [
            score_sample(opened, *place, Fit(found[group], mine))
            for place, group, mine in zip(places, agenda.groups, own, strict=True)
        ],
    )


def fit_sample(opened: Opened, position: int, key: str) -> SumsRecord:
    """Return what a sample tells about the predictors of others: a function of the files alone."""
    sample, found = ScoredSample(opened, position), {}
    grid, waves = opened.truth.grid, Domain.of_grid(opened.truth.grid).wavenumbers
    for channel in opened.channels:
        truth, constants = sample.truth(channel), opened.normalisation(channel)
        residual = normalised(constants, truth) - normalised(constants, sample.regression(channel))
        found["", channel.name, "", fits.RESIDUAL] = residual_sums(residual)
        found["", channel.name, "", fits.SPECTRUM] = spectrum_sums(residual, waves)
        interpolated = sample.interpolation(channel)
        if interpolated is not None and opened.input is not None:
            theirs = opened.input.grid
            rows, columns = (
                np.abs(points[:, None] - nodes).argmin(axis=1)
                for points, nodes in ((grid.lat, theirs.lat), (grid.lon, theirs.lon))
            )
            error = interpolated.astype(np.float64) - truth
            found["", channel.name, "", fits.INPUT_ERROR] = cell_sums(error, rows, columns, theirs.shape)
    return SumsRecord(key, found)


def score_sample(opened: Opened, position: int, key: str, fit: Fit | None, threads: int = 1) -> SumsRecord:
    """Return the tallies of a sample, on the pixels that all predictors of a channel have: a function of the files.

    A thread holds the predictions of a channel, and of the one that it is scored beside.
    """
    sample, fit = ScoredSample(opened, position), fit if opened.comparison.fitted else None
    domain = Domain.of_grid(opened.truth.grid)
    masks = {name: opened.mask(region) for name, region in opened.comparison.regions.items()}
    together: dict[str, list[Channel]] = {}
    for channel in in_order(opened.channels):
        together.setdefault(beside(channel) or channel.name, []).append(channel)

    def scored(channels: list[Channel]) -> SumsRecord:
        found, other = SumsRecord(key, {}), None
        for channel in channels:
            ours = matched(sample, channel, fit, found)
            for name, ensemble in ours.predictions.items():
                _score(found, sample, channel, name, ours, other, domain, masks)
                if name in (*MAPPED, *opened.baselines):
                    found.sums["", channel.name, name, CELLS] = cell_errors(ensemble, ours.truth, ours.scored)
            other = ours
        return found

    with ThreadPoolExecutor(threads) as pool:
        records = list(pool.map(scored, together.values()))
    return SumsRecord(key, {name: sums for each in records for name, sums in each.sums.items()})


def _score(
    found: SumsRecord,
    sample: ScoredSample,
    channel: Channel,
    predictor: str,
    ours: Matched,
    other: Matched | None,
    domain: Domain,
    masks: Mapping[str, NDArray[np.bool_]],
) -> None:
    """Add the tallies of a predictor in every region; `other` is the channel that this one is scored beside."""
    ceiling = northward = None
    if other is not None and predictor in other.predictions:
        if channel.name == "d2m":
            ceiling = other.predictions[predictor]
        else:
            northward = Northward(other.predictions[predictor], other.truth)
    for region, mask in {ALL: ours.scored, **{name: ours.scored & each for name, each in masks.items()}}.items():
        whole = region == ALL
        sums = tally(
            ours.predictions[predictor],
            np.where(mask, ours.truth, np.float32(np.nan)),
            domain,
            channel.variable.thresholds,
            (int(sample.valid_time.astype(np.int64)), channel_seed(channel)),
            channel.variable.valid_range,
            ceiling,
            physical_edges(channel.variable) if whole else NO_EDGES,
            northward,
            ours.truth if whole else None,
        )
        for sum_ in fields(Tally):
            found.sums[region, channel.name, predictor, sum_.name] = getattr(sums, sum_.name)


def merged_records(records: list[SumsRecord]) -> dict[tuple[str, str, str], Tally]:
    """Return the tallies that all records have, by region, channel and predictor, of the samples in this order."""
    first = next(field.name for field in fields(Tally))
    in_all = [key for key in records[0].sums if key[3] == first and all(key in each.sums for each in records)]
    return {
        key[:3]: merged(
            Tally(**{each.name: record.sums[(*key[:3], each.name)] for each in fields(Tally)}) for record in records
        )
        for key in in_all
    }


def collected(agenda: Agenda, every: Iterable[SumsRecord]) -> Evaluation:
    """Return the evaluation of the agenda's records, in its order; of the cells only the sums are kept in memory."""
    opened, records = Opened(agenda.comparison), []
    cells: dict[tuple[str, str], Floats] = {}
    for record in every:
        for key in [each for each in record.sums if each[3] == CELLS]:
            cells[key[1:3]] = cells.get(key[1:3], 0.0) + record.sums.pop(key)
        records.append(record)
    header = opened.forecast.header
    left_out: dict[tuple[str, str], Floats] = {
        key[1:3]: np.sum([record.sums[key] for record in records], axis=0)
        for key in records[0].sums
        if key[3] == LEFT_OUT
    }
    return Evaluation(
        opened.channels,
        Domain.of_grid(opened.truth.grid),
        header.valid_times[agenda.positions],
        header.init_times[agenda.positions],
        agenda.incomplete,
        merged_records(records),
        left_out,
        list(agenda.comparison.baselines),
        [*agenda.notes],
        agenda.marked,
        cells,
    )
