"""GRIB archives: the messages that a source table selects, as references."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from corrstore.datasets.archives.accumulation import window_start
from corrstore.datasets.archives.grib.index import INDEX_SCHEMA, INDEX_VERSION, GribIndex, Problem, index_file
from corrstore.datasets.archives.grib.sections import ProblemKind
from corrstore.datasets.archives.references import REFERENCE_SCHEMA
from corrstore.datasets.archives.table import FieldRule, GribNumbers, SourceTable, shipped_rules
from corrstore.datasets.errors import BadInput, DamagedData, fault_of_file
from corrstore.datasets.recipe.periods import parse_duration
from corrstore.datasets.storage.cache import cache_path, read_from_cache, tell_unwritable, write_to_cache
from corrstore.datasets.storage.containers import unpacked
from corrstore.datasets.variables.channels import Channel

_NUMBERS = ("discipline", "category", "number", "table", "parameter", "level_type")
File = tuple[str, str]
"""The path of a file, and the name of the file in it where it is a container; else empty."""
_POOL_FROM = 64  # files; for fewer, processes cost more time than they save


def index_files(files: list[File]) -> tuple[pa.Table, list[Problem]]:
    """Return the messages of all files (INDEX_SCHEMA, `path` and `inside`) and the problems found in them.

    A file is scanned once: its index is kept in $XDG_CACHE_HOME/corrstore, by path, size and time of change. Where
    that folder cannot be written, one notice says so and the files are scanned each time.
    """
    cached = {file: _cached(file) for file in files}
    new = [file for file in files if cached[file] is None]
    if len(new) >= _POOL_FROM:
        with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
            uncached = dict(zip(new, pool.map(_index_into_cache, new, chunksize=16), strict=True))
    else:
        uncached = {file: _index_into_cache(file) for file in new}
    tables, problems = [], []
    for file in files:
        index = uncached.get(file)
        if index is not None:
            tell_unwritable(_cache_path(file).parents[1])
        else:
            index = cached[file] or _cached(file)
        if index is None:
            raise DamagedData(
                f"{_cache_path(file)}, the index of {file[0]}, is gone again; give the same command again"
            )
        table, found = _parsed(file, index)
        for name, value in zip(("path", "inside"), file, strict=True):
            table = table.append_column(name, pa.repeat(value, len(table)))
        tables.append(table)
        problems += found
    empty = pa.schema([*INDEX_SCHEMA, ("path", pa.string()), ("inside", pa.string())]).empty_table()
    return pa.concat_tables([empty, *tables]).combine_chunks(), problems


def select(messages: pa.Table, table: SourceTable, channels: Iterable[Channel]) -> pa.Table:
    """Return the messages that hold the channels, as references (REFERENCE_SCHEMA)."""
    columns = {name: np.asarray(messages[name].to_numpy(zero_copy_only=False)) for name in (*_NUMBERS, "level")}
    is_of_process = {
        name: pc.equal(messages["process"], name).to_numpy() for name in pc.unique(messages["process"]).to_pylist()
    }
    found = [pa.Table.from_pylist([], schema=REFERENCE_SCHEMA)]
    for channel in channels:
        rule = table.fields.get(channel.variable.name)
        for numbers in rule.grib if rule else []:
            matches = messages.filter(pa.array(_matches(columns, is_of_process, numbers, channel)))
            if rule and len(matches):
                _refuse_other_window(matches, channel, rule)
                _refuse_other_runs(matches, channel, rule)
                found.append(_references(matches, channel, rule, bool(table.analysis)))
    return pa.concat_tables(found).combine_chunks()


def _matches(
    columns: dict[str, NDArray[Any]],
    is_of_process: dict[str, NDArray[np.bool_]],
    numbers: GribNumbers,
    channel: Channel,
) -> NDArray[np.bool_]:
    match = is_of_process.get(numbers.process, np.zeros(len(columns["level"]), bool))
    for name in _NUMBERS:
        wanted = getattr(numbers, name)
        if wanted is not None:
            match = match & (columns[name] == wanted)
    level = channel.level * 100.0 if channel.level is not None else numbers.level
    if level is not None:
        match = match & np.isclose(columns["level"].astype(np.float64), level)
    return match


def _references(matches: pa.Table, channel: Channel, rule: FieldRule, analysis: bool) -> pa.Table:
    valid_time = pc.cast(matches["valid_time"], pa.timestamp("s"))
    init_time = pc.cast(matches["init_time"], pa.timestamp("s"))
    no_run = pa.chunked_array([pa.nulls(len(matches), pa.timestamp("s"))])
    run = no_run if analysis or rule.belongs_to_no_run else init_time
    constants = {
        "channel": channel.name,
        "format": "grib",
        "name": "",
        "indexers": "",
        "scale": rule.scale,
        "add_offset": rule.offset,
    }
    columns = {
        **{name: pa.repeat(value, len(matches)) for name, value in constants.items()},
        "valid_time": valid_time,
        "window_start": _window_start(valid_time, run, matches["window_start"], rule),
        "init_time": run,
        "lead_time": pc.cast(pc.subtract(valid_time, init_time), pa.int64()),
        "centre": matches["centre"],
        "expver": pc.fill_null(matches["expver"], ""),
        "generating_process": matches["generating_process"],
        "member": matches["member"],
        "grid_hash": matches["grid_hash"],
        "path": matches["path"],
        "inside": matches["inside"],
        "offset": matches["offset"],
        "length": matches["length"],
        "part": matches["part"],
        "grid_relative": matches["uv_relative_to_grid"],
    }
    return pa.table({name: columns[name] for name in REFERENCE_SCHEMA.names}).cast(REFERENCE_SCHEMA)


def _refuse_other_window(matches: pa.Table, channel: Channel, rule: FieldRule) -> None:
    """Raise BadInput where a message states a window of another length than the table does.

    A window since 00 UTC or since the start of the run is the table's to say: ERA5-Land's messages do not tell it.
    """
    if rule.accumulates in (None, "encoded", "day", "run"):
        return
    length = parse_duration("1h" if rule.accumulates == "hour" else str(rule.accumulates)).astype(int)
    valid, start = (pc.cast(matches[name], pa.timestamp("s")) for name in ("valid_time", "window_start"))
    stated = pc.subtract(pc.cast(valid, pa.int64()), pc.cast(start, pa.int64()))
    other = matches.append_column("stated", stated).filter(pc.not_equal(stated, int(length)))
    if len(other):
        row = other.slice(0, 1).to_pylist()[0]
        first = (row["window_start"] - row["init_time"]).total_seconds() / 3600
        raise BadInput(
            f"{channel.name}: {row['path']}, message at byte {row['offset']}, states a window of"
            f" {row['stated'] / 3600:g}h ({first:g}-{first + row['stated'] / 3600:g} h of its run), the source's table"
            f" says accumulates: {rule.accumulates}; write in a source table of your own accumulates: encoded"
        )


def _refuse_other_runs(matches: pa.Table, channel: Channel, rule: FieldRule) -> None:
    """Raise BadInput where a message is of a run at an hour of another archive, whose windows have other lengths.

    A window of the rule's length that begins with its run is the same in both.
    """
    if not rule.run_hours:
        return
    init, stated = (pc.cast(matches[name], pa.timestamp("s")) for name in ("init_time", "window_start"))
    start = _window_start(pc.cast(matches["valid_time"], pa.timestamp("s")), init, stated, rule)
    same = pc.fill_null(pc.and_(pc.equal(start, init), pc.equal(stated, init)), False)
    other = matches.filter(pc.invert(pc.or_(same, pc.is_in(pc.hour(init), pa.array(rule.run_hours)))))
    if len(other):
        row = other.slice(0, 1).to_pylist()[0]
        hour, variable = row["init_time"].hour, channel.variable.name
        types = [name for name, each in shipped_rules(variable).items() if hour in each.run_hours]
        line = f"the source's type: {types[0]}" if types else "run_hours in a source table of your own"
        hours = ", ".join(f"{each:02}" for each in rule.run_hours)
        raise BadInput(
            f"{channel.name}: {row['path']}, message at byte {row['offset']}, is of a run at {hour:02} UTC, the"
            f" source's table says accumulates: {rule.accumulates} of runs at {hours} UTC; write {line}"
        )


def _window_start(
    valid_time: pa.ChunkedArray, init_time: pa.ChunkedArray, encoded: pa.ChunkedArray, rule: FieldRule
) -> pa.ChunkedArray:
    """Return the start of each field's window by its accumulation rule; null for instantaneous fields."""
    if rule.accumulates in (None, "encoded"):
        return pc.cast(encoded, pa.timestamp("s"))
    valid, init = (times.to_numpy().astype("datetime64[s]") for times in (valid_time, init_time))
    return pa.chunked_array([pa.array(window_start(str(rule.accumulates), valid, init))])


