"""The result of an evaluation: scores with intervals, by lead, period and region, and gains over a baseline."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from corrstore.datasets.recipe.periods import Times
from corrstore.datasets.recipe.sample_axes import format_lead
from corrstore.datasets.variables.channels import Channel
from corrstore.training.evaluation.groups import ALL, Group, groups
from corrstore.training.evaluation.predictors.names import INTERPOLATION, PREDICTORS
from corrstore.training.evaluation.scoring.registry import BY_NAME, functions, places
from corrstore.training.evaluation.scoring.tallies import Domain, Floats, Tally
from corrstore.training.evaluation.uncertainty import Estimate, block_of_days, estimated, reservation, significant


class ScoreRow(NamedTuple):
    """A score of a channel's predictor; None is what it has not: threshold, width, quantile, or an interval.

    A bias is `significant` where it differs from zero after correction, as in Evaluation.biases. `reservation` says in
    words what the interval is not to be trusted for; it is empty where nothing has to be said.
    """

    channel: str
    units: str
    predictor: str
    score: str
    threshold: float | None
    width_km: float | None
    quantile: float | None
    value: float
    low: float | None
    high: float | None
    effective: float | None
    samples: int
    region: str = ALL
    lead: str = ALL
    period: str = ALL
    significant: bool | None = None
    reservation: str = ""


class Bias(NamedTuple):
    """The mean error of a predictor somewhere at some time, its interval, effective samples, and whether it is sure."""

    channel: str
    region: str
    lead: str
    period: str
    value: float
    low: float
    high: float
    effective: float
    significant: bool


class Gain(NamedTuple):
    """The share of the baseline's score that a predictor gains, its interval, and its effective samples."""

    channel: str
    lead: str
    value: float
    low: float
    high: float
    effective: float
    significant: bool


