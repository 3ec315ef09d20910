"""The differences between two stores, by what the catalog knows of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from corrstore.catalog.queries.series import MOMENTS
from corrstore.catalog.tables.reading import Tables
from corrstore.catalog.tables.schemas import TableName
from corrstore.datasets.grids.grid import grid_from_dict
from corrstore.datasets.recipe.periods import format_time
from corrstore.datasets.statistics.blocks import merge_columns

Part = Literal["store", "recipe", "grids", "channels", "constants", "periods", "statistics", "shards"]
Pair = tuple[pa.Table, pa.Table]
_DESCRIBED = ("name", "title", "dtype", "fingerprint", "layout_version", "software")
_TIMES = ("start", "end", "frequency_seconds", "samples", "valid", "partial", "missing")
_MEANING = ("position", "standard_name", "long_name", "units", "level", "window_seconds", "wet_threshold")
_CONSTANTS = ("transform", "mean", "std")
_TIMES_APART, _BEFORE_1970 = 1 << 40, 1 << 39


class Difference(NamedTuple):
    """One thing that is not the same in two stores: what it is, and what each has; None where it has none."""

    part: Part
    item: str
    one: str | None
    two: str | None


def differences(tables: Tables, one: dict[str, Any], two: dict[str, Any]) -> list[Difference]:
    """Return the differences between the stores with these rows of the table `stores`.

    Statistics are compared over the samples that both have, shards by role and valid time.
    """

    def both(table: TableName, *columns: str) -> Pair:
        first, second = (tables.rows(table, [row["registration"]], columns) for row in (one, two))
        return first, second

    found = [
        *_fields("store", "", one, two, _DESCRIBED),
        *_recipes(one, two),
        *_grids(one, two),
        *_channels(both("channels", "role", "channel", *_MEANING, *_CONSTANTS)),
        *_fields("periods", "", one, two, _TIMES),
    ]
    keep = {"status": "valid"}
    found += _valid_intervals(
        *(tables.rows("coverage", [row["registration"]], ["start", "end"], keep) for row in (one, two))
    )
    found += _statistics(both("statistics", "role", "channel", "valid_time", *MOMENTS))
    found += _shards(both("shards", "role", "valid_time", "sha256"))
    return found


def _fields(part: Part, item: str, one: dict[str, Any], two: dict[str, Any], keys: tuple[str, ...]) -> list[Difference]:
    return [
        Difference(part, f"{item} {key}".strip(), _text(one[key]), _text(two[key]))
        for key in keys
        if one[key] != two[key]
    ]


def _text(value: Any) -> str | None:
    text = format_time(np.datetime64(value, "s")) if isinstance(value, datetime) else str(value)
    return None if value is None else text


def _recipes(one: dict[str, Any], two: dict[str, Any]) -> Iterator[Difference]:
    first, second = (dict(_leaves(json.loads(row["recipe"] or "{}"))) for row in (one, two))
    for key in dict.fromkeys([*first, *second]):
        if first.get(key) != second.get(key):
            yield Difference("recipe", key, first.get(key), second.get(key))


def _leaves(content: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(content, dict):
        for key, value in content.items():
            yield from _leaves(value, f"{path}.{key}".lstrip("."))
    else:
        yield path, json.dumps(content)


def _grids(one: dict[str, Any], two: dict[str, Any]) -> Iterator[Difference]:
    for role in ("input", "target"):
        first, second = (row[f"{role}_grid"] or {} for row in (one, two))
        if first.get("hash") != second.get("hash"):
            yield Difference("grids", role, _grid_text(first), _grid_text(second))


def _grid_text(grid: dict[str, Any]) -> str | None:
    return str(grid_from_dict(json.loads(grid["description"]))) if grid.get("description") else grid.get("hash")


def _channels(pair: Pair) -> Iterator[Difference]:
    first, second = ({f"{row['role']} {row['channel']}": row for row in table.to_pylist()} for table in pair)
    for item in dict.fromkeys([*first, *second]):
        if item in first and item in second:
            yield from _fields("channels", item, first[item], second[item], _MEANING)
            yield from _fields("constants", item, first[item], second[item], _CONSTANTS)
        else:
            yield Difference("channels", item, *("present" if item in rows else None for rows in (first, second)))


def _valid_intervals(one: pa.Table, two: pa.Table) -> Iterator[Difference]:
    """The stretches of time that are valid in one store alone."""
    bounds = [_seconds(table, name) for table in (one, two) for name in ("start", "end")]
    times = np.unique(np.concatenate(bounds))
    valid = []
    for start, end in (bounds[:2], bounds[2:]):
        change = np.zeros(len(times), np.int64)
        np.add.at(change, np.searchsorted(times, start), 1)
        np.add.at(change, np.searchsorted(times, end), -1)
        valid.append(np.cumsum(change) > 0)
    differ = np.where(valid[0] == valid[1], 0, np.where(valid[0], 1, 2))
    turns = np.flatnonzero(np.diff(differ, prepend=0, append=0))
    texts = _time_texts(times)
    for turn, after in pairwise(turns):
        if differ[turn]:
            which = ("valid", None) if differ[turn] == 1 else (None, "valid")
            yield Difference("periods", f"[{texts[turn]}, {texts[after]})", *which)


def _time_texts(seconds: NDArray[np.int64]) -> list[str]:
    return [f"{text}Z" for text in np.datetime_as_string(seconds.astype("datetime64[s]"), "m").tolist()]


def _seconds(table: pa.Table, name: str) -> NDArray[np.int64]:
    return table[name].to_numpy().astype("datetime64[s]").astype(np.int64)


def _statistics(pair: Pair) -> Iterator[Difference]:
    """The channels of which samples differ, of those that both stores have, and what these samples are together."""
    codes, items = _codes(pair, ("role", "channel"))
    here, there = _common(*(_keys(code, table) for code, table in zip(codes, pair, strict=True)))
    code = codes[0][here]
    one, two = (
        {name: table[name].to_numpy()[rows] for name in MOMENTS}
        for table, rows in zip(pair, (here, there), strict=True)
    )
    same = [(one[name] == two[name]) | ((one[name] != one[name]) & (two[name] != two[name])) for name in MOMENTS]
    differ = ~np.logical_and.reduce(same)
    merged = [merge_columns(columns, code, len(items)) for columns in (one, two)]
    common, differing = (np.bincount(part, minlength=len(items)) for part in (code, code[differ]))
    for place in np.flatnonzero(differing):
        item = f"{items[place]}: {differing[place]} of {common[place]} samples"
        yield Difference("statistics", item, *(_mean_and_std(columns, int(place)) for columns in merged))


def _mean_and_std(merged: dict[str, NDArray[Any]], place: int) -> str:
    count, mean, m2 = (merged[name][place].item() for name in ("count", "mean", "m2"))
    return f"mean {mean:.10g}, std {math.sqrt(m2 / count):.10g}" if count else "no numbers"


def _shards(pair: Pair) -> Iterator[Difference]:
    """The shards whose checksums differ, and those that one store alone has, by role and valid time."""
    codes, roles = _codes(pair, ("role",))
    keys = [_keys(code, table) for code, table in zip(codes, pair, strict=True)]
    every = np.union1d(*keys)
    digests = []
    for key, table in zip(keys, pair, strict=True):
        row = np.full(len(every), -1)
        row[np.searchsorted(every, key)] = np.arange(len(key))
        digests.append(table["sha256"].take(pa.array(row, mask=row < 0)).to_pylist())
    times = _time_texts(every % _TIMES_APART - _BEFORE_1970)
    for code, time, one, two in zip((every // _TIMES_APART).tolist(), times, *digests, strict=True):
        if one != two:
            yield Difference("shards", f"{roles[code]} {time}", one, two)


def _codes(pair: Pair, columns: tuple[str, ...]) -> tuple[list[NDArray[np.int64]], list[str]]:
    """Return the number of each row's texts in these columns, for both tables, and the texts by number."""
    both = pa.concat_tables([table.select(columns) for table in pair])
    texts = pc.binary_join_element_wise(*(both[name] for name in columns), " ")
    encoded = texts.combine_chunks().dictionary_encode()
    numbers = encoded.indices.to_numpy().astype(np.int64)
    return [numbers[: len(pair[0])], numbers[len(pair[0]) :]], encoded.dictionary.to_pylist()


def _keys(codes: NDArray[np.int64], table: pa.Table) -> NDArray[np.int64]:
    """A number for each row, by its code and its valid time."""
    return codes * _TIMES_APART + _seconds(table, "valid_time") + _BEFORE_1970


def _common(one: NDArray[np.int64], two: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows of either that have the same key."""
    _, here, there = np.intersect1d(one, two, return_indices=True)
    return here, there
