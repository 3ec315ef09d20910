"""Evaluation: which samples are scored, what one sample gives, and how the samples come together."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from corrstore.datasets.errors import BadInput, CorrstoreError
from corrstore.datasets.recipe.periods import Interval, format_time, parse_duration
from corrstore.datasets.recipe.sample_axes import sample_key
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.opening import Store, open_store
from corrstore.training.evaluation import fits
from corrstore.training.evaluation.fits import Fit, cell_sums, residual_sums, spectrum_sums, totals
from corrstore.training.evaluation.predictions import (
    PREDICTORS,
    WHITE,
    Comparison,
    ForecastSource,
    Opened,
    Region,
    ScoredSample,
    normalised,
)
from corrstore.training.evaluation.results import ALL, Evaluation
from corrstore.training.evaluation.sums import SumsRecord
from corrstore.training.evaluation.tallies import Domain, Floats, Tally, merged, tally
from corrstore.training.forecasts.header import Part

LEFT_OUT = "left_out"
_FEW_OTHERS = 10


@dataclass(frozen=True)
class Agenda:
    """The samples to score, positions in the forecast, each with its key and the group that its fit is of.

    `incomplete` counts the samples that are not scored; `notes` say in words what a reader must know; `marked` is what
    every page says where the truth was trained on.
    """

    comparison: Comparison
    positions: list[int]
    keys: list[str]
    groups: list[str]
    incomplete: int
    notes: list[str]
    marked: str = ""

    @property
    def digest(self) -> str:
        """A digest of all that the records depend on."""
        opened = Opened(self.comparison)
        sources = [opened.truth, opened.input, *opened.baselines.values()]
        made_of = [
            each.forecast.header.content if isinstance(each, ForecastSource) else each.store.attributes["ledger_digest"]
            for each in sources
            if each is not None
        ]
        content = [repr(self.comparison), self.keys, opened.forecast.header.content, made_of]
        return hashlib.sha256(json.dumps(content, default=str, sort_keys=True).encode()).hexdigest()[:16]


def make_agenda(comparison: Comparison, allow_training: bool = False) -> Agenda:
    """Return what is to be scored: complete samples with a valid truth, which all baselines have.

    Raises BadInput where grids differ, no channel is shared, no sample is left, or the truth was trained on.
    """
    opened = Opened(comparison)
    header, notes = opened.forecast.header, []
    _check(opened)
    parts: dict[int, list[Part]] = {}
    for part in header.parts:
        parts.setdefault(part.time, []).append(part)
    complete = [t for t, whole in parts.items() if all(map(opened.forecast.has, whole))]
    lacking: Counter[str] = Counter()
    chosen = []
    for each in complete:
        lacks = ScoredSample(opened, each).lacking
        lacking.update(lacks)
        if not lacks:
            chosen.append(each)
    if complete and not chosen and lacking.most_common(1)[0][0] in comparison.baselines:
        raise BadInput(f"no sample of {comparison.forecast} is in every baseline; they lack {dict(lacking)}")
    if not chosen:
        raise BadInput(
            f"{comparison.forecast}: none of its {len(header.times)} times is complete and has a valid sample in"
            f" {comparison.truth}; let `corrstore sample` finish, or give the store that it is to be compared with"
        )
    if unfinished := len(header.times) - len(complete):
        notes.append(f"{unfinished} of {len(header.times)} samples of the forecast are not complete, and are left out.")
    notes += [f"{count} samples are left out because {name} lacks them." for name, count in lacking.items()]
    if comparison.input is None:
        notes.append("The input store of the forecast is not there: interpolation is not scored.")
    inits, valid = header.init_times[chosen], header.valid_times[chosen]
    leads = [str(each) for each in valid - inits]
    others = min(Counter(leads).values()) - 1
    kind = "runs at its lead" if header.inits else "times"
    if others < _FEW_OTHERS:
        notes.append(
            f"Mean errors and residuals of a sample are measured on {others} or more other {kind}:"
            f" {'nothing is fitted' if others < 1 else 'too few to trust'}."
        )
    scales, trained_on = _checkpoint(opened, notes)
    marked = _refuse_trained(trained_on, valid, allow_training, comparison)
    keys = [sample_key(*each) for each in zip(valid, inits, strict=True)]
    comparison = replace(comparison, scales=scales, fitted=others >= 1)
    return Agenda(comparison, chosen, keys, leads, len(header.times) - len(chosen), notes, marked)


def fit_sample(comparison: Comparison, position: int, key: str) -> SumsRecord:
    """Return what a sample tells about the predictors of others: a function of the files alone."""
    opened = Opened(comparison)
    sample, found = ScoredSample(opened, position), {}
    grid, waves = opened.truth.grid, Domain.of_grid(opened.truth.grid).wavenumbers
    for channel in opened.channels:
        truth, constants = sample.truth(channel), opened.normalisation(channel)
        residual = normalised(constants, truth) - normalised(constants, sample.regression(channel))
        found["", channel.name, "", fits.RESIDUAL] = residual_sums(residual)
        found["", channel.name, "", fits.SPECTRUM] = spectrum_sums(residual, waves)
        coarse = sample.predictions(channel).get(PREDICTORS[0])
        if coarse is not None and opened.input is not None:
            theirs = opened.input.grid
            rows, columns = (
                np.abs(points[:, None] - nodes).argmin(axis=1)
                for points, nodes in ((grid.lat, theirs.lat), (grid.lon, theirs.lon))
            )
            error = coarse[0].astype(np.float64) - truth
            found["", channel.name, "", fits.INPUT_ERROR] = cell_sums(error, rows, columns, theirs.shape)
    return SumsRecord(key, found)


def score_sample(comparison: Comparison, position: int, key: str, fit: Fit | None) -> SumsRecord:
    """Return the tallies of a sample, on the pixels that all predictors of a channel have: a function of the files."""
    opened = Opened(comparison)
    sample, domain, found = ScoredSample(opened, position), Domain.of_grid(opened.truth.grid), {}
    masks = {ALL: None, **{name: opened.mask(region) for name, region in comparison.regions.items()}}
    seconds = int(sample.valid_time.astype(np.int64))
    temperature: dict[str, Any] = {}
    for position_of, channel in enumerate(sorted(opened.channels, key=lambda each: each.name == "d2m")):
        truth, predictions = sample.truth(channel), sample.predictions(channel, fit if comparison.fitted else None)
        present = ~np.isnan(truth)
        known = {name: ~np.isnan(each).any(axis=0) for name, each in predictions.items()}
        for name, each in known.items():
            found["", channel.name, name, LEFT_OUT] = np.array([np.count_nonzero(present & ~each), present.sum()])
        matched = np.logical_and.reduce([present, *known.values()])
        found["", channel.name, "", LEFT_OUT] = np.array([np.count_nonzero(present & ~matched), present.sum()])
        for region, mask in masks.items():
            scored = np.where(matched if mask is None else matched & mask, truth, np.float32(np.nan))
            for name, ensemble in predictions.items():
                sums = tally(
                    ensemble,
                    scored,
                    domain,
                    channel.variable.thresholds,
                    (seconds, position_of),
                    channel.variable.valid_range,
                    temperature.get(name) if channel.name == "d2m" else None,
                )
                for sum_ in fields(Tally):
                    found[region, channel.name, name, sum_.name] = getattr(sums, sum_.name)
        if channel.name == "t2m":
            temperature = predictions
    return SumsRecord(key, found)


def collected(agenda: Agenda, records: list[SumsRecord]) -> Evaluation:
    """Return the evaluation of the agenda's records, in its order."""
    opened = Opened(agenda.comparison)
    header = opened.forecast.header
    first = next(field.name for field in fields(Tally))
    in_all = [key for key in records[0].sums if key[3] == first and all(key in each.sums for each in records)]
    found: dict[tuple[str, str, str], Tally] = {
        key[:3]: merged(
            Tally(**{each.name: record.sums[(*key[:3], each.name)] for each in fields(Tally)}) for record in records
        )
        for key in in_all
    }
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
        found,
        left_out,
        list(agenda.comparison.baselines),
        [*agenda.notes],
        agenda.marked,
    )


