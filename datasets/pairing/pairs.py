"""Pairing: for each valid time, the fields of its sample, or the reasons why they are missing."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from corrstore.datasets.archives.inventory import Inventory
from corrstore.datasets.pairing.held import Archive, Choice, Terms, Time, held_channel, seconds
from corrstore.datasets.pairing.sample_plan import PAIRS_SCHEMA
from corrstore.datasets.pairing.sources import needed_channels
from corrstore.datasets.recipe.periods import format_time
from corrstore.datasets.recipe.recipe import Recipe
from corrstore.datasets.recipe.sample_axes import SampleAxes, format_lead
from corrstore.datasets.variables.channels import Channel

_RUNS_NAMED = 4
_NO_RUNS = "analysis: true"
_LAST = np.iinfo(np.int64).max


def pair(recipe: Recipe, inventories: dict[str, Inventory]) -> tuple[pa.Table, dict[str, int]]:
    """Find the fields of every sample of the recipe.

    All fields that a sample takes from one source are of one run, window sums included: that of the forecast, or one
    that `sources.NAME.lead` allows. Returns the rows (PAIRS_SCHEMA, ascending in index) and a count of each thing that
    a reader of the report should know: fields that several files hold, preliminary fields beside final ones (expver
    0001 wins over 0005), samples made from a longer lead.
    """
    notes: Counter[str] = Counter()
    needed = needed_channels(recipe)
    rows = _Rows(sorted(needed), sorted({channel.name for channels in needed.values() for channel in channels}))
    window = int(recipe.window_length.astype(np.int64))
    before = 0  # the number of references of the sources before
    for source, channels in needed.items():
        references = inventories[source].references
        held = []
        for channel, numbers in _by_channel(references, channels):
            of_channel = references.take(numbers)
            useful = _useful(of_channel, channel, recipe.axes)
            of_channel, numbers = of_channel.take(useful), pc.add(numbers.take(useful), before)
            if channel.variable.static:
                missing = None if len(numbers) else f"{source} holds no {channel.name}"
                rows.add(-1, source, channel.name, [(1, number, 1.0) for number in numbers.to_pylist()], missing)
            else:
                held.append(held_channel(channel, of_channel, numbers, notes))
        if held:
            _add_samples(recipe, source, Archive(held, window, recipe.sources[source].lead), notes, rows)
        before += len(references)
    return rows.table(pa.concat_tables([inventories[source].references for source in needed]), recipe.axes), dict(notes)


def _by_channel(references: pa.Table, channels: list[Channel]) -> list[tuple[Channel, pa.Array]]:
    """Return the numbers of the references of each channel."""
    place = pc.index_in(references["channel"], pa.array([channel.name for channel in channels], pa.string()))
    places = pc.fill_null(place, -1).to_numpy()
    order = np.argsort(places, kind="stable")
    bounds = np.searchsorted(places[order], np.arange(len(channels) + 1))
    return [(channel, pa.array(order[bounds[i] : bounds[i + 1]])) for i, channel in enumerate(channels)]


def _useful(held: pa.Table, channel: Channel, axes: SampleAxes) -> pa.Array:
    """Return the numbers of the references of a channel that a sample can use.

    Instantaneous fields are used at the store's own times, and of its own runs; the first field of a static channel is
    enough.
    """
    if channel.variable.static:
        return pc.sort_indices(held, [("path", "ascending"), ("offset", "ascending")]).slice(0, 1)
    keep = np.ones(len(held), bool)
    if axes.inits is not None:
        of_runs = pc.is_in(held["init_time"], pa.array(axes.inits))
        keep &= pc.or_(of_runs, pc.is_null(held["init_time"])).to_numpy()
    if not channel.variable.windowed:
        keep &= pc.is_in(held["valid_time"], pa.array(axes.valid_times)).to_numpy()
    return pa.array(np.flatnonzero(keep))


@dataclass
class _Rows:
    """The rows of the pairs as numbers: of the sample, source and channel, and of the reference among all, or -1."""

    sources: list[str]
    channels: list[str]
    index: list[int] = field(default_factory=list)
    source: list[int] = field(default_factory=list)
    wanted: list[int] = field(default_factory=list)
    sign: list[int] = field(default_factory=list)
    reference: list[int] = field(default_factory=list)
    share: list[float] = field(default_factory=list)
    missing: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._place_of_source = {name: place for place, name in enumerate(self.sources)}
        self._place_of_channel = {name: place for place, name in enumerate(self.channels)}

    def add(self, index: int, source: str, channel: str, terms: Terms, missing: str | None = None) -> None:
        """Add a row for each term or, where there is none, one that says why the field is missing."""
        if missing:
            self.missing[len(self.index)] = missing
        place_of_source, place_of_channel = self._place_of_source[source], self._place_of_channel[channel]
        for sign, reference, share in terms or [(0, -1, 1.0)]:
            self.index.append(index)
            self.source.append(place_of_source)
            self.wanted.append(place_of_channel)
            self.sign.append(sign)
            self.reference.append(reference)
            self.share.append(share)

    def table(self, references: pa.Table, axes: SampleAxes) -> pa.Table:
        """Return the rows as PAIRS_SCHEMA, in the order of sample, source, channel and window."""
        numbers = (self.index, self.source, self.wanted, self.sign, self.reference)
        index, source, wanted, sign, reference = (np.array(each, np.int64) for each in numbers)
        taken = pa.array(reference, mask=reference < 0)
        times = (_sortable(references[name].take(taken)) for name in ("valid_time", "window_start"))
        order = np.lexsort((*times, wanted, source, index))
        index, wanted = index[order], pa.array(wanted[order])
        time = np.append(axes.valid_times, np.datetime64("NaT", "s"))[index]  # the last one is of the static fields
        missing = pa.array([self.missing.get(number) for number in order.tolist()], pa.string())
        held = references.take(taken.take(pa.array(order)))
        names = pa.array(self.channels, pa.string()).take(wanted)
        share = pa.array(self.share, pa.float64()).take(pa.array(order))
        columns: dict[str, Any] = {
            **dict(zip(held.column_names, held.columns, strict=True)),
            **{name: pc.multiply(held[name], share) for name in ("scale", "add_offset")},
            "channel": pc.coalesce(held["channel"], names),
            "index": index,
            "time": time,
            "source": pa.array(self.sources, pa.string()).take(pa.array(source[order])),
            "wanted": names,
            "sign": sign[order],
            "missing": missing,
        }
        nothing = pa.nulls(len(index))
        return pa.table({name: columns.get(name, nothing) for name in PAIRS_SCHEMA.names}).cast(PAIRS_SCHEMA)


def _sortable(times: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return times as numbers; where there is none, a number after all others."""
    return np.asarray(pc.fill_null(times.cast(pa.int64()), _LAST).to_numpy())


