"""The fields that an archive holds, run by run, and the one run that a sample is made from."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from corrstore.datasets.pairing.windows import Accumulations
from corrstore.datasets.recipe.source import LeadRule
from corrstore.datasets.variables.channels import Channel

PairRow = dict[str, Any]
Run = datetime | None
"""The reference time of a run (init_time); None for fields that belong to no run."""
Window = tuple[datetime | None, datetime]
"""The start and end of a field's window; the start is None for an instantaneous field."""
Terms = list[tuple[int, PairRow]]
"""The signed references whose sum is the wanted field."""


@dataclass
class HeldChannel:
    """The best reference of each window of one channel, by run."""

    channel: Channel
    best: dict[Run, dict[Window, PairRow]] = field(default_factory=lambda: defaultdict(dict))
    _accumulations: dict[Run, Accumulations[datetime]] = field(default_factory=dict)

    @property
    def belongs_to_no_run(self) -> bool:
        """True where the channel's fields may be combined with those of any run."""
        return self.best.keys() <= {None}

    def terms(self, run: Run, window: timedelta, time: datetime) -> Terms | None:
        """Return the terms of the field at that valid time from that run alone; None where it is not there.

        `window` is the length of the window of an accumulated channel.
        """
        run = None if self.belongs_to_no_run else run
        held = self.best.get(run, {})
        method = self.channel.variable.method
        if method is None:
            row = held.get((None, time))
            return None if row is None else [(1, row)]
        if run not in self._accumulations:
            windows = ((start, end) for start, end in held if start is not None)
            self._accumulations[run] = Accumulations(windows, differences=method in ("sum", "mean"))
        intervals = self._accumulations[run].window(time - window, time)
        if intervals is None:
            return None
        share = window if method == "mean" else None
        return [(sign, _of_window(held[interval], share)) for sign, interval in intervals]

    def lengths(self) -> list[timedelta]:
        """Return the lengths of the windows that are held, ascending."""
        windows = {window for best in self.best.values() for window in best}
        return sorted({end - start for start, end in windows if start is not None})


def _of_window(row: PairRow, window: timedelta | None) -> PairRow:
    """Return the row of a mean times its window's share of the whole `window`, whose mean is the sum of such."""
    if window is None:
        return row
    share = (row["valid_time"] - row["window_start"]) / window
    return row | {name: row[name] * share for name in ("scale", "add_offset")}


def held_channel(channel: Channel, rows: Iterable[PairRow], notes: Counter[str]) -> HeldChannel:
    """Return the best row of each run and window: final before preliminary, then the first path.

    Among fields that belong to no run, the shortest lead wins. `notes` counts what was set aside.
    """
    held = HeldChannel(channel)
    for row in sorted(rows, key=lambda row: (row["expver"] or "", row["lead_time"], row["path"], row["offset"])):
        best = held.best[row["init_time"]]
        window = (row["window_start"], row["valid_time"])
        if window not in best:
            best[window] = row
        elif best[window]["expver"] != row["expver"]:
            notes["preliminary fields set aside for final ones"] += 1
        else:
            notes["fields held by several files, the first taken"] += 1
    preliminary = sum(row["expver"] == "0005" for best in held.best.values() for row in best.values())
    if preliminary:
        notes["preliminary (expver 0005) fields taken"] += preliminary
    return held


@dataclass(frozen=True)
class Choice:
    """The run of a sample and the terms of each channel; those of a channel that the run lacks are None."""

    run: Run
    terms: dict[str, Terms | None]

    @property
    def lacking(self) -> int:
        """The number of channels that the run lacks."""
        return sum(terms is None for terms in self.terms.values())


class Archive:
    """The channels that one source holds, and the choice of one run for each valid time."""

    def __init__(self, channels: list[HeldChannel], window: timedelta, leads: LeadRule) -> None:
        self.channels = {held.channel.name: held for held in channels}
        self._window, self._leads = window, leads
        self._runs: dict[datetime, set[Run]] = defaultdict(set)  # valid time -> runs that hold a field then
        for held in channels:
            for run, best in held.best.items():
                for _, end in best:
                    self._runs[end].add(run)

    def runs(self, time: datetime) -> list[datetime]:
        """Return the runs that hold a field at that valid time, the shortest lead first."""
        return sorted((run for run in self._runs.get(time, ()) if run is not None), reverse=True)

    def choose(self, time: datetime) -> Choice:
        """Return the choice for one valid time: of the runs that the recipe allows, the one that lacks the least.

        Of runs that lack equally much, the one of the shortest lead.
        """
        allowed = [run for run in self.runs(time) if self._leads.allows(run, time)]
        runs: list[Run] = [*allowed] or [None]
        choices = (self.from_run(run, time) for run in runs)
        best = next(choices)
        for choice in choices:
            if best.lacking == 0:
                break
            if choice.lacking < best.lacking:
                best = choice
        return best

    def from_run(self, run: Run, time: datetime) -> Choice:
        """Return what one run holds at that valid time."""
        return Choice(run, {name: held.terms(run, self._window, time) for name, held in self.channels.items()})
