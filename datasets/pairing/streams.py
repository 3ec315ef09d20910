"""Streams: members, centres, grids and generating processes that a sample must not mix."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corrstore.datasets.errors import BadInput

_EVERYWHERE = {"member": "ensemble members", "grid_hash": "grids", "centre": "centres"}
"""What must be one for all fields of a channel."""
_AT_ONCE = {"generating_process": "generating processes"}
"""What must be one for all fields of one channel, run and window; it may change from run to run."""


def refuse_mixtures(source: str, references: pa.Table) -> None:
    """Raise BadInput where a source holds several streams of a channel, with what each holds and the line to write."""
    for column, what in _EVERYWHERE.items():
        _refuse(source, references, column, what)
    for column, what in _AT_ONCE.items():
        keys = ["channel", "init_time", "window_start", "valid_time"]
        counted = references.group_by(keys).aggregate([(column, "count_distinct")])
        if (pc.max(counted[f"{column}_count_distinct"]).as_py() or 0) > 1:
            mixed = counted.filter(pc.greater(counted[f"{column}_count_distinct"], 1))
            _refuse(source, references.filter(pc.is_in(references["channel"], mixed["channel"])), column, what)


def _refuse(source: str, references: pa.Table, column: str, what: str) -> None:
    counted = references.group_by(["channel", column]).aggregate([("path", "count"), ("path", "min")])
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in counted.sort_by("path_count").to_pylist():
        found[row["channel"]].append(row)
    for channel, kinds in found.items():
        if len(kinds) > 1:
            each = "; ".join(
                f"{column} {kind[column]}: {kind['path_count']} fields, the first in {kind['path_min']}"
                for kind in kinds
            )
            usual = next((kind[column] for kind in reversed(kinds) if kind[column] is not None), None)
            line = f"{{{column}: {usual}}}" if usual is not None else "{path: PATTERN}"
            raise BadInput(
                f"sources.{source} holds {channel} of {len(kinds)} {what} ({each}); choose one by"
                f" sources.{source}.select: {line}, or narrow sources.{source}.files"
            )