def _add_samples(recipe: Recipe, source: str, archive: Archive, notes: Counter[str], rows: _Rows) -> None:
    axes = recipe.axes
    valid_times, init_times = (seconds(pa.array(each)) for each in (axes.valid_times, axes.init_times))
    for index in axes.due_samples:
        time, init = valid_times[index], init_times[index]
        assert time is not None
        choice = archive.choose(time) if init is None else archive.from_run(init, time)
        if init is None and len(runs := archive.runs(time)) > 1:
            notes[f"valid times of {source} in several runs, one of which is taken"] += 1
            if choice.run != runs[0]:
                notes[f"valid times of {source} not taken from the run of the shortest lead"] += 1
        for name, terms in choice.terms.items():
            missing = _reason(recipe, source, archive, choice, name, time) if terms is None else None
            rows.add(index, source, name, terms or [], missing)


def _text(time: Time) -> str:
    return format_time(np.datetime64(time, "s"))


def _reason(recipe: Recipe, source: str, archive: Archive, choice: Choice, name: str, time: Time) -> str:
    """Return why a channel is missing at a valid time, with the run that was taken and those that were not."""
    channel, window = archive.channels[name], int(recipe.window_length.astype(np.int64))
    windowed = channel.channel.variable.windowed
    over = f" over {recipe.accumulation_window}" if windowed else ""
    reason = f"{source} holds no {name}{over} at {_text(time)}"
    lengths = channel.lengths if windowed else []
    if lengths and window < lengths[0]:
        reason += f" (the shortest window that it holds is of {format_lead(np.timedelta64(lengths[0], 's'))})"
    elif lengths and window % (step := math.gcd(*lengths)):
        reason += f" (the windows that it holds are multiples of {format_lead(np.timedelta64(step, 's'))})"
    runs = archive.runs(time)
    if recipe.forecast is not None and choice.run is not None:
        if windowed and time - window < choice.run:
            return f"{reason}: the window begins before the run of {_text(choice.run)}"
        return f"{reason} in the run of {_text(choice.run)}"
    if choice.run is not None and not channel.belongs_to_no_run:
        if len(runs) > 1:
            reason += f" in the run of {_text(choice.run)}"
        if channel.of_any_run.terms(None, window, time) is not None:
            reason += f"; all runs together do: for a reanalysis write in a source table of your own {_NO_RUNS}"
        return reason
    if choice.run is None and runs:
        held = ", ".join(_text(run) for run in runs[:_RUNS_NAMED])
        lead = recipe.sources[source].lead
        return f"{reason} in the runs that sources.{source}.lead allows ({lead}); it holds the runs of {held}"
    return reason
