"""Streams: centres, members, grids and generating processes that a sample must not mix."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corrstore.datasets.errors import BadInput

_EVERYWHERE = ["centre", "member", "grid_hash"]
"""The columns that must have one value in all fields of a channel."""
_AT_ONCE = "generating_process"
"""The column that must have one value in all fields of one channel, run and window; it may change between runs."""
_NAMES = {
    "centre": ("centre", "centres"),
    "member": ("member", "members"),
    "grid_hash": ("grid", "grids"),
    "generating_process": ("generating process", "generating processes"),
}


def refuse_mixtures(source: str, references: pa.Table) -> None:
    """Raise BadInput where a source holds several streams of a channel, with what each holds and the line to write."""
    _refuse(source, references, _EVERYWHERE)
    windows = references.group_by(["channel", "init_time", "window_start", "valid_time"])
    processes = windows.aggregate([(_AT_ONCE, "count_distinct")])
    mixed = processes.filter(pc.greater(processes[f"{_AT_ONCE}_count_distinct"], 1))
    if len(mixed):
        _refuse(source, references.filter(pc.is_in(references["channel"], mixed["channel"])), [_AT_ONCE])


def _refuse(source: str, references: pa.Table, columns: list[str]) -> None:
    counted = references.group_by(["channel", *columns]).aggregate([("path", "count"), ("path", "min")])
    streams: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in counted.sort_by(
        [("path_count", "descending"), *((column, "ascending") for column in columns)]
    ).to_pylist():
        streams[row["channel"]].append(row)
    for channel, held in streams.items():
        if len(held) > 1:
            differing = [column for column in columns if len({row[column] for row in held}) > 1]
            each = "\n".join(
                f"  {_described(row, differing)}: {_fields(row)}, such as in {row['path_min']}" for row in held
            )
            lines = " or ".join(f"{{{column}: {_value(held, column)}}}" for column in differing)
            raise BadInput(
                f"sources.{source} holds {len(held)} streams of {channel}, of different"
                f" {', '.join(_NAMES[column][1] for column in differing)}:\n{each}\n"
                f"choose one by sources.{source}.select: {lines}, or by {{path: PATTERN}} where it has files of its own"
            )


def _described(row: dict[str, Any], columns: list[str]) -> str:
    return ", ".join(
        f"no {_NAMES[column][0]}" if row[column] is None else f"{_NAMES[column][0]} {row[column]}" for column in columns
    )


def _fields(row: dict[str, Any]) -> str:
    return "1 field" if row["path_count"] == 1 else f"{row['path_count']} fields"


def _value(held: list[dict[str, Any]], column: str) -> Any:
    """Return the value of the largest stream that has one."""
    return next(row[column] for row in held if row[column] is not None)