def evaluate(truth: str, forecast: str, **settings: Any) -> Evaluation:
    """Score a forecast in this process: `compare`, then each sample after the other."""
    agenda = make_agenda(compare(truth, forecast, **settings))
    comparison, places = agenda.comparison, list(zip(agenda.positions, agenda.keys, strict=True))
    own = [fit_sample(comparison, *place) for place in places]
    found = totals_by_group(agenda, own)
    return collected(
        agenda,
        [
            score_sample(comparison, *place, Fit(found[group], mine))
            for place, group, mine in zip(places, agenda.groups, own, strict=True)
        ],
    )


def totals_by_group(agenda: Agenda, own: list[SumsRecord]) -> dict[str, SumsRecord]:
    """Return the totals of the fits of each group of samples."""
    return {
        group: totals(group, (mine for mine, theirs in zip(own, agenda.groups, strict=True) if theirs == group))
        for group in dict.fromkeys(agenda.groups)
    }


def compare(
    truth: str,
    forecast: str,
    baselines: Mapping[str, str] | None = None,
    match: str | None = None,
    regions: Mapping[str, Region] | None = None,
    persistence: bool = False,
) -> Comparison:
    """Return the comparison; the forecast's input is the store that it was drawn from or, without runs, the truth's.

    Raises BadInput where `match` is not `available=6h`, where a baseline has a predictor's name, and where a forecast
    without runs is to be compared with persistence.
    """
    available = None
    if match is not None:
        key, _, value = match.partition("=")
        if key != "available":
            raise BadInput(f"match: got {match!r}, expected available=6h: the age that a baseline's run must have")
        available = parse_duration(value)
    for name in baselines or {}:
        if name in (*PREDICTORS, "truth"):
            raise BadInput(f"baseline {name!r} has the name of a predictor; give another one")
    found = Comparison(truth, forecast, dict(baselines or {}), available, persistence, dict(regions or {}))
    opened = Opened(found)
    header = opened.forecast.header
    if persistence and not header.inits:
        raise BadInput(f"{forecast} is not of runs, so that nothing persists; leave out persistence")
    return replace(found, input=_input(opened))


