"""The answer to a question to a catalog: stores that hold some of it, a combination that holds it, and the rest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corrstore.catalog.queries.availability import Bits, Intervals, Slots, held_slots, minimal_combination, slots_of
from corrstore.catalog.queries.matching import Roles, Stores
from corrstore.catalog.queries.selection import Region, refuse_too_many
from corrstore.catalog.tables.presence import Presence
from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.periods import Interval

_GONE: Presence = "vanished"
_NEVER = np.datetime64("NaT", "s")


@dataclass(frozen=True)
class Question:
    """A question to a catalog; see `Catalog.query`. `frequency` is in seconds, `resolution` in degrees."""

    variables: list[str]
    period: Interval | None = None
    frequency: int | None = None
    resolution: float | None = None
    region: Region | None = None
    complete: bool = False


@dataclass(frozen=True)
class Match:
    """A store that holds some of what is asked for: the `share` of it, 0 to 1, and the variables' roles.

    `row` is the store's row of the table `stores`.
    """

    row: dict[str, Any]
    status: Presence
    roles: Roles
    share: float

    @property
    def name(self) -> str:
        """The store's name."""
        return str(self.row["name"])

    @property
    def location(self) -> str:
        """The location of the store."""
        return str(self.row["location"])


@dataclass(frozen=True)
class Missing:
    """A stretch of the period in which the combination lacks these variables; `reasons` where they were asked for."""

    variables: tuple[str, ...]
    start: np.datetime64
    end: np.datetime64
    reasons: tuple[str, ...] = ()

    @property
    def hours(self) -> float:
        """The length of the stretch in hours."""
        return float((self.end - self.start) / np.timedelta64(3600, "s"))


@dataclass(frozen=True)
class Answer:
    """All `stores` that match, the most useful first; the `combination` of them that holds the most; what it lacks.

    None of the combination can be left out. Where no period was asked for, `missing` has variables and no time.
    """

    stores: list[Match]
    combination: list[Match]
    missing: list[Missing]

    @property
    def complete(self) -> bool:
        """True where the combination lacks nothing."""
        return bool(self.combination) and not self.missing


def fitting(stores: Stores, question: Question) -> NDArray[np.int64]:
    """The numbers of the stores that may hold some of what is asked for."""
    fit = np.ones(len(stores.rows), bool)
    if question.variables:
        has = stores.having(question.variables)
        fit &= has.all(axis=1) if question.complete else has.any(axis=1)
    if question.period is not None:
        fit &= stores.touching(question.period)
    if question.frequency is not None:
        fit &= stores.sampled_every(question.frequency)
    if question.resolution is not None:
        fit &= stores.with_resolution(question.resolution)
    if question.region is not None:
        fit &= stores.covering(question.region)
    return np.flatnonzero(fit)


def answer(
    stores: Stores, question: Question, fit: NDArray[np.int64], statuses: list[Presence], valid: list[Intervals] | None
) -> Answer:
    """The answer from the stores that fit: their state and, where a period is asked for, their valid intervals.

    A store that has vanished is named, but holds nothing. Errors: BadInput where the period has no time of the
    frequency asked for.
    """
    has = stores.having(question.variables)[fit] if question.variables else np.ones((len(fit), 1), bool)
    held, wanted, slots = _held(stores, question, fit, valid)
    amount = np.bitwise_count(held).sum(axis=1, dtype=np.int64) * has.sum(axis=1)
    asked = int(np.bitwise_count(wanted).sum()) * has.shape[1]
    chosen = [place for place in range(len(fit)) if amount[place] and (amount[place] == asked or not question.complete)]
    chosen.sort(key=lambda place: (statuses[place] == _GONE, -amount[place]))
    matches = [
        Match(
            stores.rows[fit[place]],
            statuses[place],
            stores.roles(int(fit[place]), question.variables),
            float(amount[place] / asked),
        )
        for place in chosen
    ]
    holding = [place for place in chosen if statuses[place] != _GONE]
    together, lacking = minimal_combination(held[holding], has[holding], wanted)
    return Answer(matches, [matches[place] for place in sorted(together)], _missing(lacking, slots, question))


def _held(
    stores: Stores, question: Question, fit: NDArray[np.int64], valid: list[Intervals] | None
) -> tuple[Bits, Bits, Slots | None]:
    """The bits that each store holds, all bits that are asked for, and the time of each; without a period one bit."""
    if question.period is None or valid is None:
        some = np.array([(stores.rows[place]["valid"] or 0) > 0 for place in fit], bool)
        return np.packbits(some[:, None], axis=1), np.packbits(np.ones(1, bool)), None
    frequency = stores.frequency[fit]
    slots = slots_of(question.period, valid, frequency, question.frequency)
    refuse_too_many(slots.number, question.period)
    if slots.number == 0:
        raise BadInput(f"period {question.period} has no time of the frequency asked for; ask for a longer one")
    held = held_slots(valid, slots, frequency, sampled=question.frequency is not None)
    return held, np.packbits(np.ones(slots.number, bool)), slots


def _missing(lacking: Bits, slots: Slots | None, question: Question) -> list[Missing]:
    """The bits [variables, slots / 8] as stretches in which the same variables are lacking."""
    if slots is None or question.period is None:
        names = [name for name, bits in zip(question.variables, lacking, strict=False) if bits.any()]
        return [Missing(tuple(names), _NEVER, _NEVER)] if names else []
    lacks = np.unpackbits(lacking, axis=1, count=slots.number).astype(bool)
    bounds = np.flatnonzero((lacks[:, 1:] != lacks[:, :-1]).any(axis=0)) + 1
    found = []
    for first, after in zip([0, *bounds], [*bounds, slots.number], strict=True):
        if lacks[:, first].any():
            names = [name for name, lack in zip(question.variables, lacks[:, first], strict=False) if lack]
            stretch = slots.interval(first, after)
            found.append(Missing(tuple(names), stretch.start, min(stretch.end, question.period.end)))
    return found


def with_reasons(missing: list[Missing], coverage: pa.Table) -> list[Missing]:
    """The stretches, each with the reasons in the rows of the table `coverage` that it has some time in common with."""
    start, end = (coverage[name].to_numpy().astype("datetime64[s]") for name in ("start", "end"))
    reasons = [listed or [] for listed in coverage["reasons"].to_pylist()]
    explained = []
    for stretch in missing:
        rows = np.flatnonzero((start < stretch.end) & (end > stretch.start))
        found = dict.fromkeys(reason for row in rows for reason in reasons[row])
        explained.append(replace(stretch, reasons=tuple(found)))
    return explained
