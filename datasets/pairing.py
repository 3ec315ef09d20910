"""Pairing: for each valid time, the fields that make up its sample, or why there are none."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from datasets.channels import Channel, channel_named
from datasets.errors import BadInput
from datasets.periods import Times, format_time
from datasets.recipe import Recipe
from datasets.sources.inventory import Inventory
from datasets.sources.references import REFERENCE_SCHEMA, FieldReference
from datasets.windows import Accumulations

PAIRS_SCHEMA = pa.schema(
    [
        ("index", pa.int64()),  # along the store's time axis; -1 for static fields
        ("time", pa.timestamp("s")),
        ("source", pa.string()),
        ("wanted", pa.string()),  # the channel that the terms below add up to
        ("sign", pa.int64()),  # 1 or -1; 0 in a row that says why the field is missing
        ("missing", pa.string()),
        *REFERENCE_SCHEMA,
    ]
)

Row = dict[str, Any]
_NO_REFERENCE: Row = dict.fromkeys(REFERENCE_SCHEMA.names)


@dataclass(frozen=True)
class Term:
    """A field that is added (sign 1) or subtracted (sign -1)."""

    sign: int
    reference: FieldReference


@dataclass(frozen=True)
class SamplePlan:
    """One valid time: for each (source, channel) the terms of its field, or the reason why it is missing."""

    index: int
    valid_time: np.datetime64
    fields: dict[tuple[str, str], list[Term]]
    missing: dict[tuple[str, str], str]


def needed_channels(recipe: Recipe) -> dict[str, list[Channel]]:
    """The channels to look for in each source that has an archive; both components of a wind, static ones too."""
    needed: dict[str, dict[str, Channel]] = defaultdict(dict)
    for role, spec in (("input", recipe.input), ("target", recipe.target)):
        source = read_source(recipe, spec.source)
        for channel in recipe.channels[role]:
            for each in (channel, channel.vector_partner):
                if each is not None:
                    needed[source][each.name] = each
    for static in recipe.static:
        channel = channel_named(static.variable)
        needed[read_source(recipe, static.source)][channel.name] = channel
    return {source: list(channels.values()) for source, channels in needed.items()}


def read_source(recipe: Recipe, name: str) -> str:
    """The source whose archive is read for the source of that name: itself, or what it is coarsened from."""
    return recipe.sources[name].of or name


def pair(recipe: Recipe, inventories: dict[str, Inventory]) -> tuple[pa.Table, dict[str, int]]:
    """Find the fields of every sample of the recipe's period.

    Returns the rows (PAIRS_SCHEMA, ascending in time) and a count of each thing that a reader of the report should
    know: fields that several files hold (the shortest lead wins), preliminary fields beside final ones
    (expver 0001 wins over 0005). Raises BadInput where a source holds several members or several grids of a field.
    """
    times = recipe.times
    rows: list[Row] = []
    notes: Counter[str] = Counter()
    for source, channels in needed_channels(recipe).items():
        references = inventories[source].references
        _refuse_mixtures(source, references)
        by_channel: dict[str, list[Row]] = defaultdict(list)
        for row in references.to_pylist():
            by_channel[row["channel"]].append(row)
        for channel in channels:
            best = _best(by_channel[channel.name], notes)
            rows += _rows_of(recipe, source, channel, best, times)
    rows.sort(key=lambda row: (row["index"], row["source"], row["wanted"]))
    return pa.Table.from_pylist(rows, schema=PAIRS_SCHEMA), dict(notes)


def sample_plans(pairs: pa.Table) -> Iterator[SamplePlan]:
    """The samples in the rows, in their order; the static fields come first as the sample of index -1."""
    index_column = pairs["index"].to_numpy()
    starts = [0, *(np.flatnonzero(np.diff(index_column)) + 1)] if len(pairs) else []
    for start, stop in zip(starts, [*starts[1:], len(pairs)], strict=False):
        rows = pairs.slice(start, stop - start).to_pylist()
        fields: dict[tuple[str, str], list[Term]] = defaultdict(list)
        missing = {}
        for row in rows:
            key = (row["source"], row["wanted"])
            if row["sign"] == 0:
                missing[key] = row["missing"]
            else:
                fields[key].append(Term(row["sign"], FieldReference.from_row(row)))
        time = np.datetime64(rows[0]["time"], "s") if rows[0]["time"] else np.datetime64("NaT")
        yield SamplePlan(int(index_column[start]), time, dict(fields), missing)


def _rows_of(
    recipe: Recipe, source: str, channel: Channel, best: dict[tuple[Any, Any], Row], times: Times
) -> Iterator[Row]:
    base: Row = {"source": source, "wanted": channel.name, "missing": None}
    if channel.variable.static:
        row = best[min(best, key=str)] if best else None
        reference = row or {**_NO_REFERENCE, "channel": channel.name}
        reason = None if row else f"{source} holds no {channel.name}"
        yield {
            **reference,
            **base,
            "index": -1,
            "time": None,
            "sign": int(row is not None),
            "missing": reason,
        }
        return
    accumulations = Accumulations(window for window in best if window[0] is not None)
    for index, time in enumerate(times):
        moment = time.astype(object)
        place = {**base, "index": index, "time": moment}
        if channel.variable.windowed:
            start = (time - recipe.window_length).astype(object)
            parts = accumulations.window(start, moment)
        else:
            parts = [(1, (None, moment))] if (None, moment) in best else None
        if parts is None:
            over = f" over {recipe.window or recipe.period.frequency}" if channel.variable.windowed else ""
            reason = f"{source} holds no {channel.name}{over} at {format_time(time)}"
            yield {**_NO_REFERENCE, **place, "channel": channel.name, "sign": 0, "missing": reason}
        for sign, window in parts or []:
            yield {**best[window], **place, "sign": sign}


def _best(rows: list[Row], notes: Counter[str]) -> dict[tuple[Any, Any], Row]:
    """The best row of each (window start, valid time): final before preliminary, then the shortest lead."""
    best: dict[tuple[Any, Any], Row] = {}
    for row in sorted(rows, key=lambda row: (row["expver"] or "", row["lead_time"], row["path"], row["offset"])):
        window = (row["window_start"], row["valid_time"])
        if window not in best:
            best[window] = row
        elif best[window]["expver"] != row["expver"]:
            notes["preliminary fields set aside for final ones"] += 1
        else:
            notes["fields held by several files, the shortest lead taken"] += 1
    preliminary = sum(row["expver"] == "0005" for row in best.values())
    if preliminary:
        notes["preliminary (expver 0005) fields taken"] += preliminary
    return best


def _refuse_mixtures(source: str, references: pa.Table) -> None:
    for column, what in (("member", "ensemble members"), ("grid_hash", "grids")):
        counts = Counter(zip(references["channel"].to_pylist(), references[column].to_pylist(), strict=True))
        values: dict[str, list[Any]] = defaultdict(list)
        for channel, value in counts:
            values[channel].append(value)
        for channel, found in values.items():
            if len(found) > 1:
                rare = min(found, key=lambda value: counts[channel, value])
                example = next(
                    row["path"]
                    for row in references.select(["channel", column, "path"]).to_pylist()
                    if row["channel"] == channel and row[column] == rare
                )
                raise BadInput(
                    f"sources.{source} holds {channel} on {len(found)} {what}"
                    f" ({', '.join(f'{value}: {counts[channel, value]} fields' for value in found)}; the fewest,"
                    f" for instance, in {example}); narrow sources.{source}.files to one of them"
                )
