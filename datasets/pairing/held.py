"""The fields that an archive holds, run by run, and the one run that a sample is made from."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from corrstore.datasets.pairing.windows import Accumulations
from corrstore.datasets.recipe.source import LeadRule
from corrstore.datasets.variables.channels import Channel

_EPOCH = datetime(1970, 1, 1)
Time = int
"""A time in seconds since 1970: of millions of fields, numbers are compared sooner than dates."""
Run = Time | None
"""The reference time of a run (init_time); None for fields that belong to no run."""
Window = tuple[Time | None, Time]
"""The start and end of a field's window; the start is None for an instantaneous field."""
Terms = list[tuple[int, int, float]]
"""The signs, the numbers of the references whose sum is the wanted field, and what each is multiplied by.

That is 1, and of means the window's share of the whole one, whose mean is the sum of such.
"""


@dataclass
class HeldChannel:
    """The number of the best reference of each window of one channel, by run."""

    channel: Channel
    best: dict[Run, dict[Window, int]] = field(default_factory=lambda: defaultdict(dict))
    _accumulations: dict[Run, Accumulations[Time]] = field(default_factory=dict)

    @property
    def belongs_to_no_run(self) -> bool:
        """True where the channel's fields may be combined with those of any run."""
        return self.best.keys() <= {None}

    def terms(self, run: Run, window: int, time: Time) -> Terms | None:
        """Return the terms of the field at that valid time from that run alone; None where it is not there.

        `window` is the length of the window of an accumulated channel, in seconds.
        """
        run = None if self.belongs_to_no_run else run
        held = self.best.get(run, {})
        method = self.channel.variable.method
        if method is None:
            number = held.get((None, time))
            return None if number is None else [(1, number, 1.0)]
        if run not in self._accumulations:
            windows = ((start, end) for start, end in held if start is not None)
            self._accumulations[run] = Accumulations(windows, differences=method in ("sum", "mean"))
        intervals = self._accumulations[run].window(time - window, time)
        if intervals is None:
            return None
        return [
            (sign, held[start, end], (end - start) / window if method == "mean" else 1.0)
            for sign, (start, end) in intervals
        ]

    @cached_property
    def of_any_run(self) -> HeldChannel:
        """The channel as of an archive whose runs are not told apart."""
        together = {window: number for best in self.best.values() for window, number in best.items()}
        return HeldChannel(self.channel, {None: together})

    @cached_property
    def lengths(self) -> list[int]:
        """The lengths of the windows that are held, in seconds, ascending."""
        windows = {window for best in self.best.values() for window in best}
        return sorted({end - start for start, end in windows if start is not None})


def held_channel(channel: Channel, references: pa.Table, numbers: pa.Array, notes: Counter[str]) -> HeldChannel:
    """Return the best of a channel's references of each run and window: final before preliminary, then the first path.

    Among fields that belong to no run, the shortest lead wins. `numbers` are those of the references (REFERENCE_SCHEMA)
    among all. `notes` counts what was set aside.
    """
    held = HeldChannel(channel)
    expver = pc.fill_null(references["expver"], "")
    keys = pa.table({"expver": expver, **{name: references[name] for name in ("lead_time", "path", "offset")}})
    order = pc.sort_indices(keys, [(name, "ascending") for name in keys.column_names])
    versions = expver.combine_chunks().dictionary_encode()
    preliminary = versions.dictionary.index("0005").as_py()
    rows = zip(
        *(seconds(references[name].take(order)) for name in ("init_time", "window_start", "valid_time")),
        versions.indices.take(order).to_pylist(),
        numbers.take(order).to_pylist(),
        strict=True,
    )
    version_of: dict[int, int] = {}
    for run, start, end, version, number in rows:
        best = held.best[run]
        taken = best.setdefault((start, end), number)
        if taken == number:
            version_of[number] = version
        elif version_of[taken] != version:
            notes["preliminary fields set aside for final ones"] += 1
        else:
            notes["fields held more than once, the first taken"] += 1
    if taken_early := sum(version == preliminary for version in version_of.values()):
        notes["preliminary (expver 0005) fields taken"] += taken_early
    return held


def as_datetime(time: Time) -> datetime:
    """Return a time as a date of Python's, in UTC and without a time zone."""
    return _EPOCH + timedelta(seconds=time)


def seconds(times: pa.Array | pa.ChunkedArray) -> list[int | None]:
    """Return times as seconds since 1970, None where there is none."""
    return times.cast(pa.int64()).to_pylist()


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

    def __init__(self, channels: list[HeldChannel], window: int, leads: LeadRule) -> None:
        self.channels = {held.channel.name: held for held in channels}
        self._window, self._leads = window, leads
        self._runs: dict[Time, set[Run]] = defaultdict(set)  # valid time -> runs that hold a field then
        for held in channels:
            for run, best in held.best.items():
                for _, end in best:
                    self._runs[end].add(run)

    def runs(self, time: Time) -> list[Time]:
        """Return the runs that hold a field at that valid time, the shortest lead first."""
        return sorted((run for run in self._runs.get(time, ()) if run is not None), reverse=True)

    def choose(self, time: Time) -> Choice:
        """Return the choice for one valid time: of the runs that the recipe allows, the one that lacks the least.

        Of runs that lack equally much, the one of the shortest lead.
        """
        allowed = [run for run in self.runs(time) if self._leads.allows(as_datetime(run), as_datetime(time))]
        runs: list[Run] = [*allowed] or [None]
        choices = (self.from_run(run, time) for run in runs)
        best = next(choices)
        for choice in choices:
            if best.lacking == 0:
                break
            if choice.lacking < best.lacking:
                best = choice
        return best

    def from_run(self, run: Run, time: Time) -> Choice:
        """Return what one run holds at that valid time."""
        return Choice(run, {name: held.terms(run, self._window, time) for name, held in self.channels.items()})
