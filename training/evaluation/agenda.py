"""The agenda: which samples are scored, and what a reader must know of those that are not."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, replace
from typing import NamedTuple

from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.sample_axes import format_lead, sample_key, sample_label
from corrstore.datasets.storage.folder import Folder
from corrstore.training.evaluation.predictors.comparison import Comparison, Opened
from corrstore.training.evaluation.predictors.ground import telling_of_ground
from corrstore.training.evaluation.predictors.sample import ScoredSample
from corrstore.training.evaluation.predictors.sources import ForecastSource
from corrstore.training.evaluation.predictors.trained_times import learned
from corrstore.training.evaluation.sums import RECORD_FORM
from corrstore.training.forecasts.files import Forecast
from corrstore.training.forecasts.header import Part

_FEW_OTHERS = 10
_BLOCKS, _LONGEST_BLOCK = 64, 16
"""Least number of blocks where there are so many samples, and most samples of a block."""


class Block(NamedTuple):
    """Samples of one group, indices in the agenda, whose fits are summed in one record of that name."""

    name: str
    group: str
    indices: list[int]


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
    def blocks(self) -> list[Block]:
        """The blocks in which the samples of each group are fitted; none where nothing is fitted.

        They bound the bytes of the records, which have a number for each grid cell, and what a stopped one loses.
        """
        size = min(_LONGEST_BLOCK, -(-len(self.keys) // _BLOCKS))
        found = []
        for group in dict.fromkeys(self.groups) if self.comparison.fitted else ():
            members = [index for index, theirs in enumerate(self.groups) if theirs == group]
            starts = range(0, len(members), size)
            name = group.replace(" ", "_")
            found += [Block(f"{name}_{start:05d}", group, members[start : start + size]) for start in starts]
        return found

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
        content = [RECORD_FORM, repr(self.comparison), self.keys, opened.forecast.header.content, made_of]
        return hashlib.sha256(json.dumps(content, default=str, sort_keys=True).encode()).hexdigest()[:16]


def make_agenda(comparison: Comparison, allow_training: bool = False, drawn: Forecast | None = None) -> Agenda:
    """Return what is to be scored: complete samples with a valid truth, which all baselines have.

    Raises BadInput where grids differ, no channel is shared, no sample is left, or the truth was trained on.
    """
    opened = Opened(comparison, drawn)
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
        raise BadInput(_nothing_shared(opened, lacking, complete))
    if not complete and Folder(comparison.forecast).exists("evaluation/evaluation.json"):
        raise BadInput(
            f"{comparison.forecast} was scored while it was drawn, and keeps no whole sample: its scores are in"
            f" {comparison.forecast}/evaluation; draw it without --score, or with --keep, to evaluate it again"
        )
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
    untold = [each.name for each in opened.channels if each.level and telling_of_ground(opened, each) is None]
    if untold:
        notes.append(
            f"Whether {', '.join(untold)} lie below the ground is not known, and all their pixels are scored: the truth"
            " has neither the surface pressure sp, nor the height of the level and of the terrain orog."
        )
    inits, valid = header.init_times[chosen], header.valid_times[chosen]
    leads = [str(each) for each in valid - inits]
    runs = Counter(leads)
    others = min(runs.values()) - 1
    kind = "runs at its lead" if header.inits else "times"
    if others < _FEW_OTHERS:
        alone = [
            format_lead(at) for at, text in zip(valid - inits, leads, strict=True) if header.inits and runs[text] == 1
        ]
        at = f" at {', '.join(alone)}" if alone else ""
        notes.append(
            f"Mean errors and residuals of a sample are measured on {others} or more other {kind}: too few to trust."
            if others
            else f"Mean errors and residuals are not measured: there are samples{at} without other {kind}."
        )
    model = learned(opened, notes)
    marked = model.refuse(valid, allow_training, comparison.truth)
    keys = [sample_key(*each) for each in zip(valid, inits, strict=True)]
    comparison = replace(comparison, scales=model.scales, fitted=others >= 1)
    return Agenda(comparison, chosen, keys, leads, len(header.times) - len(chosen), notes, marked)


def _nothing_shared(opened: Opened, lacking: Counter[str], complete: list[int]) -> str:
    """Return the message for a forecast of which every sample is in one baseline or another not there."""
    header, name = opened.forecast.header, lacking.most_common(1)[0][0]
    source = opened.baselines[name]
    kinds = ["runs" if each else "valid times" for each in (header.inits, source.has_runs)]
    ours = ", ".join(sample_label(header.valid_times[t], header.init_times[t]) for t in complete[:2])
    fix = "give a baseline of the same kind" if kinds[0] != kinds[1] else "give a baseline that has these times"
    if kinds == ["runs", "runs"] and opened.comparison.available is None:
        fix += ", or --match available=6h for its newest run that was there by then"
    return (
        f"baseline {name}={opened.comparison.baselines[name]}, of {kinds[1]}, lacks {lacking[name]} of the"
        f" {len(complete)} samples of {opened.comparison.forecast}, of {kinds[0]} ({ours}, ...); {fix}"
    )


def _check(opened: Opened) -> None:
    forecast, truth = opened.forecast, opened.truth
    if min(truth.grid.shape) < 2:
        raise BadInput(
            f"{forecast.folder.url} is on {truth.grid}, which is too small to be scored; draw a larger region"
        )
    if not opened.channels:
        raise BadInput(
            f"{forecast.folder.url} has {', '.join(forecast.header.channels)}, none of which is a target of"
            f" {truth.store.folder.url}: {', '.join(truth.names)}; give a store that has some of them"
        )
    for name in opened.comparison.regions:
        opened.mask(name)
    for name, source in opened.baselines.items():
        if not set(source.names) & {each.name for each in opened.channels}:
            raise BadInput(
                f"baseline {name}={opened.comparison.baselines[name]} has {', '.join(source.names) or 'no target'},"
                " none of the scored"
                f" channels {', '.join(each.name for each in opened.channels)}; give another store"
            )
    for channel in opened.channels if opened.comparison.climatology else []:
        opened.climatology.members(channel.name, forecast.header.valid_times[0])
