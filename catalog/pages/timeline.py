"""Stores side by side in time: where each has valid samples, on one axis."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from corrstore.catalog.drawing.calendar import STATUSES
from corrstore.catalog.drawing.pictures import Tick
from corrstore.catalog.pages.store_summary import StoreSummary

_MOST_PARTS = 300
_NEARLY_ALL = 0.95
_MOST_TICKS = 7
_STEPS = (("D", (1, 2, 5, 10)), ("M", (1, 2, 3, 6)), ("Y", (1, 2, 5, 10, 20, 50, 100)))


class Stretch(NamedTuple):
    """Neighbouring samples of one status, in per cent from the left."""

    left: float
    width: float
    status: str


class Timeline:
    """An axis of time that spans the periods of all these rows of the table `stores`."""

    def __init__(self, stores: Sequence[dict[str, Any]]) -> None:
        self.start = min((np.datetime64(row["start"], "s") for row in stores), default=np.datetime64(0, "s"))
        self.end = max((np.datetime64(row["end"], "s") for row in stores), default=np.datetime64(1, "s"))

    @property
    def ticks(self) -> list[Tick]:
        """Round days, months or years, the most of them that are few."""
        for unit, steps in _STEPS:
            for step in steps:
                first = -(-int(self.start.astype(f"datetime64[{unit}]").astype(int)) // step) * step
                last = int(self.end.astype(f"datetime64[{unit}]").astype(int))
                numbers = np.arange(first, last + 1, step)
                if len(numbers) <= _MOST_TICKS:
                    times = numbers.astype(f"datetime64[{unit}]")
                    return [Tick(self._percent(time), str(time)) for time in times if self.start <= time <= self.end]
        return []

    def stretches(self, summary: StoreSummary) -> list[Stretch]:
        """A store's samples, in at most 300 stretches of one status; of forecasts by valid time, at whatever lead."""
        counts = _counts(summary)
        limits = np.linspace(0, len(counts), min(len(counts), _MOST_PARTS) + 1).astype(int)
        parts = [(_majority_status(counts[low:high].sum(axis=0)), low, high) for low, high in pairwise(limits)]
        found = []
        for status, group in groupby(parts, key=lambda part: part[0]):
            members = list(group)
            if not status:
                continue
            bounds = (summary.start + place * summary.frequency for place in (members[0][1], members[-1][2]))
            left, right = map(self._percent, bounds)
            found.append(Stretch(left, right - left, status))
        return found

    def _percent(self, time: np.datetime64) -> float:
        start, end, at = (each.astype("datetime64[s]").astype(float) for each in (self.start, self.end, time))
        return 100 * float((at - start) / (end - start))


def valid_runs(summary: StoreSummary) -> list[tuple[int, int]]:
    """The steps of a store's period that have valid samples: from the first of each stretch to before the second."""
    valid = _counts(summary)[:, STATUSES.index("valid")] > 0
    changes = np.flatnonzero(np.diff(valid, prepend=False, append=False))
    return [(int(first), int(after)) for first, after in changes.reshape(-1, 2)]


def _counts(summary: StoreSummary) -> NDArray[np.int64]:
    """Return the numbers of valid, partial and missing samples in each step of the store's period [steps, 3]."""
    samples = summary.samples
    place = ((samples.times - summary.start) // summary.frequency).clip(0, len(summary.times) - 1)
    counts = np.zeros((len(summary.times), len(STATUSES)), np.int64)
    np.add.at(counts, (place, samples.statuses), 1)
    return counts


def _majority_status(counts: NDArray[np.int64]) -> str:
    """Return the status that nearly all have, else partial; nothing where there are no samples."""
    if not counts.any():
        return ""
    return STATUSES[int(counts.argmax())] if counts.max() >= _NEARLY_ALL * counts.sum() else "partial"
