"""The parts of a period that stores hold, as bits, and a minimal combination of stores that holds all of it."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corrstore.datasets.recipe.periods import Interval

Bits = NDArray[np.uint8]
_SHORTEST = 900
_RUNS_APART = 1 << 34  # seconds, more than between any two times


class Slots(NamedTuple):
    """A period cut into `number` slots of `step` seconds from `start`, in seconds since 1970."""

    start: int
    step: int
    number: int

    def interval(self, first: int, after: int) -> Interval:
        """The time from slot `first` on, before slot `after`."""
        bounds = np.array([self.start + first * self.step, self.start + after * self.step])
        return Interval(*bounds.astype("datetime64[s]"))


class Intervals(NamedTuple):
    """Half-open intervals [start, end) in seconds since 1970, in the order of runs and times; those of a run are apart.

    `run` has the init time of each; where samples are of no run, it is the integer that stands for NaT.
    """

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    run: NDArray[np.int64]

    def hold(self, seconds: NDArray[np.int64], run: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return a mask of the times that lie in an interval of their own run."""
        runs = np.unique(self.run)
        starts, times = (
            np.searchsorted(runs, of) * _RUNS_APART + at for of, at in ((self.run, self.start), (run, seconds))
        )
        place = np.searchsorted(starts, times, "right") - 1
        return (place >= 0) & (seconds < np.append(self.end, 0)[place]) & (run == np.append(self.run, 0)[place])


def valid_intervals(coverage: pa.Table, registrations: list[str]) -> list[Intervals]:
    """The valid intervals of each of the registrations, from the rows of the table `coverage`."""
    if len(coverage) == 0:
        return [Intervals(*np.zeros((3, 0), np.int64)) for _ in registrations]
    names, statuses = (coverage[name].combine_chunks() for name in ("registration", "status"))
    place = {name: number for number, name in enumerate(registrations)}
    store = np.array([place.get(name, -1) for name in names.dictionary.to_pylist()])[names.indices.to_numpy()]
    valid = np.array([status == "valid" for status in statuses.dictionary.to_pylist()])[statuses.indices.to_numpy()]
    rows = np.flatnonzero(valid & (store >= 0))
    start, end, run = (
        coverage[name].to_numpy().astype("datetime64[s]").astype(np.int64)[rows]
        for name in ("start", "end", "init_time")
    )
    order = np.lexsort((start, run, store[rows]))
    bounds = np.searchsorted(store[rows][order], np.arange(len(registrations) + 1))
    return [
        Intervals(start[order[low:high]], end[order[low:high]], run[order[low:high]]) for low, high in pairwise(bounds)
    ]


def slots_of(period: Interval, valid: list[Intervals], frequencies: NDArray[np.int64], frequency: int | None) -> Slots:
    """The slots that a period is looked at in.

    With a frequency asked for, one for each of its times, counted from 00 UTC. Else the longest that no interval
    divides, but not less than a quarter of an hour or the shortest of the stores' own frequencies.
    """
    start, end = (int(time.astype("datetime64[s]").astype(np.int64)) for time in (period.start, period.end))
    if frequency is not None:
        first = -(-start // frequency) * frequency
        return Slots(first, frequency, max(-(-(end - first) // frequency), 0))
    bounds = np.concatenate([np.array([end]), *(times for each in valid for times in each[:2])]).clip(start, end)
    finest = min(_SHORTEST, int(frequencies.min(initial=_SHORTEST)))
    step = max(int(np.gcd.reduce(bounds - start)), finest)
    return Slots(start, step, -(-(end - start) // step))


def held_slots(valid: list[Intervals], slots: Slots, frequencies: NDArray[np.int64], sampled: bool) -> Bits:
    """Return the slots that begin in a valid interval of each store: bits [stores, slots / 8].

    Where `sampled`, a slot is a time that must be one of the store's own, not only lie between two of them.
    """
    held = np.zeros((len(valid), -(-slots.number // 8)), np.uint8)
    for store, (start, end, _) in enumerate(valid):
        first = (-((slots.start - start) // slots.step)).clip(0, slots.number)
        after = (-((slots.start - end) // slots.step)).clip(0, slots.number)
        keep = first < after
        if sampled:
            keep &= (slots.start - start) % frequencies[store] == 0
        if keep.any():
            low, high = first[keep].min(), after[keep].max()
            change = np.zeros(high - low + 1, np.int32)
            np.add.at(change, first[keep] - low, 1)
            np.add.at(change, after[keep] - low, -1)
            row = np.zeros(slots.number, bool)
            row[low:high] = np.cumsum(change[:-1]) > 0
            held[store] = np.packbits(row)
    return held


def minimal_combination(held: Bits, has: NDArray[np.bool_], wanted: Bits) -> tuple[list[int], Bits]:
    """Return stores of which none can be left out, and what they lack of `wanted`: bits [variables, slots / 8].

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
            lacking[kinds[best]] &= ~held[best]
    return _needed(held & wanted, kinds, chosen), lacking[kind_of.ravel()]


def _needed(held: Bits, has: NDArray[np.bool_], chosen: list[int]) -> list[int]:
    """The chosen stores but for those, from the last on, of which all is held by others."""
    holders = np.zeros((has.shape[1], 8 * held.shape[1]), np.int32)
    for store in chosen:
        place, bits = _unpacked(held[store])
        holders[has[store], place] += bits
    needed = []
    for store in chosen[::-1]:
        place, bits = _unpacked(held[store])
        if ((holders[has[store], place] == 1) & bits.astype(bool)).any():
            needed.append(store)
        else:
            holders[has[store], place] -= bits
    return needed[::-1]


def _unpacked(held: NDArray[np.uint8]) -> tuple[slice, NDArray[np.uint8]]:
    """The slots from about the first to about the last that is held, and their bits."""
    some = np.flatnonzero(held)
    first, after = (int(some[0]), int(some[-1]) + 1) if some.size else (0, 0)
    return slice(8 * first, 8 * after), np.unpackbits(held[first:after])
