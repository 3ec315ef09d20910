"""The rows that a catalog keeps of one store, taken from the store's metadata and its ledger."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from corrstore.catalog.tables.entry import Registration
from corrstore.catalog.tables.names import location_of
from corrstore.catalog.tables.schemas import SCHEMAS, TIME, TableName
from corrstore.datasets.errors import BadInput, DamagedData
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.recipe.parts import ROLES
from corrstore.datasets.recipe.periods import parse_duration
from corrstore.datasets.storage.folder import checksum
from corrstore.datasets.store.ledger import HISTOGRAMS, SAMPLES, SHARDS, SOURCES, STATISTICS, UNFINISHED
from corrstore.datasets.store.opening import Store
from corrstore.datasets.variables.channels import Channel
from corrstore.datasets.variables.normalisation import Normalisation

_ROWS_AT_A_TIME = 4096


def describe_store(store: Store) -> Registration:
    """The store's rows of every table.

    Raises BadInput where a build of the store is under way, DamagedData where its ledger lacks a table.
    """
    if store.folder.exists(UNFINISHED):
        raise BadInput(f"{store.folder.url}: a build is under way or was stopped; finish it with `corrstore build`")
    tables: dict[TableName, Callable[[Store], pa.Table]] = {
        "stores": _store_row,
        "channels": _channels,
        "coverage": _coverage,
        "statistics": _statistics,
        "sources": _sources,
        "shards": _shards,
    }
    try:
        rows = {name: table(store) for name, table in tables.items()}
    except FileNotFoundError as error:
        raise DamagedData(f"{store.folder.url} lacks {error.filename or error} of its ledger; build it again") from None
    return Registration(store.recipe.name, location_of(store.folder), rows)


def _table(name: TableName, rows: list[dict[str, Any]]) -> pa.Table:
    """Return the rows as a table of the columns that the rows have."""
    names = {key for row in rows for key in row} or set(SCHEMAS[name].names) - {"registration"}
    return pa.Table.from_pylist(rows, schema=pa.schema([field for field in SCHEMAS[name] if field.name in names]))


def _store_row(store: Store) -> pa.Table:
    recipe, samples, shards = store.recipe, store.table(SAMPLES), store.table(SHARDS)
    statuses = samples["status"].to_pylist()
    inits, leads = store.axes.inits, store.axes.leads
    row = {
        "title": recipe.title or recipe.name,
        "start": recipe.interval.start.astype(object),
        "end": recipe.interval.end.astype(object),
        "frequency_seconds": int(parse_duration(recipe.frequency).astype(np.int64)),
        "runs": None if inits is None else len(inits),
        "first_lead_seconds": None if leads is None else int(leads[0].astype(np.int64)),
        "last_lead_seconds": None if leads is None else int(leads[-1].astype(np.int64)),
        "samples": len(samples),
        **{status: statuses.count(status) for status in ("valid", "partial", "missing")},
        "shards": len(shards),
        "bytes": pc.sum(shards["bytes"]).as_py() or 0,
        "dtype": recipe.store.dtype,
        **{f"{role}_channels": recipe.channel_names(role) for role in ROLES},
        "static_channels": [spec.variable for spec in recipe.static],
        "input_grid": _grid_row(store.grid("input")) if "input" in store.roles else None,
        "target_grid": _grid_row(store.grid("target")),
        "fingerprint": store.fingerprint,
        "metadata_sha256": checksum(store.folder.read("zarr.json")),
        "layout_version": store.attributes["layout_version"],
        "software": store.attributes["software"],
        "recipe": json.dumps(store.attributes["recipe"]),
    }
    return _table("stores", [row])


def _grid_row(grid: RectilinearGrid) -> dict[str, Any]:
    south, west, north, east = grid.bounds
    lat_step, lon_step = grid.resolution
    rows, columns = grid.shape
    return {
        **{"hash": grid.hash, "rows": rows, "columns": columns, "description": json.dumps(grid.to_dict())},
        **{"south": south, "west": west, "north": north, "east": east, "lat_step": lat_step, "lon_step": lon_step},
    }


def _channels(store: Store) -> pa.Table:
    recipe, histograms = store.recipe, store.table(HISTOGRAMS).to_pylist()
    edges = {(row["role"], row["channel"]): row["edges"] for row in histograms}
    window = int(recipe.window_length.astype(np.int64))
    rows = []
    for role in store.roles:
        pairs = zip(store.plan.channels(role), store.plan.normalisations[role], strict=True)
        for position, (channel, normalisation) in enumerate(pairs):
            rows.append(_channel_row(role, position, channel, window) | _constants(normalisation))
    targets = store.plan.channels("target") if "target" in store.roles else []
    targets = [channel for channel in targets if ("residual", channel.name) in edges]
    rows += [_channel_row("residual", position, channel, window) for position, channel in enumerate(targets)]
    for position, spec in enumerate(recipe.static):
        rows.append(_channel_row("static", position, recipe.channel(spec.variable), window))
    for row in rows:
        row["edges"] = edges.get((row["role"], row["channel"]))
    return _table("channels", rows)


def _channel_row(role: str, position: int, channel: Channel, window: int) -> dict[str, Any]:
    variable = channel.variable
    return {
        "role": role,
        "position": position,
        "channel": channel.name,
        "standard_name": variable.standard_name,
        "long_name": variable.long_name,
        "units": variable.units,
        "level": channel.level,
        "window_seconds": window if variable.windowed else 0,
        "transform": None,
        "mean": None,
        "std": None,
        "wet_threshold": None if role == "residual" else variable.wet_threshold,
    }


def _constants(normalisation: Normalisation) -> dict[str, Any]:
    return {
        "transform": normalisation.transform.name,
        "mean": float(normalisation.mean),
        "std": float(normalisation.std),
    }


def _coverage(store: Store) -> pa.Table:
    """Return the intervals of neighbouring samples, of one run, that have one status and the same reasons."""
    step = parse_duration(store.recipe.frequency).astype("timedelta64[s]").astype(object)
    intervals: list[dict[str, Any]] = []
    samples = _with_init_time(store.table(SAMPLES)).sort_by([("init_time", "ascending"), ("valid_time", "ascending")])
    for sample in samples.select(["init_time", "valid_time", "status", "reasons"]).to_pylist():
        start, reasons = sample["valid_time"], sample["reasons"] or []
        alike = {"init_time": sample["init_time"], "status": sample["status"], "reasons": reasons}
        last = intervals[-1] if intervals else None
        if last and last == {**last, **alike, "end": start}:
            last["end"] = start + step
            last["samples"] += 1
        else:
            intervals.append({**alike, "start": start, "end": start + step, "samples": 1})
    return _table("coverage", intervals)


def _with_init_time(rows: pa.Table) -> pa.Table:
    """Return rows of the ledger with the column `init_time`, null where the samples are of no run."""
    name = "init_time"
    return rows if name in rows.column_names else rows.append_column(name, pa.nulls(len(rows), TIME))


def _statistics(store: Store) -> pa.Table:
    """The rows of the ledger; of a histogram only what lies between its outermost counts."""
    folder = store.folder
    source = folder.path(STATISTICS) if folder.is_local else pa.BufferReader(folder.read(STATISTICS))
    schema = pa.schema([field for field in SCHEMAS["statistics"] if field.name != "registration"])
    parts = [schema.empty_table()]
    with pq.ParquetFile(source) as file:
        for batch in file.iter_batches(_ROWS_AT_A_TIME):
            rows = pa.Table.from_batches([batch])  # pa.table(batch) would keep the whole histograms in memory
            rows = _with_init_time(rows)
            first, counts = trimmed(rows["histogram"].combine_chunks())
            rows = rows.drop_columns("histogram").append_column("histogram_first", first)
            parts.append(rows.append_column("histogram", counts).select(schema.names).cast(schema))
    return pa.concat_tables(parts)


def trimmed(histograms: pa.ListArray) -> tuple[pa.Array, pa.ListArray]:
    """Return the place of each histogram's first count, and the histograms without zeros at both ends."""
    offsets = histograms.offsets.to_numpy().astype(np.int64)
    counts = histograms.values.to_numpy()
    offsets, counts = offsets - offsets[0], counts[offsets[0] : offsets[-1]]
    present = np.flatnonzero(counts)
    places = np.searchsorted(present, offsets)
    some = places[1:] > places[:-1]
    first, size = np.zeros(len(histograms), np.int64), np.zeros(len(histograms), np.int64)
    first[some] = present[places[:-1][some]]
    size[some] = present[places[1:][some] - 1] - first[some] + 1
    ends = np.cumsum(size)
    kept = counts[np.arange(ends[-1] if ends.size else 0) + np.repeat(first - (ends - size), size)]
    first[some] -= offsets[:-1][some]
    lists = pa.ListArray.from_arrays(_int32(np.append(0, ends)), _int32(kept))
    return _int32(first), lists


def _int32(numbers: NDArray[np.int64]) -> pa.Array:
    return pa.array(numbers).cast(pa.int32())


def _sources(store: Store) -> pa.Table:
    table = store.table(SOURCES)
    return table.select([name for name in SCHEMAS["sources"].names if name in table.column_names])


def _shards(store: Store) -> pa.Table:
    table = store.table(SHARDS)
    index, axes = table["index"].to_numpy(), store.axes
    for name, times in (("init_time", axes.init_times), ("valid_time", axes.valid_times)):
        table = table.append_column(name, pa.array(times[index]).cast(TIME))
    return table.select([name for name in SCHEMAS["shards"].names if name != "registration"])