def _input(opened: Opened) -> str | None:
    """The store that the forecast was drawn from, where it is; the truth's own input where the forecast has no runs."""
    url = opened.forecast.header.lineage.get("store")
    if url is not None and Folder(url).exists("zarr.json"):
        store = open_store(url)
        if "input" in store.roles:
            return url
    truth = opened.truth.store
    return truth.folder.url if not opened.forecast.header.inits and "input" in truth.roles else None


def _check(opened: Opened) -> None:
    truth, forecast = opened.truth, opened.forecast
    if "target" not in truth.store.roles or truth.store.axes.inits is not None:
        raise BadInput(f"{truth.store.folder.url} is no truth: give a store of valid times that has a target")
    sources = {forecast.folder.url: forecast.header.target_grid}
    for name, source in opened.baselines.items():
        sources[opened.comparison.baselines[name]] = source.grid
    for url, grid in sources.items():
        if grid != truth.grid:
            raise BadInput(f"{url} is on {grid}, {truth.store.folder.url} on {truth.grid}; give the store of its grid")
    if not opened.channels:
        raise BadInput(
            f"{forecast.folder.url} has {', '.join(forecast.header.channels)}, none of which is a target of"
            f" {truth.store.folder.url}: {', '.join(truth.names)}; give a store that has some of them"
        )


def _checkpoint(opened: Opened, notes: list[str]) -> tuple[dict[str, tuple[float, float]], Interval | None]:
    """The residual's scale by channel, and the times that the model has seen: train split and embargo."""
    lineage = opened.forecast.header.lineage
    path = Path(lineage.get("checkpoint", ""))
    if "checkpoint" not in lineage:
        return {}, None
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != lineage["checkpoint_sha256"]:
        notes.append(
            f"The checkpoint {path} is gone or another one now: whether it has seen the truth is not known, and the"
            f" noise of '{WHITE}' is measured on other samples."
        )
        return {}, None
    from corrstore.training.learning.checkpoint import read_checkpoint

    try:
        content = read_checkpoint(path)
    except CorrstoreError as error:  # of another version of corrstore
        notes.append(f"Whether the model has seen the truth is not known: {error}.")
        return {}, None
    names = content["store"]["fingerprint_fields"]["target"]["channels"]
    scales = {}
    if content["regression"] is not None:  # a diffusion's: its residual is the error of the regression
        mean, std = (each.double().tolist() for each in content["residual_scale"])
        scales = {name: (m, s) for name, m, s in zip(names, mean, std, strict=True)}
    url = content["store"]["url"]
    if not Folder(url).exists("zarr.json"):
        notes.append(f"The training store {url} is gone: whether the model has seen the truth is not known.")
        return scales, None
    return scales, _seen(open_store(url))


def _seen(store: Store) -> Interval | None:
    splits = store.recipe.splits
    train = splits.intervals.get("train")
    gap = parse_duration(splits.embargo)
    return None if train is None else Interval(train.start - gap, train.end + gap)


def _refuse_trained(seen: Interval | None, valid: Any, allowed: bool, comparison: Comparison) -> str:
    count = 0 if seen is None else int(seen.mask(valid).sum())
    if not count:
        return ""
    text = f"{count} of {len(valid)} truth times lie in {seen}, which the model was trained on (with the embargo)"
    if not allowed:
        first = format_time(valid[seen.mask(valid)][0]) if seen is not None else ""
        raise BadInput(
            f"{comparison.truth}: {text}, {first} first; draw a forecast of other times, or give --allow-training,"
            " which marks every page"
        )
    return f"{text}: these scores say nothing about new weather."
