"""Pairing: for each valid time, the fields of its sample, or the reasons why they are missing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corrstore.datasets.archives.inventory import Inventory
from corrstore.datasets.archives.references import REFERENCE_SCHEMA
from corrstore.datasets.errors import BadInput
from corrstore.datasets.pairing.sample_plan import PAIRS_SCHEMA
from corrstore.datasets.pairing.sources import needed_channels
from corrstore.datasets.pairing.windows import Accumulations
from corrstore.datasets.recipe.periods import Times, format_time
from corrstore.datasets.recipe.recipe import Recipe
from corrstore.datasets.variables.channels import Channel

PairRow = dict[str, Any]
_NO_REFERENCE: PairRow = dict.fromkeys(REFERENCE_SCHEMA.names)


def pair(recipe: Recipe, inventories: dict[str, Inventory]) -> tuple[pa.Table, dict[str, int]]:
    """Find the fields of every sample of the recipe's period.

    Returns the rows (PAIRS_SCHEMA, ascending in time) and a count of each thing that a reader of the report should
    know: fields that several files hold (the shortest lead wins), preliminary fields beside final ones
    (expver 0001 wins over 0005). Raises BadInput where a source holds several members or several grids of a field.
    """
    notes: Counter[str] = Counter()
    tables = [PAIRS_SCHEMA.empty_table()]
    for source, channels in needed_channels(recipe).items():
        references = inventories[source].references
        _refuse_mixtures(source, references)
        for channel in channels:
            held = references.filter(pc.equal(references["channel"], channel.name))
            best = _best_rows(_useful_references(held, channel, recipe.times).to_pylist(), notes)
            rows = list(_rows_of(recipe, source, channel, best))
            tables.append(pa.Table.from_pylist(rows, schema=PAIRS_SCHEMA))
    order = [(key, "ascending") for key in ("index", "source", "wanted", "window_start", "valid_time")]
    return pa.concat_tables(tables).sort_by(order), dict(notes)


def _useful_references(held: pa.Table, channel: Channel, times: Times) -> pa.Table:
    """Return the references that a sample can use.

    Instantaneous fields are used at the store's own times; the first field of a static channel is enough.
    """
    if channel.variable.static:
        return held.sort_by([("path", "ascending"), ("offset", "ascending")]).slice(0, 1)
    if channel.variable.windowed:
        return held
    return held.filter(pc.is_in(held["valid_time"], pa.array(times)))


def _rows_of(recipe: Recipe, source: str, channel: Channel, best: dict[tuple[Any, Any], PairRow]) -> Iterator[PairRow]:
    base: PairRow = {"source": source, "wanted": channel.name, "missing": None}
    if channel.variable.static:
        row = next(iter(best.values()), None)
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
    for index, time in enumerate(recipe.times):
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


def _best_rows(rows: list[PairRow], notes: Counter[str]) -> dict[tuple[Any, Any], PairRow]:
    """Return the best row of each (window start, valid time): final before preliminary, then the shortest lead."""
    best: dict[tuple[Any, Any], PairRow] = {}
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
        counted = references.group_by(["channel", column]).aggregate([("path", "count"), ("path", "min")])
        found: dict[str, list[PairRow]] = defaultdict(list)
        for row in counted.sort_by("path_count").to_pylist():
            found[row["channel"]].append(row)
        for channel, kinds in found.items():
            if len(kinds) > 1:
                each = ", ".join(f"{kind[column]}: {kind['path_count']} fields" for kind in kinds)
                raise BadInput(
                    f"sources.{source} holds {channel} on {len(kinds)} {what} ({each}; the fewest, for instance, in"
                    f" {kinds[0]['path_min']}); narrow sources.{source}.files to one of them"
                )
