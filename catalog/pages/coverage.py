"""The coverage of time: how many samples of each split are valid, and what the others lack."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corrstore.catalog.drawing.merged import row_groups
from corrstore.catalog.printing.wording import time
from corrstore.datasets.recipe.periods import format_time, parse_duration
from corrstore.datasets.recipe.recipe import Recipe
from corrstore.datasets.store.ledger import SAMPLES
from corrstore.datasets.store.opening import Store

STATUSES = ("valid", "partial", "missing")
EMBARGO, NO_SPLIT = "embargo", "no split"
Names = NDArray[np.str_]
_MOST_GAPS, _MOST_REASONS = 60, 30


class Gap(NamedTuple):
    """Neighbouring samples that are not valid for the same reasons; `more` reasons are left out."""

    first: str
    last: str
    samples: int
    status: str
    reasons: list[str]
    more: int


class SplitCount(NamedTuple):
    """A split, from `start` to before `end`, and how many of its samples have each status."""

    name: str
    start: str
    end: str
    samples: int
    counts: dict[str, int]


@dataclass(frozen=True)
class Coverage:
    """The samples of a store: status and split of each, counts, the splits, and the gaps, `more_gaps` left out."""

    statuses: Names
    split_names: Names
    counts: dict[str, int]
    splits: list[SplitCount]
    gaps: list[Gap]
    more_gaps: int


def coverage(store: Store) -> Coverage:
    """The coverage of a store's period, from its ledger's table of samples."""
    statuses = np.full(len(store.times), "missing")
    for rows in row_groups(store, SAMPLES):
        statuses[rows["index"].to_numpy()] = rows["status"].to_pylist()
    names = _split_names(store.recipe)
    gaps = _gaps(store)
    shown = list(islice(gaps, _MOST_GAPS))
    return Coverage(
        statuses,
        names,
        _counts(statuses),
        list(_split_counts(store.recipe, statuses, names)),
        shown,
        sum(1 for _ in gaps),
    )


def _split_names(recipe: Recipe) -> Names:
    """The split that each sample is in; `embargo` those that lie between two splits, where the recipe has one."""
    times, intervals = recipe.times, recipe.splits.intervals.values()
    names = np.full(len(times), NO_SPLIT, dtype="<U10")
    if parse_duration(recipe.splits.embargo) > np.timedelta64(0):
        names[(times >= min(each.start for each in intervals)) & (times < max(each.end for each in intervals))] = (
            EMBARGO
        )
    for name, interval in recipe.splits.intervals.items():
        names[interval.mask(times)] = name
    return names


def _counts(statuses: Names) -> dict[str, int]:
    return {status: int((statuses == status).sum()) for status in STATUSES}


def _split_counts(recipe: Recipe, statuses: Names, names: Names) -> Iterator[SplitCount]:
    for name, interval in recipe.splits.intervals.items():
        inside = names == name
        yield SplitCount(name, time(interval.start), time(interval.end), int(inside.sum()), _counts(statuses[inside]))
    for name in (EMBARGO, NO_SPLIT):
        inside = names == name
        if inside.any():
            yield SplitCount(name, "", "", int(inside.sum()), _counts(statuses[inside]))


def _gaps(store: Store) -> Iterator[Gap]:
    """The samples that are not valid, neighbours with the same status and reasons taken together."""
    for (status, _, reasons), members in groupby(enumerate(_invalid(store)), lambda item: _kind(*item)):
        indices = [index for _, (index, _, _) in members]
        yield Gap(
            time(store.times[indices[0]]),
            time(store.times[indices[-1]]),
            len(indices),
            status,
            list(reasons[:_MOST_REASONS]),
            max(len(reasons) - _MOST_REASONS, 0),
        )


def _kind(position: int, sample: tuple[int, str, tuple[str, ...]]) -> tuple[str, int, tuple[str, ...]]:
    """What neighbours have in common: status and reasons, and that no other sample lies between them."""
    index, status, reasons = sample
    return status, index - position, reasons


def _invalid(store: Store) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """Index, status and reasons of the samples that are not valid; the sample's own time is left out of a reason."""
    for rows in row_groups(store, SAMPLES):
        for row in rows.select(["index", "status", "reasons"]).to_pylist():
            if row["status"] != "valid":
                own_time = f" at {format_time(store.times[row['index']])}"
                yield row["index"], row["status"], tuple(reason.replace(own_time, "") for reason in row["reasons"])
