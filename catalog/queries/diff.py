"""The differences between two stores, by what the catalog knows of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corrstore.catalog.queries.series import MOMENTS
from corrstore.catalog.tables.reading import Tables
from corrstore.catalog.tables.schemas import TableName
from corrstore.datasets.grids.grid import grid_from_dict
from corrstore.datasets.recipe.periods import format_time
from corrstore.datasets.recipe.sample_axes import sample_label
from corrstore.datasets.statistics.blocks import merge_columns

if TYPE_CHECKING:
    import pandas as pd

Part = Literal["store", "recipe", "grids", "channels", "constants", "periods", "statistics", "shards"]
Pair = tuple[pa.Table, pa.Table]
_DESCRIBED = ("name", "title", "dtype", "fingerprint", "layout_version", "software")
_TIMES = ("start", "end", "frequency_seconds", "runs", "first_lead_seconds", "last_lead_seconds")
_COUNTS = ("samples", "valid", "partial", "missing")
_SAMPLE = ["role", "channel", "init_time", "valid_time"]
_NO_RUN = np.datetime64(0, "ms")  # pandas finds no NaT in an index
_MEANING = ("position", "standard_name", "long_name", "units", "level", "window_seconds", "wet_threshold")
_CONSTANTS = ("transform", "mean", "std")


class Difference(NamedTuple):
    """One thing that is not the same in two stores: what it is, and what each has; None where it has none."""

    part: Part
    item: str
    one: str | None
    two: str | None


def differences(tables: Tables, one: dict[str, Any], two: dict[str, Any]) -> list[Difference]:
    """Return the differences between the stores with these rows of the table `stores`.

    Statistics are compared over the samples that both have, shards by role, run and valid time.
    """

    def both(table: TableName, *columns: str) -> Pair:
        first, second = (tables.rows(table, [row["registration"]], columns) for row in (one, two))
        return first, second

    found = [
        *_fields("store", "", one, two, _DESCRIBED),
        *_recipes(one, two),
        *_grids(one, two),
        *_channels(both("channels", "role", "channel", *_MEANING, *_CONSTANTS)),
        *_fields("periods", "", one, two, (*_TIMES, *_COUNTS)),
    ]
    keep = {"status": "valid"}
    found += _valid_intervals(
        *(tables.rows("coverage", [row["registration"]], ["init_time", "start", "end"], keep) for row in (one, two))
    )
    found += _statistics(both("statistics", *_SAMPLE, *MOMENTS))
    found += _shards(both("shards", "role", "init_time", "valid_time", "sha256"))
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
    """Yield the stretches of time, of each run, that are valid in one store alone."""
    both = [_runs(table) for table in (one, two)]
    for run in np.unique(np.concatenate(both)):
        of_run = "" if run == _NO_RUN else f"run {format_time(run)} "
        rows = [table.filter(pa.array(runs == run)) for table, runs in zip((one, two), both, strict=True)]
        for each in _valid_stretches(*rows):
            yield each._replace(item=of_run + each.item)


def _runs(table: pa.Table) -> NDArray[np.datetime64]:
    runs = table["init_time"].to_numpy()
    return np.where(np.isnat(runs), _NO_RUN, runs)


def _valid_stretches(one: pa.Table, two: pa.Table) -> Iterator[Difference]:
    bounds = [table[name].to_numpy() for table in (one, two) for name in ("start", "end")]
    times = np.unique(np.concatenate(bounds))
    valid = []
    for start, end in (bounds[:2], bounds[2:]):
        change = np.zeros(len(times), np.int64)
        np.add.at(change, np.searchsorted(times, start), 1)
        np.add.at(change, np.searchsorted(times, end), -1)
        valid.append(np.cumsum(change) > 0)
    differ = np.where(valid[0] == valid[1], 0, np.where(valid[0], 1, 2))
    turns = np.flatnonzero(np.diff(differ, prepend=0, append=0))
    for turn, after in pairwise(turns):
        if differ[turn]:
            which = ("valid", None) if differ[turn] == 1 else (None, "valid")
            yield Difference("periods", f"[{format_time(times[turn])}, {format_time(times[after])})", *which)


def _statistics(pair: Pair) -> Iterator[Difference]:
    """Yield the channels whose samples differ, among those in both stores, and the mean of all these samples."""
    one, two = (_by_sample(table, _SAMPLE) for table in pair)
    one, two = one.align(two, join="inner", axis="index")
    differing = one.compare(two).groupby(["role", "channel"]).size()
    for (role, channel), number in differing.items():
        samples = [table.loc[role, channel] for table in (one, two)]
        item = f"{role} {channel}: {number} of {len(samples[0])} samples"
        yield Difference("statistics", item, *map(_mean_and_std, samples))


def _mean_and_std(samples: pd.DataFrame) -> str:
    columns = {name: samples[name].to_numpy() for name in MOMENTS}
    merged = merge_columns(columns, np.zeros(len(samples), np.int64), groups=1)
    count, mean, m2 = (merged[name].item() for name in ("count", "mean", "m2"))
    return f"mean {mean:.10g}, std {math.sqrt(m2 / count):.10g}" if count else "no numbers"


def _shards(pair: Pair) -> Iterator[Difference]:
    """Yield the shards whose checksums differ, and those of one store alone, by role, run and valid time."""
    one, two = (_by_sample(table, ["role", "init_time", "valid_time"])["sha256"] for table in pair)
    one, two = one.align(two)
    differing = one.compare(two).astype(object)
    for (role, run, time), *digests in differing.where(differing.notna(), None).itertuples():
        sample = sample_label(_seconds(time), np.datetime64("NaT", "s") if run == _NO_RUN else _seconds(run))
        yield Difference("shards", f"{role} {sample}", *digests)


def _by_sample(table: pa.Table, keys: list[str]) -> Any:
    run = pa.array(_runs(table))
    return table.set_column(table.column_names.index("init_time"), "init_time", run).to_pandas().set_index(keys)


def _seconds(time: datetime) -> np.datetime64:
    return np.datetime64(time, "s")
