"""Accumulation windows: the sum of an archive's amounts that gives the amount of one window."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Hashable, Iterable, Iterator
from typing import Generic, TypeVar

Moment = TypeVar("Moment", bound=Hashable)

_LONGEST_CHAIN = 64


class Accumulations(Generic[Moment]):
    """Amounts over intervals [start, end], and the sums and differences of them that give other intervals.

    A step from one moment to a later one is an interval, or the difference of two that began together: the totals
    of one run. A window's amount is the shortest chain of steps from its start to its end. So hourly amounts chain
    and run totals are differenced by one rule, no run is subtracted from another, and where an interval lacks there
    is no chain, never a short sum. Maxima and minima have no `differences`.
    """

    def __init__(self, intervals: Iterable[tuple[Moment, Moment]], differences: bool = True) -> None:
        self._differences = differences
        self._ends: dict[Moment, list[Moment]] = defaultdict(list)  # moment -> ends of the intervals that start then
        self._starts: dict[Moment, list[Moment]] = defaultdict(list)  # moment -> starts of the intervals that end then
        for start, end in sorted(set(intervals)):
            self._ends[start].append(end)
            self._starts[end].append(start)

    def window(self, start: Moment, end: Moment) -> list[tuple[int, tuple[Moment, Moment]]] | None:
        """Return the signed intervals that make up the window, with fewest steps; None where there are none."""
        found: dict[Moment, list[tuple[int, tuple[Moment, Moment]]]] = {start: []}
        queue = deque([(start, 0)])
        while queue:
            moment, steps = queue.popleft()
            if moment == end:
                return found[moment]
            for later, terms in self._steps_from(moment) if steps < _LONGEST_CHAIN else ():
                if later not in found and later <= end:  # type: ignore[operator]
                    found[later] = found[moment] + terms
                    queue.append((later, steps + 1))
        return None

    def _steps_from(self, moment: Moment) -> Iterator[tuple[Moment, list[tuple[int, tuple[Moment, Moment]]]]]:
        for end in self._ends.get(moment, ()):
            yield end, [(1, (moment, end))]
        for run in self._starts.get(moment, ()) if self._differences else ():
            for end in self._ends[run]:
                if end > moment:  # type: ignore[operator]
                    yield end, [(-1, (run, moment)), (1, (run, end))]
