"""The grids of an archive, told by their coordinates: encodings of one grid count as one."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from corrstore.datasets.archives import gridded_archive
from corrstore.datasets.archives.grib import decode
from corrstore.datasets.archives.references import FieldReference, faults_of
from corrstore.datasets.errors import CorrstoreError
from corrstore.datasets.grids.grid import Grid, turn_onto
from corrstore.datasets.storage.containers import unpacked


def read_grid(reference: FieldReference, options: dict[str, Any]) -> Grid:
    """Return the grid of the referenced field, whose values are not read; raises as `faults_of`, and BadInput."""
    with faults_of(reference):
        if reference.format == "grib":
            path = unpacked(reference.path, reference.inside)
            return decode.read_grid(path, reference.offset, reference.length, reference.part)
        return gridded_archive.read_grid(reference, options)


def same_grids(references: pa.Table, options: dict[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the one `grid_hash` that stands for each `grid_hash` of the references (REFERENCE_SCHEMA).

    The hash is of the encoding: GRIB1, GRIB2 and NetCDF give other bytes to the same coordinates. One field of each
    is looked at, and none where there is one hash alone. With them, by its hash, why a grid cannot be read; where none
    can, the readers of their fields say so.
    """
    columns = list(FieldReference.__dataclass_fields__)
    ordered = references.select(["grid_hash", *columns])
    firsts = ordered.group_by("grid_hash", use_threads=False).aggregate([(name, "first") for name in columns])
    rows = firsts.sort_by("grid_hash").to_pylist()
    if len(rows) < 2:
        return {row["grid_hash"]: row["grid_hash"] for row in rows}, {}
    told: dict[str, str] = {}
    unread: dict[str, str] = {}
    grids: dict[str, Grid] = {}
    for row in rows:
        name = row["grid_hash"]
        try:
            grid = read_grid(FieldReference(**{column: row[f"{column}_first"] for column in columns}), options)
        except (CorrstoreError, OSError) as error:
            told[name], unread[name] = name, str(error)
            continue
        told[name] = next((other for other, held in grids.items() if turn_onto(held, grid) is not None), name)
        grids.setdefault(told[name], grid)
    return told, unread if grids else {}
