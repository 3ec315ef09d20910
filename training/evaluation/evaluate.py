"""Evaluation: a forecast, its regression and plain interpolation against the truth of a store."""

from __future__ import annotations

import csv
import io
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np

from corrstore.datasets.errors import BadInput, OutOfResources
from corrstore.datasets.recipe.periods import Times
from corrstore.datasets.store.opening import Store, open_store
from corrstore.datasets.variables.channels import Channel
from corrstore.training.evaluation import scores
from corrstore.training.evaluation.predictions import PREDICTORS, ScoredSample
from corrstore.training.evaluation.scores import Score, with_interval
from corrstore.training.evaluation.tallies import Domain, Floats, Tally, merged, tally
from corrstore.training.forecasts.files import Forecast, open_forecast
from corrstore.training.forecasts.header import Part

Tallies = dict[tuple[str, str], Tally]
"""Tallies by channel and predictor."""


class ScoreRow(NamedTuple):
    """A score of a channel's predictor; `threshold` and `width_km` are None but for the fractions skill score."""

    channel: str
    units: str
    predictor: str
    score: str
    threshold: float | None
    width_km: float | None
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Evaluation:
    """The tallies of all the times that were scored, and those times; `incomplete` counts the others."""

    channels: list[Channel]
    domain: Domain
    times: Times
    incomplete: int
    tallies: Tallies

    def predictors(self, channel: Channel) -> list[str]:
        """Return the predictors of a channel, in the order of PREDICTORS."""
        return [each for each in PREDICTORS if (channel.name, each) in self.tallies]

    def score(self, channel: Channel, predictor: str, name: str) -> Score:
        """Return a score by its name (the functions in scores.py), with its interval."""
        return self._scores[channel.name, predictor, name]

    @property
    def rows(self) -> Iterator[ScoreRow]:
        """Every score of every channel and predictor."""
        for channel in self.channels:
            units = channel.variable.units
            for predictor in self.predictors(channel):
                for name in self._measures:
                    found = self.score(channel, predictor, name)
                    unit = "dB" if name == "spectral_distance" else "1" if name == "spread_skill" else units
                    yield ScoreRow(channel.name, unit, predictor, name, None, None, *map(float, found))
                if channel.variable.thresholds:
                    yield from self._skills(channel, predictor)

    @property
    def csv(self) -> str:
        """The rows as comma-separated values."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(ScoreRow._fields)
        writer.writerows(self.rows)
        return text.getvalue()

    def _skills(self, channel: Channel, predictor: str) -> Iterator[ScoreRow]:
        skill = with_interval(scores.fss, self.tallies[channel.name, predictor])
        for i, threshold in enumerate(channel.variable.thresholds):
            for j, width_km in enumerate(self.domain.widths_km):
                values = (float(each[i, j]) for each in skill)
                yield ScoreRow(channel.name, "1", predictor, "fss", threshold, width_km, *values)

    @cached_property
    def _scores(self) -> dict[tuple[str, str, str], Score]:
        return {
            (*key, name): with_interval(measure, tally)
            for key, tally in self.tallies.items()
            for name, measure in self._measures.items()
        }

    @property
    def _measures(self) -> dict[str, Callable[[Tally], Floats]]:
        named = (scores.mae, scores.rmse, scores.bias, scores.crps, scores.spread, scores.spread_skill)
        distance = partial(scores.spectral_distance, wavenumbers=self.domain.wavenumbers)
        return {**{each.__name__: each for each in named}, "spectral_distance": distance}


def evaluate(store_url: str, forecast_url: str, workers: int = 1) -> Evaluation:
    """Score every time of the forecast that is complete and has a valid sample in the store.

    Channels that the two share are scored. A worker holds a sample, and a few times the members of one channel. Raises
    BadInput where the grids differ, and where no channel is shared or no time can be scored; OutOfResources where a
    worker is killed.
    """
    store, forecast = open_store(store_url), open_forecast(forecast_url)
    _check(store, forecast)
    times = _complete_times(store, forecast)
    if not times:
        raise BadInput(
            f"{forecast_url}: none of its {len(forecast.header.times)} times is complete and has a valid sample in"
            f" {store_url}; let `corrstore sample` finish, or give the store that it is to be compared with"
        )
    score = partial(score_time, store_url, forecast_url)
    if workers == 1:
        scored = list(map(score, times))
    else:
        quiet = signal.SIGINT, signal.SIG_IGN  # a keyboard sends it to workers too, which would print tracebacks
        try:
            with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), signal.signal, quiet) as pool:
                scored = list(pool.map(score, times))
        except BrokenProcessPool:
            raise OutOfResources(
                "a worker process was killed, perhaps because memory ran out; start the same command again with fewer"
                " --workers"
            ) from None
    return Evaluation(
        _shared_channels(store, forecast),
        Domain.of_grid(store.grid("target")),
        forecast.header.valid_times[times],
        len(forecast.header.times) - len(times),
        {key: merged(each[key] for each in scored) for key in scored[0]},
    )


def score_time(store_url: str, forecast_url: str, time: int) -> Tallies:
    """Return the tallies of one time, by its position in the forecast: a function of the files alone."""
    store, forecast = open_store(store_url), open_forecast(forecast_url)
    sample, domain = ScoredSample(store, forecast, time), Domain.of_grid(store.grid("target"))
    seconds = int(forecast.header.valid_times[time].astype(np.int64))
    tallies = {}
    for position, channel in enumerate(_shared_channels(store, forecast)):
        truth, thresholds = sample.truth(channel), channel.variable.thresholds
        for predictor, ensemble in sample.predictions(channel).items():
            tallies[channel.name, predictor] = tally(ensemble, truth, domain, thresholds, (seconds, position))
    return tallies


def _check(store: Store, forecast: Forecast) -> None:
    theirs, ours = forecast.header.target_grid, store.grid("target")
    if theirs != ours:
        raise BadInput(
            f"{forecast.folder.url} is on {theirs}, {store.folder.url} on {ours}; give the store of its grid"
        )
    if not _shared_channels(store, forecast):
        targets = ", ".join(store.recipe.channel_names("target"))
        raise BadInput(
            f"{forecast.folder.url} has {', '.join(forecast.header.channels)}, none of which is a target of"
            f" {store.folder.url}: {targets}; give a store that has some of them"
        )


def _shared_channels(store: Store, forecast: Forecast) -> list[Channel]:
    return [channel for channel in store.plan.channels("target") if channel.name in forecast.header.channels]


def _complete_times(store: Store, forecast: Forecast) -> list[int]:
    """The positions of the times of which every part is there, and that are valid in the store."""
    parts: dict[int, list[Part]] = {}
    for part in forecast.header.parts:
        parts.setdefault(part.time, []).append(part)
    valid = set(store.times[store.valid].tolist())
    times = forecast.header.valid_times
    return [t for t, whole in parts.items() if times[t].item() in valid and all(map(forecast.has, whole))]
