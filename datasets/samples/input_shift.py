"""The table of the input's shift: each input channel at each lead, compared with the training store that it is like."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corrstore.datasets.recipe.recipe import Recipe
from corrstore.datasets.statistics.histograms import physical_edges
from corrstore.datasets.statistics.shift import FieldMoments, Floats, Shift, shares_beyond, shift
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.ledger import SAMPLES, SHIFT, STATISTICS, check_objects, damaged, parsed_table, read_own
from corrstore.datasets.store.opening import Store, open_store

_MEASURES = ("mean_shift", "std_ratio", "beyond", "power_ratio")
SHIFT_SCHEMA = pa.schema(
    [
        ("channel", pa.string()),
        ("lead_seconds", pa.int64()),
        ("samples", pa.int64()),
        ("training_samples", pa.int64()),
        ("matched", pa.bool_()),
        *((name, pa.float64()) for measure in _MEASURES for name in (measure, f"{measure}_error")),
    ]
)
"""A row for each channel and lead (null of valid times); what is not known is null."""
_SAMPLE = ["init_time", "valid_time"]
_MOMENTS = ["channel", "valid_time", "count", "mean", "m2", "minimum", "maximum"]
_ROWS_AT_A_TIME = 4096


def has_shift(recipe: Recipe) -> bool:
    """Return whether the recipe's store has inputs that are like those of a training store."""
    return recipe.like is not None and "input" in recipe.roles


def check_training_data(recipe: Recipe) -> None:
    """Raise DamagedData where what the shift needs of the training store is not what was written."""
    if recipe.like is not None and has_shift(recipe):
        folder = Folder(recipe.like.store)
        check_objects(folder, lambda key: key in (STATISTICS, SAMPLES))
        for key in (key for key in (STATISTICS, SAMPLES) if not folder.exists(key)):
            raise damaged(folder, key, "it is not there")


def input_shift(recipe: Recipe, given: Iterable[pa.Table]) -> pa.Table:
    """Return the shift (SHIFT_SCHEMA) of inputs from those of the training store that the recipe is like.

    Args: `given`, rows of the ledger's statistics of valid samples' inputs. The training data are the valid samples of
    that store's train split, or all of them where it has none.
    """
    assert recipe.like is not None
    training = _training_moments(open_store(recipe.like.store))
    ranges = {name: (rows["minimum"].min(), rows["maximum"].max()) for name, rows in training.groupby("channel")}
    parts = [_given_moments(recipe, rows, ranges) for rows in given]
    if not parts:
        return SHIFT_SCHEMA.empty_table()
    fields = pd.concat(parts)
    fields["lead"] = fields["valid_time"] - fields["init_time"]
    found = []
    for name in recipe.channel_names("input"):
        theirs = _field_moments(training[training["channel"] == name])
        leads: Any = fields[fields["channel"] == name].groupby("lead", dropna=False)
        for lead, ours in leads:
            if theirs.times.size:
                ordered = ours.sort_values("valid_time")
                made = shift(_field_moments(ordered), ordered["beyond"].to_numpy(), theirs)
                found.append(_row(name, None if pd.isna(lead) else int(lead.total_seconds()), made))
    return pa.Table.from_pylist(found, schema=SHIFT_SCHEMA)


def read_shift(folder: Folder) -> list[dict[str, Any]]:
    """Return the rows of a finished store's table of the input's shift, none where it has none.

    Raises DamagedData where the table is none.
    """
    return read_own(folder, SHIFT, parsed_table).to_pylist() if folder.exists(SHIFT) else []


def stored_input_rows(folder: Folder) -> Iterator[pa.Table]:
    """Yield the statistics of the inputs of a store's valid samples, a few rows at a time."""
    valid = _valid_samples(pq.read_table(pa.BufferReader(folder.read(SAMPLES))))
    with folder.open(STATISTICS) as file, pq.ParquetFile(file) as table:
        for batch in table.iter_batches(_ROWS_AT_A_TIME):
            rows = with_runs(pa.Table.from_batches([batch]))
            rows = rows.filter(pc.equal(rows["role"], "input"))
            samples = pd.MultiIndex.from_frame(_filled(rows.select(_SAMPLE).to_pandas()))
            yield rows.filter(pa.array(samples.isin(valid)))


