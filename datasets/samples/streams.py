"""Streams: centres, members, grids and generating processes that a sample must not mix."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corrstore.datasets.archives.one_grid import read_grid
from corrstore.datasets.archives.references import FieldReference
from corrstore.datasets.errors import BadInput, CorrstoreError
from corrstore.datasets.pairing.sample_plan import Term
from corrstore.datasets.recipe.periods import format_time
from corrstore.datasets.samples.reading import MissingField, difference, mars_keys_of, packing_step, read_term
from corrstore.datasets.storage.containers import unpacked

_EVERYWHERE = ["centre", "member", "grid_hash"]
"""The columns that must have one value in all fields of a channel."""
_EPOCH = datetime(1970, 1, 1)
_TIMES_COMPARED = 1000  # of which two files hold one field
_AT_ONCE = "generating_process"
"""The column that must have one value in all leads of a channel and run; analyses and other runs may have others."""
_NAMES = {
    "centre": ("centre", "centres"),
    "member": ("member", "members"),
    "grid_hash": ("grid", "grids"),
    "generating_process": ("generating process", "generating processes"),
}


def refuse_mixtures(source: str, references: pa.Table, options: dict[str, Any] | None = None) -> None:
    """Raise BadInput where a source holds several streams of a channel, with what each holds and the line to write.

    `options` are those with which the source's files are opened.
    """
    references, options = _with_the_only_centre(references), options or {}
    _refuse(source, references, _EVERYWHERE, options)
    leads = references.filter(pc.and_(pc.is_valid(references["init_time"]), pc.greater(references["lead_time"], 0)))
    for fields, keys in ((references, ["init_time", "window_start", "valid_time"]), (leads, ["init_time"])):
        if mixed := _with_several(fields, ["channel", *keys], _AT_ONCE):
            of_channels = pc.is_in(fields["channel"], pa.array([row["channel"] for row in mixed], pa.string()))
            _refuse(source, fields.filter(of_channels), [_AT_ONCE], options)
    _refuse_unequal_copies(source, references, options)


def _with_the_only_centre(references: pa.Table) -> pa.Table:
    """Return the references, those of NetCDF and Zarr, which name no centre, with the one that the GRIB files have."""
    centre = references["centre"]
    held = pc.unique(centre.drop_null()).to_pylist()
    if len(held) != 1:
        return references
    named = pc.if_else(pc.equal(references["format"], "grib"), centre, held[0])
    return references.set_column(references.schema.get_field_index("centre"), "centre", named)


def _refuse_unequal_copies(source: str, references: pa.Table, options: dict[str, Any]) -> None:
    """Raise BadInput where a source holds a field of one run, or of none, twice in one format, with other numbers.

    Of such fields, the first of each channel and one of each run and valid time are read, of very many times so many
    that lie evenly apart: first those whose messages are not of one length, else a channel after the other by turns.
    Numbers that packing explains are the same. Static fields without a time are no such fields.
    """
    references = references.filter(pc.is_valid(references["valid_time"]))
    field = ["channel", "init_time", "lead_time", "valid_time", "window_start", "expver", "format"]
    twice = _held_twice(references, field)
    unlike = {tuple(key.values()) for key in _with_several(references, field, "length")}
    twice.sort(
        key=lambda key: (
            key["valid_time"],
            key["init_time"] or _EPOCH,
            tuple(key.values()) not in unlike,
            key["channel"],
        )
    )
    at_once: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for key in twice:
        at_once[key["init_time"], key["valid_time"]].append(key)
    chosen = {key["channel"]: key for key in reversed(twice)}
    for turn, place in enumerate(list(at_once)[:: -(-len(at_once) // _TIMES_COMPARED) or 1]):
        held = at_once[place]
        chosen[place] = held[0 if tuple(held[0].values()) in unlike else turn % len(held)]
    for key in chosen.values():
        of_time = references.filter(pc.equal(references["valid_time"], pa.scalar(key["valid_time"], pa.timestamp("s"))))
        first, *others = [row for row in of_time.to_pylist() if all(row[name] == key[name] for name in field)]
        for other in others:
            if _differ(first, other, options):
                raise BadInput(_twice(source, key, *(FieldReference.from_row(row) for row in (first, other))))


def _twice(source: str, key: dict[str, Any], one: FieldReference, other: FieldReference) -> str:
    run, time = (np.datetime64(key[name], "s") for name in ("init_time", "valid_time"))
    told = f"{key['channel']}{'' if np.isnat(run) else f' of the run of {format_time(run)}'} at {format_time(time)}"
    mine, theirs = mars_keys_of(one), mars_keys_of(other)
    keys = {name: (mine[name], theirs[name]) for name in mine if mine[name] != theirs.get(name, mine[name])}
    differ = "".join(f"; their {name} is {each[0]} and {each[1]}" for name, each in keys.items())
    name, (value, _) = next(iter(keys.items()), ("count", ("NUMBER", "")))
    line = (
        f"choose one stream by sources.{source}.select: {{path: PATTERN}}"
        if one.path != other.path
        else f"keep one of them, as with `grib_copy -w {name}={value} IN OUT`"
        if one.format == "grib"
        else "keep one of them, in a file without the other"
    )
    return f"sources.{source} holds {told} twice, with other numbers: in {one} and in {other}{differ}\n{line}"


def _held_twice(references: pa.Table, keys: list[str]) -> list[dict[str, Any]]:
    """Return the values of the keys that several references share."""
    counted = references.group_by(keys).aggregate([([], "count_all")])
    return counted.filter(pc.greater(counted["count_all"], 1)).select(keys).to_pylist()


def _with_several(references: pa.Table, keys: list[str], column: str) -> list[dict[str, Any]]:
    """Return the values of the keys that several references share which have other values in the column."""
    counted = references.group_by(keys).aggregate([([], "count_all")])
    if len(counted) == len(references):
        return []
    counted = references.group_by(keys).aggregate([(column, "count_distinct")])
    return counted.filter(pc.greater(counted[f"{column}_count_distinct"], 1)).select(keys).to_pylist()


def _differ(one: dict[str, Any], other: dict[str, Any], options: dict[str, Any]) -> bool:
    """Return whether two fields have other numbers; one that does not decode is told when it is read."""
    references = [FieldReference.from_row(row) for row in (one, other)]
    try:
        sizes = [(row["format"], row["length"], row["part"]) for row in (one, other)]
        if sizes[0] == sizes[1] and one["format"] == "grib" and _message(one) == _message(other):
            return False
        first, second = (read_term(Term(1, reference), options) for reference in references)
        steps = sum(abs(reference.scale) * packing_step(reference, options) for reference in references)
        return difference(first, second, steps) is not None
    except (CorrstoreError, MissingField, OSError):
        return False


def _message(row: dict[str, Any]) -> bytes:
    """Return the bytes of the GRIB message of a field."""
    with Path(unpacked(row["path"], row["inside"])).open("rb") as file:
        file.seek(row["offset"])
        return file.read(row["length"])


def _refuse(source: str, references: pa.Table, columns: list[str], options: dict[str, Any]) -> None:
    if len(references.group_by(["channel", *columns]).aggregate([])) == len(pc.unique(references["channel"])):
        return
    ordered = references.sort_by([("path", "ascending"), ("offset", "ascending")])
    first = [(name, "first") for name in FieldReference.__dataclass_fields__]
    counted = ordered.group_by(["channel", *columns], use_threads=False).aggregate([("path", "count"), *first])
    streams: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in counted.sort_by(
        [("path_count", "descending"), *((column, "ascending") for column in columns)]
    ).to_pylist():
        streams[row["channel"]].append(row)
    for channel, held in streams.items():
        if len(held) > 1:
            differing = [column for column in columns if len({row[column] for row in held}) > 1]
            each = "\n".join(
                f"  {_described(row, differing, options)}: {_fields(row)}, such as in {row['path_first']}"
                for row in held
            )
            lines = " or ".join(f"{{{column}: {_value(held, column)}}}" for column in differing)
            raise BadInput(
                f"sources.{source} holds {len(held)} streams of {channel}, of different"
                f" {', '.join(_NAMES[column][1] for column in differing)}:\n{each}\n"
                f"choose one by sources.{source}.select: {lines}, or by {{path: PATTERN}} where it has files of its own"
            )


def _described(row: dict[str, Any], columns: list[str], options: dict[str, Any]) -> str:
    return ", ".join(
        f"no {_NAMES[column][0]}"
        if row[column] is None
        else f"{_NAMES[column][0]} {row[column]}{_grid(row, options) if column == 'grid_hash' else ''}"
        for column in columns
    )


def _grid(row: dict[str, Any], options: dict[str, Any]) -> str:
    """Return the coordinates of the grid of a stream's first field, in brackets; nothing where it cannot be read."""
    first = FieldReference(**{name: row[f"{name}_first"] for name in FieldReference.__dataclass_fields__})
    try:
        return f" ({read_grid(first, options)})"
    except (CorrstoreError, OSError):
        return ""


def _fields(row: dict[str, Any]) -> str:
    return "1 field" if row["path_count"] == 1 else f"{row['path_count']} fields"


def _value(held: list[dict[str, Any]], column: str) -> Any:
    """Return the value of the largest stream that has one."""
    return next(row[column] for row in held if row[column] is not None)
