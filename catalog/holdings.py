"""What stores hold of a period, as bits, and the fewest stores that hold all of it together."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from datasets.periods import Interval

Bits = NDArray[np.uint8]
_SHORTEST = 900


class Slots(NamedTuple):
    """A period cut into `number` slots of `step` seconds from `start`, in seconds since 1970."""

    start: int
    step: int
    number: int

    def interval(self, first: int, after: int) -> Interval:
        """The time from slot `first` on, before slot `after`."""
        bounds = np.array([self.start + first * self.step, self.start + after * self.step])
        return Interval(*bounds.astype("datetime64[s]"))


class ValidTime(NamedTuple):
    """The valid intervals [start, end) of stores, in seconds since 1970; `store` numbers the stores."""

    store: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]

    def inside(self, period: Interval) -> ValidTime:
        """Those that touch the period."""
        low, high = _seconds(period.start), _seconds(period.end)
        touch = (self.start < high) & (self.end > low)
        return ValidTime(self.store[touch], self.start[touch], self.end[touch])

    def by_store(self, stores: int) -> list[ValidTime]:
        """The intervals of each of so many stores, in the order of time."""
        order = np.lexsort((self.start, self.store))
        bounds = np.searchsorted(self.store[order], np.arange(stores + 1))
        parts = [order[low:high] for low, high in pairwise(bounds)]
        return [ValidTime(*(values[part] for values in self)) for part in parts]


def valid_time(coverage: pa.Table, registrations: list[str]) -> ValidTime:
    """The valid intervals in rows of the table `coverage`, those of other registrations left out."""
    if len(coverage) == 0:
        return ValidTime(*np.zeros((3, 0), np.int64))
    names, statuses = (coverage[name].combine_chunks() for name in ("registration", "status"))
    place = {name: number for number, name in enumerate(registrations)}
    store = np.array([place.get(name, -1) for name in names.dictionary.to_pylist()])[names.indices.to_numpy()]
    valid = np.array([status == "valid" for status in statuses.dictionary.to_pylist()])[statuses.indices.to_numpy()]
    keep = valid & (store >= 0)
    start, end = (coverage[name].to_numpy().astype("datetime64[s]").astype(np.int64)[keep] for name in ("start", "end"))
    return ValidTime(store[keep], start, end)


def slots_of(period: Interval, valid: ValidTime, frequencies: NDArray[np.int64], frequency: int | None) -> Slots:
    """The slots that a period is looked at in.

    With a frequency asked for, one for each of its times, counted from 00 UTC. Else the longest that no interval
    divides, but not less than a quarter of an hour or the shortest of the stores' own frequencies.
    """
    start, end = _seconds(period.start), _seconds(period.end)
    if frequency is not None:
        first = -(-start // frequency) * frequency
        return Slots(first, frequency, max(-(-(end - first) // frequency), 0))
    finest = min(_SHORTEST, int(frequencies.min(initial=_SHORTEST)))
    bounds = np.concatenate([valid.start.clip(start, end), valid.end.clip(start, end), [end]]) - start
    step = max(int(np.gcd.reduce(bounds)), finest)
    return Slots(start, step, -(-(end - start) // step))


def held_slots(valid: ValidTime, slots: Slots, frequencies: NDArray[np.int64], sampled: bool) -> Bits:
    """Which slots begin in a valid interval of each store: bits [stores, slots / 8].

    Where `sampled`, a slot is a time that must be one of the store's own, not only lie between two of them.
    """
    held = np.zeros((len(frequencies), -(-slots.number // 8)), np.uint8)
    for store, each in enumerate(valid.by_store(len(frequencies))):
        first = (-((slots.start - each.start) // slots.step)).clip(0, slots.number)
        after = (-((slots.start - each.end) // slots.step)).clip(0, slots.number)
        keep = first < after
        if sampled:
            keep &= (slots.start - each.start) % frequencies[store] == 0
        if keep.any():
            low, high = first[keep].min(), after[keep].max()
            change = np.zeros(high - low + 1, np.int32)
            np.add.at(change, first[keep] - low, 1)
            np.add.at(change, after[keep] - low, -1)
            row = np.zeros(slots.number, bool)
            row[low:high] = np.cumsum(change[:-1]) > 0
            held[store] = np.packbits(row)
    return held


def fewest(held: Bits, has: NDArray[np.bool_], wanted: Bits) -> tuple[list[int], Bits]:
    """Stores of which none can be left out, and what they lack of `wanted`: bits [variables, slots / 8].

    Args: `held` [stores, slots / 8]; `has` [stores, variables], which variables are in which store. The store that
    adds the most comes next, until none adds anything; then those that the others make needless go.
    """
    kinds, kind_of = np.unique(has, axis=1, return_inverse=True)
    weights = np.bincount(kind_of.ravel(), minlength=kinds.shape[1])
    lacking = np.repeat(wanted[None], kinds.shape[1], axis=0)

    def gain(store: int) -> int:
        return int(np.bitwise_count(held[store] & lacking).sum(axis=1) @ (kinds[store] * weights))

    queue = [(-gain(store), store) for store in range(len(held))]
    heapify(queue)
    chosen: list[int] = []
    while queue:
        best = heappop(queue)[1]
        now = gain(best)
        if queue and now < -queue[0][0]:
            heappush(queue, (-now, best))  # others have taken from what it adds, which never grows
        elif now:
            chosen.append(best)
            lacking &= ~_together(held, kinds, [best])
    for needless in chosen[::-1]:
        others = [store for store in chosen if store != needless]
        if np.array_equal(wanted & ~_together(held, kinds, others), lacking):
            chosen = others
    return chosen, lacking[kind_of.ravel()]


def _together(held: Bits, has: NDArray[np.bool_], stores: list[int]) -> Bits:
    """What these stores hold: bits [variables, slots / 8]."""
    both = held[stores][:, None, :] * has[stores][:, :, None].astype(np.uint8)
    return np.bitwise_or.reduce(both, axis=0)


def _seconds(time: np.datetime64) -> int:
    return int(time.astype("datetime64[s]").astype(np.int64))
