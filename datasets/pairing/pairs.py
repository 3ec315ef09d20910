"""Pairing: for each valid time, the fields of its sample, or the reasons why they are missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corrstore.datasets.archives.inventory import Inventory
from corrstore.datasets.archives.references import REFERENCE_SCHEMA
from corrstore.datasets.pairing.held import Archive, Choice, PairRow, held_channel
from corrstore.datasets.pairing.sample_plan import PAIRS_SCHEMA
from corrstore.datasets.pairing.sources import needed_channels
from corrstore.datasets.recipe.periods import format_time
from corrstore.datasets.recipe.recipe import Recipe
from corrstore.datasets.recipe.sample_axes import SampleAxes, format_lead
from corrstore.datasets.variables.channels import Channel

_RUNS_NAMED = 4
_NO_REFERENCE: PairRow = dict.fromkeys(REFERENCE_SCHEMA.names)


def pair(recipe: Recipe, inventories: dict[str, Inventory]) -> tuple[pa.Table, dict[str, int]]:
    """Find the fields of every sample of the recipe.

    All fields that a sample takes from one source are of one run, window sums included: that of the forecast, or one
    that `sources.NAME.lead` allows. Returns the rows (PAIRS_SCHEMA, ascending in index) and a count of each thing that
    a reader of the report should know: fields that several files hold, preliminary fields beside final ones (expver
    0001 wins over 0005), samples made from a longer lead.
    """
    notes: Counter[str] = Counter()
    tables = [PAIRS_SCHEMA.empty_table()]
    window = timedelta(seconds=int(recipe.window_length.astype(int)))
    for source, channels in needed_channels(recipe).items():
        references = inventories[source].references
        of_channel = {
            channel.name: _useful_references(
                references.filter(pc.equal(references["channel"], channel.name)), channel, recipe.axes
            ).to_pylist()
            for channel in channels
        }
        static = [channel for channel in channels if channel.variable.static]
        rows = [_static_row(source, channel, of_channel[channel.name]) for channel in static]
        held = [held_channel(each, of_channel[each.name], notes) for each in channels if each not in static]
        if held:
            archive = Archive(held, window, recipe.sources[source].lead)
            rows += list(_rows_of(recipe, source, archive, notes))
        tables.append(pa.Table.from_pylist(rows, schema=PAIRS_SCHEMA))
    order = [(key, "ascending") for key in ("index", "source", "wanted", "window_start", "valid_time")]
    return pa.concat_tables(tables).sort_by(order), dict(notes)


def _useful_references(held: pa.Table, channel: Channel, axes: SampleAxes) -> pa.Table:
    """Return the references that a sample can use.

    Instantaneous fields are used at the store's own times, and of its own runs; the first field of a static channel is
    enough.
    """
    if channel.variable.static:
        return held.sort_by([("path", "ascending"), ("offset", "ascending")]).slice(0, 1)
    if axes.inits is not None:
        of_runs = pc.is_in(held["init_time"], pa.array(axes.inits))
        held = held.filter(pc.or_(of_runs, pc.is_null(held["init_time"])))
    if channel.variable.windowed:
        return held
    return held.filter(pc.is_in(held["valid_time"], pa.array(axes.valid_times)))


def _static_row(source: str, channel: Channel, rows: list[PairRow]) -> PairRow:
    return {
        **(rows[0] if rows else {**_NO_REFERENCE, "channel": channel.name}),
        "source": source,
        "wanted": channel.name,
        "index": -1,
        "time": None,
        "sign": len(rows),
        "missing": None if rows else f"{source} holds no {channel.name}",
    }


def _rows_of(recipe: Recipe, source: str, archive: Archive, notes: Counter[str]) -> Iterator[PairRow]:
    axes = recipe.axes
    for index in axes.due_samples:
        time: datetime = axes.valid_times[index].astype(object)
        init: datetime | None = axes.init_times[index].astype(object)
        choice = archive.choose(time) if init is None else archive.from_run(init, time)
        runs = archive.runs(time)
        if init is None and len(runs) > 1:
            notes[f"valid times of {source} in several runs, one of which is taken"] += 1
            if choice.run != runs[0]:
                notes[f"valid times of {source} not taken from the run of the shortest lead"] += 1
        for name, terms in choice.terms.items():
            place = {"source": source, "wanted": name, "index": index, "time": time, "missing": None}
            if terms is None:
                missing = _reason(recipe, source, archive, choice, name, time)
                yield {**_NO_REFERENCE, **place, "channel": name, "sign": 0, "missing": missing}
            for sign, row in terms or []:
                yield {**row, **place, "sign": sign}


def _text(time: datetime) -> str:
    return format_time(np.datetime64(time, "s"))


def _reason(recipe: Recipe, source: str, archive: Archive, choice: Choice, name: str, time: datetime) -> str:
    """Return why a channel is missing at a valid time, with the run that was taken and those that were not."""
    windowed = archive.channels[name].channel.variable.windowed
    over = f" over {recipe.accumulation_window}" if windowed else ""
    reason = f"{source} holds no {name}{over} at {_text(time)}"
    lengths = archive.channels[name].lengths()
    if windowed and lengths and recipe.window_length.astype(object) < lengths[0]:
        reason += f" (the shortest window that it holds is of {format_lead(np.timedelta64(lengths[0]))})"
    runs = archive.runs(time)
    if recipe.forecast is not None and choice.run is not None:
        if windowed and time - recipe.window_length.astype(object) < choice.run:
            return f"{reason}: the window begins before the run of {_text(choice.run)}"
        return f"{reason} in the run of {_text(choice.run)}"
    if choice.run is not None and len(runs) > 1 and not archive.channels[name].belongs_to_no_run:
        return f"{reason} in the run of {_text(choice.run)}"
    if choice.run is None and runs:
        held = ", ".join(_text(run) for run in runs[:_RUNS_NAMED])
        lead = recipe.sources[source].lead
        return f"{reason} in the runs that sources.{source}.lead allows ({lead}); it holds the runs of {held}"
    return reason
