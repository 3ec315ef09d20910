"""Evaluation: what one sample gives, and how the samples come together."""

from __future__ import annotations

from collections import Counter
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
from corrstore.training.evaluation.predictors.comparison import Opened, compare
from corrstore.training.evaluation.predictors.fits import Fit, block_record, totals
from corrstore.training.evaluation.predictors.matching import CELLS, LEFT_OUT, Matched, beside, in_order, matched
from corrstore.training.evaluation.predictors.measured import channel_sums, sample_sums
from corrstore.training.evaluation.predictors.names import MAPPED
from corrstore.training.evaluation.predictors.sample import ScoredSample, channel_seed
from corrstore.training.evaluation.results import Evaluation
from corrstore.training.evaluation.scoring.cells import cell_errors
from corrstore.training.evaluation.scoring.tallies import NO_EDGES, Domain, Floats, Tally, tally
from corrstore.training.evaluation.scoring.winds import Northward
from corrstore.training.evaluation.sums import Key, SumsRecord

Place = tuple[str, str, str]
"""Region, channel and predictor."""


def evaluate(truth: str, forecast: str, **settings: Any) -> Evaluation:
    """Score a forecast in this process: `compare`, then each sample after the other."""
    agenda = make_agenda(compare(truth, forecast, **settings))
    opened, found = Opened(agenda.comparison), dict[str, list[SumsRecord]]()
    for block in agenda.blocks:
        samples = (sample_sums(opened, agenda.positions[index]) for index in block.indices)
        found.setdefault(block.group, []).append(block_record(block.name, samples))
    total = {group: totals(each.sums for each in records) for group, records in found.items()}
    places = zip(agenda.positions, agenda.keys, agenda.groups, strict=True)
    return collected(agenda, (score_sample(opened, position, key, total.get(group)) for position, key, group in places))


def score_sample(
    opened: Opened, position: int, key: str, total: Mapping[Key, Floats] | None, threads: int = 1
) -> SumsRecord:
    """Return the tallies of a sample, on the pixels that all predictors of a channel have: a function of the files.

    `total` are the sums of its group, None where nothing is fitted; the sample's own are taken out of them. A thread
    holds the predictions of a channel, and of the one that it is scored beside.
    """
    sample = ScoredSample(opened, position)
    domain = Domain.of_grid(opened.truth.grid)
    masks = {name: opened.mask(name) for name in opened.comparison.regions}
    together: dict[str, list[Channel]] = {}
    for channel in in_order(opened.channels):
        together.setdefault(beside(channel) or channel.name, []).append(channel)

    def scored(channels: list[Channel]) -> SumsRecord:
        found, other = SumsRecord(key, {}), None
        for channel in channels:
            fit = None if total is None else Fit(total, channel_sums(sample, channel))
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


def merged_records(
    every: Iterable[SumsRecord], samples: int
) -> tuple[dict[Place, Tally], dict[Key, Floats], set[Place]]:
    """Return the tallies of so many records, of the samples in this order, and the sums over them of all else.

    A tally that not all records have is left out, and told at last. Holds one record beside what it returns.
    """
    names = [field.name for field in fields(Tally)]
    arrays, there, summed = dict[Key, Floats](), Counter[Place](), dict[Key, Floats]()
    for place, record in enumerate(every):
        for key, values in record.sums.items():
            if key[3] not in names:
                summed[key] = summed[key] + values if key in summed else values
                continue
            if key not in arrays:
                arrays[key] = np.empty((samples, *values.shape[1:]))
            arrays[key][place] = values[0]
            there[key[:3]] += key[3] == names[0]
    whole = [of for of, count in there.items() if count == samples]
    return {of: Tally(*(arrays[(*of, name)] for name in names)) for of in whole}, summed, there.keys() - set(whole)


def collected(agenda: Agenda, every: Iterable[SumsRecord]) -> Evaluation:
    """Return the evaluation of the agenda's records, in its order; of the cells only the sums are kept in memory."""
    opened = Opened(agenda.comparison)
    tallies, summed, partial = merged_records(every, len(agenda.keys))
    header, notes = opened.forecast.header, [*agenda.notes]
    for region, channel, predictor in sorted(partial):
        if region == ALL:
            notes.append(f"{channel}: {predictor} is not scored, because not all samples have it.")
    cells, left_out = (
        {(channel, predictor): sums for (_, channel, predictor, name), sums in summed.items() if name == kind}
        for kind in (CELLS, LEFT_OUT)
    )
    return Evaluation(
        opened.channels,
        Domain.of_grid(opened.truth.grid),
        header.valid_times[agenda.positions],
        header.init_times[agenda.positions],
        agenda.incomplete,
        tallies,
        left_out,
        list(agenda.comparison.baselines),
        notes,
        agenda.marked,
        cells,
    )