def with_runs(rows: pa.Table) -> pa.Table:
    """Return rows of the ledger with `init_time`, null where the samples are of no run."""
    if "init_time" in rows.column_names:
        return rows
    return rows.append_column("init_time", pa.nulls(len(rows), pa.timestamp("s")))


def _valid_samples(samples: pa.Table) -> pd.MultiIndex:
    rows = with_runs(samples).filter(pc.equal(samples["status"], "valid"))
    return pd.MultiIndex.from_frame(_filled(rows.select(_SAMPLE).to_pandas()))


def _filled(samples: pd.DataFrame) -> pd.DataFrame:
    """Return keys of samples in which no run is the year 1970: pandas finds no NaT in an index."""
    return samples.fillna({"init_time": pd.Timestamp(0)})


def _training_moments(store: Store) -> pd.DataFrame:
    train = store.recipe.splits.intervals.get("train")
    with store.folder.open(STATISTICS) as file:
        held = set(pq.read_schema(file).names)
    names = [name for name in (*_MOMENTS, "init_time", "gradient_power") if name in held]
    with store.folder.open(STATISTICS) as file:
        rows = with_runs(pq.read_table(file, columns=names, filters=[("role", "==", "input")]))
    samples = pd.MultiIndex.from_frame(_filled(rows.select(_SAMPLE).to_pandas()))
    rows = rows.filter(pa.array(samples.isin(_valid_samples(store.table(SAMPLES)))))
    moments = _moments(rows)
    if train is not None:
        moments = moments[train.mask(moments["valid_time"].to_numpy().astype("datetime64[s]"))]
    return moments.sort_values("valid_time")


def _given_moments(recipe: Recipe, rows: pa.Table, ranges: dict[Any, tuple[float, float]]) -> pd.DataFrame:
    moments = _moments(rows)
    moments["beyond"] = 0.0
    for name, (low, high) in ranges.items():
        beyond = (moments["channel"] == name) & ((moments["minimum"] < low) | (moments["maximum"] > high))
        if beyond.any():
            counts = np.stack(rows["histogram"].take(pa.array(moments.index[beyond])).to_numpy(zero_copy_only=False))
            lowest, highest = (moments.loc[beyond, side].to_numpy(np.float64) for side in ("minimum", "maximum"))
            edges = physical_edges(recipe.channel(name).variable)
            moments.loc[beyond, "beyond"] = shares_beyond(counts, edges, lowest, highest, low, high)
    return moments


def _moments(rows: pa.Table) -> pd.DataFrame:
    """Return channel, times, mean, variance, gradient power and extremes of the rows that have numbers."""
    names = [*_MOMENTS, "init_time", *(name for name in ("gradient_power",) if name in rows.column_names)]
    moments = rows.select(names).to_pandas()
    if "gradient_power" not in moments:
        moments["gradient_power"] = np.nan
    moments = moments[moments["count"] > 0].copy()
    moments["variance"] = moments["m2"] / moments["count"]
    return moments


def _field_moments(rows: pd.DataFrame) -> FieldMoments:
    columns: list[Floats] = [rows[name].to_numpy(np.float64) for name in ("mean", "variance", "gradient_power")]
    return FieldMoments(rows["valid_time"].to_numpy().astype("datetime64[s]"), *columns)


def _row(channel: str, lead_seconds: int | None, made: Shift) -> dict[str, Any]:
    row: dict[str, Any] = {"channel": channel, "lead_seconds": lead_seconds}
    row |= {name: getattr(made, name) for name in ("samples", "training_samples", "matched")}
    for measure in _MEASURES:
        for name, number in zip((measure, f"{measure}_error"), getattr(made, measure), strict=True):
            row[name] = float(number) if np.isfinite(number) else None
    return row
