"""The record of a sample's sums: what a worker leaves, and the driver merges."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.ledger import parquet_bytes, parsed_table, read_own

RECORD_FORM = 4
"""The form of the records; it changes with what their sums mean, so that others are made anew."""

_NAME = "sample"
"""The column of the record's own name: a record in the place of another one is found."""

Key = tuple[str, str, str, str]
"""Region, channel, predictor, and the name of the sum; empty where it has none."""

SUMS_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("region", "channel", "predictor", "sum")),
        ("shape", pa.list_(pa.int32())),
        ("values", pa.list_(pa.float64())),
    ]
)


@dataclass(frozen=True)
class SumsRecord:
    """The sums of one sample, each an array; `key` is the sample's name."""

    key: str
    sums: dict[Key, NDArray[np.float64]]

    @property
    def name(self) -> str:
        """The name of the record's file."""
        return f"{self.key}.parquet"

    def to_bytes(self) -> bytes:
        """Return the record as Parquet, a row a sum (SUMS_SCHEMA)."""
        rows: dict[str, list[Any]] = {name: [] for name in SUMS_SCHEMA.names}
        for key, values in self.sums.items():
            for name, value in zip(SUMS_SCHEMA.names, (*key, values.shape, values.ravel()), strict=True):
                rows[name].append(value)
        named = pa.repeat(pa.scalar(self.key), len(self.sums))
        return parquet_bytes(pa.table(rows, SUMS_SCHEMA).append_column(_NAME, named))


def read_sums(
    folder: Folder, place: str, key: str, heal: str = "remove it, and give the same command again"
) -> SumsRecord:
    """Return the record of a sample; raises DamagedData, with what heals it, where the file is none or another's."""
    return SumsRecord(key, read_own(folder, f"{place}/{key}.parquet", partial(_parsed_sums, key), heal))


def _parsed_sums(key: str, content: bytes) -> dict[Key, NDArray[np.float64]]:
    table = parsed_table(content)
    if others := set(table[_NAME].unique().to_pylist()) - {key}:
        raise ValueError(f"it is the record of {', '.join(others)}")
    table = table.select(SUMS_SCHEMA.names)
    *keys, shapes = (table[name].to_pylist() for name in SUMS_SCHEMA.names[:-1])
    values = table["values"].combine_chunks()
    flat, ends = values.values.to_numpy(), values.offsets.to_numpy()
    arrays = [
        np.array(flat[start:end], np.float64).reshape(shape)
        for start, end, shape in zip(ends[:-1], ends[1:], shapes, strict=True)
    ]
    return dict(zip(zip(*keys, strict=True), arrays, strict=True))
