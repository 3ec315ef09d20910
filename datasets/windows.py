"""Windows of accumulation: how the amounts that an archive holds add up to the amount in one window."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

Moment = TypeVar("Moment", bound=Hashable)

_LONGEST_CHAIN = 64


class Accumulations(Generic[Moment]):
    """Amounts over intervals [start, end], and the sums and differences of them that give other intervals.

    Each interval is an edge between two moments, walked forwards to add its amount and backwards to subtract it;
    a window's amount is the shortest walk from its start to its end. So hourly amounts chain, and totals since
    the start of a run are differenced, by one rule; where an interval lacks there is no walk, never a short sum.
    """

    def __init__(self, intervals: Iterable[tuple[Moment, Moment]]) -> None:
        self._edges: dict[Moment, list[tuple[Moment, int, tuple[Moment, Moment]]]] = defaultdict(list)
        for start, end in sorted(set(intervals)):
            self._edges[start].append((end, 1, (start, end)))
            self._edges[end].append((start, -1, (start, end)))

    def window(self, start: Moment, end: Moment) -> list[tuple[int, tuple[Moment, Moment]]] | None:
        """The signed intervals that make up the window, fewest first found; None where there are none."""
        came_from: dict[Moment, tuple[Moment, int, tuple[Moment, Moment]] | None] = {start: None}
        queue = deque([(start, 0)])
        while queue:
            moment, steps = queue.popleft()
            if moment == end:
                return _walk(came_from, end)
            for neighbour, sign, interval in self._edges[moment] if steps < _LONGEST_CHAIN else []:
                if neighbour not in came_from:
                    came_from[neighbour] = (moment, sign, interval)
                    queue.append((neighbour, steps + 1))
        return None


def _walk(
    came_from: dict[Moment, tuple[Moment, int, tuple[Moment, Moment]] | None], end: Moment
) -> list[tuple[int, tuple[Moment, Moment]]]:
    steps = []
    step = came_from[end]
    while step is not None:
        moment, sign, interval = step
        steps.append((sign, interval))
        step = came_from[moment]
    return steps[::-1]