@dataclass(frozen=True)
class Evaluation:
    """The tallies of all the samples that were scored, by region, channel and predictor.

    `incomplete` counts the samples of the forecast that were not scored.

    `left_out` by channel and predictor ('' for any) is pixels that it lacks and pixels that the truth has. `notes` and
    `marked` are as an Agenda's. `cells` by channel and predictor are sums of errors in cells, as in cells.py.
    `block_days` is the length of the blocks that are resampled; None measures it for each score.
    """

    channels: list[Channel]
    domain: Domain
    times: Times
    inits: Times
    incomplete: int
    regional: dict[tuple[str, str, str], Tally]
    left_out: dict[tuple[str, str], Floats]
    baselines: list[str]
    notes: list[str]
    marked: str = ""
    cells: dict[tuple[str, str], Floats] = field(default_factory=dict)
    block_days: float | None = None

    @cached_property
    def tallies(self) -> dict[tuple[str, str], Tally]:
        """The tallies of the whole domain, by channel and predictor."""
        return {key[1:]: found for key, found in self.regional.items() if key[0] == ALL}

    def predictors(self, channel: Channel) -> list[str]:
        """Return the predictors of a channel, in the order of PREDICTORS, then the baselines."""
        found = [predictor for name, predictor in self.tallies if name == channel.name]
        return [each for each in PREDICTORS if each in found] + [each for each in found if each not in PREDICTORS]

    @property
    def leads(self) -> list[str]:
        """The leads, ascending; none of a forecast of valid times."""
        if np.isnat(self.inits).all():
            return []
        return [format_lead(each) for each in np.unique(self.times - self.inits)]

    @property
    def clusters(self) -> list[Any]:
        """What each sample is resampled with: its run, or its time."""
        return list((self.times if np.isnat(self.inits).all() else self.inits).tolist())

    @property
    def unit(self) -> str:
        """The word for what is resampled: a run or a time."""
        return "run" if self.leads else "time"

    @property
    def pairs(self) -> str:
        """The words for what is compared one by one: channels, or where there are leads, pairs of the two."""
        return "pairs of channel and lead" if self.leads else "channels"

    @cached_property
    def _block(self) -> int | None:
        """The length of a block in units; None where it is measured."""
        if self.block_days is None:
            return None
        return block_of_days(np.unique(np.array(self.clusters, "datetime64[s]")), self.block_days)

    @cached_property
    def groups(self) -> list[Group]:
        """The groups of samples that are scored together; the first is all samples in the whole domain."""
        return groups(self.times, self.inits, dict.fromkeys(region for region, _, _ in self.regional))

    def score(self, channel: Channel, predictor: str, name: str, lead: str = ALL) -> Estimate:
        """Return a score by its name (registry.py) over the whole domain, with its interval."""
        group = next(each for each in self.groups if each[:3] == (ALL, lead, ALL))
        return self._scores(group, channel.name, predictor)[name]

    @property
    def rows(self) -> Iterator[ScoreRow]:
        """Every score of every channel and predictor over all samples and the whole domain."""
        yield from self._rows(self.groups[0])

    @property
    def grouped_rows(self) -> Iterator[ScoreRow]:
        """Every score of every channel and predictor, group by group; the first group is all samples."""
        for group in self.groups:
            yield from self._rows(group)

    @property
    def table(self) -> pa.Table:
        """The rows of all groups as a table."""
        columns = list(zip(*self.grouped_rows, strict=True))
        texts = {"channel", "units", "predictor", "score", "region", "lead", "period", "reservation"}
        others = {"samples": pa.int64(), "significant": pa.bool_()}
        kinds = [pa.string() if name in texts else others.get(name, pa.float64()) for name in ScoreRow._fields]
        return pa.table(
            [pa.array(column, kind, from_pandas=True) for column, kind in zip(columns, kinds, strict=True)],
            list(ScoreRow._fields),
        )

    @property
    def csv(self) -> str:
        """The rows of all groups as comma-separated values."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(ScoreRow._fields)
        writer.writerows(self.grouped_rows)
        return text.getvalue()

    @property
    def reference(self) -> str:
        """The predictor that gains are over: the first baseline, else interpolation."""
        return self.baselines[0] if self.baselines else INTERPOLATION

    def gains(self, predictor: str, reference: str, score: str = "crps") -> list[Gain]:
        """Return the gain of a predictor over the reference for each channel and lead, on the same resamples.

        Significant is what remains at a false discovery rate of 5 % among all of them.
        """
        found: dict[tuple[str, str], Estimate] = {}
        for group in (each for each in self.groups if each.region == each.period == ALL):
            if (group.lead == ALL) == bool(self.leads):
                continue
            for channel in self.channels:
                keys = [(channel.name, each) for each in (predictor, reference)]
                if all(key in self.tallies for key in keys):
                    found[channel.name, group.lead] = self.gain(group, keys, score)
        return [Gain(*each) for each in _with_significance(found)]

    def gain(self, group: Group, keys: Sequence[tuple[str, str]], score: str) -> Estimate:
        """Return the share of the second one's score that the first one gains, by channel and predictor."""
        (channel,) = (each for each in self.channels if each.name == keys[0][0])
        measure, units = functions(self.domain, channel.variable)[score], self.units(group)
        ours, theirs = (self.tallies[key] for key in keys)

        def gained(counts: Floats) -> Floats:
            return 1 - measure(ours.summed(counts @ units)) / measure(theirs.summed(counts @ units))

        with np.errstate(divide="ignore", invalid="ignore"):
            return estimated(gained, len(units), self._block)

    def units(self, group: Group) -> Floats:
        """Return the samples of each unit [unit, sample]: of each run of a group, or of each time."""
        clusters = [each for each, inside in zip(self.clusters, group.samples, strict=True) if inside]
        places = {each: place for place, each in enumerate(sorted(set(clusters)))}
        units = np.zeros((len(places), len(self.times)))
        units[[places[each] for each in clusters], np.flatnonzero(group.samples)] = 1
        return units

    def biases(self, predictor: str) -> list[Bias]:
        """Return the mean errors of a predictor for each channel, region, and lead or part of the period.

        Significant is what differs from zero at a false discovery rate of 5 % among all of them. Units of a part of the
        period that do not follow one another are taken as if they did, which makes intervals too wide, if anything.
        """
        found: dict[tuple[str, str, str, str], Estimate] = {}
        for group in (each for each in self.groups if ALL in (each.lead, each.period)):
            units = self.units(group)
            for channel in self.channels:
                tally = self.regional.get((group.region, channel.name, predictor))
                if tally is not None:
                    sums = partial(_ratio, units @ tally.error, units @ tally.weight)
                    with np.errstate(divide="ignore", invalid="ignore"):
                        found[channel.name, group.region, group.lead, group.period] = estimated(
                            sums, len(units), self._block
                        )
        return [Bias(*each) for each in _with_significance(found)]

    @cached_property
    def _found(self) -> dict[tuple[str, str, str, str, str], dict[str, Estimate]]:
        return {}

    def _scores(self, group: Group, channel: str, predictor: str) -> dict[str, Estimate]:
        key = (*group[:3], channel, predictor)
        if key in self._found:
            return self._found[key]
        tally, units = self.regional[group.region, channel, predictor], self.units(group)
        total = tally.total
        (variable,) = (each.variable for each in self.channels if each.name == channel)
        every = functions(self.domain, variable)
        with np.errstate(divide="ignore", invalid="ignore"):  # a region may have no pixel of the channel
            shapes = {name: function(total).shape[1:] for name, function in every.items()}

        def scored(counts: Floats) -> Floats:
            sums = tally.summed(counts @ units)
            return np.concatenate([each(sums).reshape(len(counts), -1) for each in every.values()], axis=1)

        with np.errstate(divide="ignore", invalid="ignore"):
            if group.period == ALL:
                whole = estimated(scored, len(units), self._block)
            else:  # a part of the period, whose units do not follow one another
                value = scored(np.ones((1, len(units))))[0]
                whole = Estimate(value, *(np.full_like(value, np.nan) for _ in range(4)))
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])[:-1]
        parts = zip(*(np.split(each, ends) for each in whole), strict=True)
        self._found[key] = {
            name: Estimate(*(each.reshape(shape) for each in part))
            for (name, shape), part in zip(shapes.items(), parts, strict=True)
        }
        return self._found[key]

    @cached_property
    def _significant(self) -> dict[tuple[str, ...], bool]:
        """Whether a bias is significant, by predictor, channel, region, lead and period."""
        predictors = dict.fromkeys(name for _, name in self.tallies)
        return {(name, *each[:4]): each.significant for name in predictors for each in self.biases(name)}

    def _rows(self, group: Group) -> Iterator[ScoreRow]:
        count, units = int(group.samples.sum()), len(self.units(group))
        for channel in self.channels:
            for predictor in self.predictors(channel):
                for name, found in self._scores(group, channel.name, predictor).items():
                    measure = BY_NAME[name]
                    unit = channel.variable.units if measure.unit is None else measure.unit
                    of = places(measure, channel.variable.thresholds, self.domain)
                    values = (found.value, found.low, found.high, found.effective)
                    for place, *numbers in zip(of, *(np.ravel(each) for each in values), strict=True):
                        low, high, effective = (None if np.isnan(each) else float(each) for each in numbers[1:])
                        where = (place.get("threshold"), place.get("width_km"), place.get("quantile"))
                        row = (channel.name, unit, predictor, name, *where, float(numbers[0]), low, high, effective)
                        key = (predictor, channel.name, *group[:3])
                        sure = self._significant.get(key) if name == "bias" else None
                        told = group.period == ALL and not np.isnan(numbers[0])
                        said = reservation(numbers[3], units, self.unit) if told else ""
                        yield ScoreRow(*row, count, *group[:3], sure, said)


def _ratio(errors: Floats, weights: Floats, counts: Floats) -> Floats:
    return np.asarray((counts @ errors) / (counts @ weights))


def _with_significance(found: Mapping[Any, Estimate]) -> Iterator[tuple[Any, ...]]:
    """Yield each key with value, low, high, effective samples, and whether it is significant among all of them."""
    sure = significant(np.array([float(each.p) for each in found.values()]))
    for (key, each), one in zip(found.items(), sure, strict=True):
        yield (*key, *(float(number) for number in (each.value, each.low, each.high, each.effective)), bool(one))
