"""Two evaluations on the samples that both have: how much better is one than the other, and how sure is that?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from corrstore.datasets.errors import BadInput
from corrstore.datasets.storage.folder import Folder
from corrstore.training.evaluation.groups import ALL, Group
from corrstore.training.evaluation.predictors.names import ENSEMBLE, REGRESSION
from corrstore.training.evaluation.records.description import Description, read_description
from corrstore.training.evaluation.results import Evaluation
from corrstore.training.evaluation.scoring.registry import BY_NAME, Best, functions
from corrstore.training.evaluation.scoring.tallies import Floats, Tally
from corrstore.training.evaluation.uncertainty import Estimate, estimated, reservation, significant

_WORSE: dict[Best, Callable[[Floats], Floats]] = {
    "lowest": lambda values: values,
    "highest": lambda values: -values,
    "zero": np.abs,
    "one": lambda values: np.abs(values - 1),
}
"""How bad a score is, by what is best."""


_Start = tuple[str, str, str, str, str, float, float]


class Difference(NamedTuple):
    """Both scores of a channel, and how much worse B is than A, with its interval; negative is better.

    `significant` is what remains at a false discovery rate of 5 % among the channels and leads of a region, or
    among its channels and parts of the period. `reservation` says what the interval is not to be trusted for.
    """

    region: str
    lead: str
    period: str
    channel: str
    units: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    effective: float
    significant: bool
    reservation: str


@dataclass(frozen=True)
class Pair:
    """Two evaluations on the samples that both have, and how they are compared."""

    descriptions: tuple[Description, Description]
    a: Evaluation
    b: Evaluation
    predictor: str
    score: str

    @cached_property
    def differences(self) -> list[Difference]:
        """The differences of all channels and leads in each region, then of all channels and parts of the period.

        Intervals of a part whose units do not follow one another are as those of Evaluation.biases.
        """
        found = []
        for region in dict.fromkeys(group.region for group in self.a.groups):
            here = [group for group in self.a.groups if group.region == region]
            whole = [each for each in here if each.period == ALL and (each.lead == ALL) != bool(self.a.leads)]
            for family in (whole, [each for each in here if each.lead == ALL != each.period]):
                rows = list(self._rows(family))
                sure = significant(np.array([float(each.p) for *_, each in rows]))
                for (start, units, each), certain in zip(rows, sure, strict=True):
                    value, low, high, _, effective = map(float, each)
                    said = reservation(effective, units, self.a.unit)
                    found.append(Difference(*start, value, low, high, effective, bool(certain), said))
        return found

    def _rows(self, family: list[Group]) -> Iterator[tuple[_Start, int, Estimate]]:
        for group in family:
            for channel in self.a.channels:
                key = (group.region, channel.name, self.predictor)
                if key in self.a.regional and key in self.b.regional:
                    of = functions(self.a.domain, channel.variable)[self.score]
                    values, estimate = self._estimate(of, group, self.a.regional[key], self.b.regional[key])
                    unit = BY_NAME[self.score].unit
                    units = channel.variable.units if unit is None else unit
                    yield (*group[:3], channel.name, units, *values), len(self.a.units(group)), estimate

    def _estimate(
        self, of: Callable[[Tally], Floats], group: Group, a: Tally, b: Tally
    ) -> tuple[tuple[float, float], Estimate]:
        units, worse = self.a.units(group), _WORSE[BY_NAME[self.score].best]

        def difference(counts: Floats) -> Floats:
            return worse(of(b.summed(counts @ units))) - worse(of(a.summed(counts @ units)))

        with np.errstate(divide="ignore", invalid="ignore"):
            whole = np.ones((1, len(units))) @ units
            values = (float(of(a.summed(whole))[0]), float(of(b.summed(whole))[0]))
            return values, estimated(difference, len(units))

    @property
    def verdict(self) -> list[str]:
        """Sentences: in how many pairs of channel and lead B is better, and how sure that is."""
        every = [each for each in self.differences if each.region == each.period == ALL]
        found = [each for each in every if np.isfinite(each.difference)]
        better, sure = ([each for each in found if each.difference < 0], [each for each in found if each.significant])
        gained = sum(each.difference < 0 for each in sure)
        said = [
            f"By the {BY_NAME[self.score].title or self.score} of the {self.predictor}, B is better than A in"
            f" {len(better)} of {len(found)} {self.a.pairs}; significantly better in {gained}, significantly"
            f" worse in {len(sure) - gained}."
        ]
        least = min((each.effective for each in found), default=np.nan)
        if reserved := reservation(least, len(set(self.a.clusters)), self.a.unit):
            said.append(f"Not sure: {reserved}.")
        return said


def paired(url_a: str, url_b: str, predictor: str | None = None, score: str = "crps") -> Pair:
    """Return two evaluations on the samples of both; by default by the CRPS of the ensemble or, without, regression.

    Raises BadInput where the grids, the truths or the scored pixels differ, and where no sample, channel or predictor
    is in both.
    """
    if score not in BY_NAME or BY_NAME[score].per:
        names = ", ".join(name for name, each in BY_NAME.items() if not each.per)
        raise BadInput(f"score {score!r} is none that has one number; give one of {names}")
    if BY_NAME[score].best == "none":
        raise BadInput(f"more or less {score} is neither better nor worse; give another score, such as spread_skill")
    folders = Folder(url_a), Folder(url_b)
    ours, theirs = (read_description(each) for each in folders)
    if ours.target_grid != theirs.target_grid:
        raise BadInput(f"{url_a} is on {ours.target_grid}, {url_b} on {theirs.target_grid}: they cannot be paired")
    keys = [key for key in ours.keys if key in set(theirs.keys)]
    if not keys:
        raise BadInput(f"no sample is in both: {url_a} has {ours.samples}; {url_b} has {theirs.samples}")
    a, b = (each.evaluation(folder, keys) for each, folder in zip((ours, theirs), folders, strict=True))
    common = [each for _, each in a.tallies if each in {name for _, name in b.tallies}]
    named = predictor or (ENSEMBLE if ENSEMBLE in common else REGRESSION)
    both = [key for key in a.tallies if key in b.tallies and key[1] == named]
    if not both:
        raise BadInput(
            f"no channel of predictor {named!r} is in both; they share {', '.join(dict.fromkeys(common)) or 'nothing'}"
        )
    for region, channel, one in a.regional.keys() & b.regional.keys():
        if one == named:
            of = channel if region == ALL else f"{channel} in region {region}"
            _check_truth(
                of, a.regional[region, channel, named], b.regional[region, channel, named], keys, (ours, theirs)
            )
    pair = Pair((ours, theirs), a, b, named, score)
    if not any(np.isfinite(each.difference) for each in pair.differences):
        raise BadInput(f"the {named} has no {score} in any channel; give another --score or --predictor")
    return pair


def _check_truth(of: str, a: Tally, b: Tally, keys: list[str], descriptions: tuple[Description, Description]) -> None:
    """Raise BadInput where the sums of the truth alone differ in one of the samples."""
    for what in ("weight", "truth_spectrum", "truth_distribution"):
        first, second = getattr(a, what), getattr(b, what)
        same = first.shape == second.shape and np.isclose(first, second, rtol=1e-6, atol=0).reshape(len(keys), -1).all(
            1
        )
        if not np.all(same):
            key = keys[int(np.argmin(same))]
            raise BadInput(
                f"{of} at {key} is not the same in both: other pixels or another truth, {descriptions[0].truth}"
                f" and {descriptions[1].truth}; evaluate both with one truth, the same baselines and the same regions"
            )