def _cache_path(file: File) -> Path:
    path, inside = file
    return cache_path("grib-index", Path(path), ".arrow", f"{INDEX_VERSION} {INDEX_SCHEMA} {inside}")


def _index_into_cache(file: File) -> pa.Table | None:
    """Scan a file and keep its index; return the index where the cache cannot be written."""
    try:
        index = index_file(unpacked(*file))
    except Exception as error:
        kind: ProblemKind = "not_grib" if isinstance(error, BadInput | DamagedData) else "corrupt"
        index = GribIndex(INDEX_SCHEMA.empty_table(), [Problem(file[0], 0, kind, fault_of_file(error))])
    problems = [[problem.offset, problem.kind, problem.text] for problem in index.problems]
    table = index.messages.replace_schema_metadata({"problems": json.dumps(problems)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(table)
    return None if write_to_cache(_cache_path(file), sink.getvalue().to_pybytes()) else table


def _cached(file: File) -> pa.Table | None:
    """Return the index of a file in the cache; None where there is none, or a damaged one, which is made again."""
    content = read_from_cache(_cache_path(file))
    try:
        return None if content is None else pa.ipc.open_file(content).read_all()
    except (pa.ArrowException, OSError):
        return None


def _parsed(file: File, table: pa.Table) -> tuple[pa.Table, list[Problem]]:
    """Return the messages of a file's index and the problems in its metadata."""
    problems = json.loads(table.schema.metadata[b"problems"])
    return (
        table.replace_schema_metadata(None),
        [Problem(", ".join(filter(None, file)), offset, kind, text) for offset, kind, text in problems],
    )
