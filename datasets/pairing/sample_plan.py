"""The plan of a sample: the fields of the archives that it is made from, and the state of their files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from corrstore.datasets.archives.references import REFERENCE_SCHEMA, FieldReference

TERMS_SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("wanted", pa.string()),  # the channel that the terms below add up to
        ("sign", pa.int64()),  # 1 or -1; 0 in a row that says why the field is missing
        ("missing", pa.string()),
        *REFERENCE_SCHEMA,
        ("file_bytes", pa.int64()),  # the file as it is read; of a Zarr group the chunks, see gridded.chunks
        ("file_modified", pa.timestamp("us")),
        ("file_sha256", pa.string()),
    ]
)
"""The terms of one sample."""
PAIRS_SCHEMA = pa.schema(
    [
        ("index", pa.int64()),  # along the store's time axis; -1 for static fields
        ("time", pa.timestamp("s")),
        *TERMS_SCHEMA,
    ]
)
"""The terms of many samples."""


@dataclass(frozen=True)
class Term:
    """One field of a sum: added (sign 1) or subtracted (sign -1)."""

    sign: int
    reference: FieldReference


@dataclass(frozen=True)
class SamplePlan:
    """The terms (TERMS_SCHEMA) of one valid time."""

    index: int
    valid_time: np.datetime64
    terms: pa.Table

    @cached_property
    def _rows(self) -> list[dict[str, Any]]:
        return self.terms.to_pylist()

    @cached_property
    def fields(self) -> dict[tuple[str, str], list[Term]]:
        """The terms of each (source, channel)."""
        fields: dict[tuple[str, str], list[Term]] = defaultdict(list)
        for row in self._rows:
            if row["sign"]:
                fields[row["source"], row["wanted"]].append(Term(row["sign"], FieldReference.from_row(row)))
        return dict(fields)

    @cached_property
    def missing(self) -> dict[tuple[str, str], str]:
        """The reason for each (source, channel) that is missing."""
        return {(row["source"], row["wanted"]): row["missing"] for row in self._rows if not row["sign"]}


def sample_plans(pairs: pa.Table) -> Iterator[SamplePlan]:
    """Yield the plans in the pairs, in their order; the static fields come first, as the sample of index -1."""
    pairs = pairs.combine_chunks()
    index_column = pairs["index"].to_numpy()
    starts = [0, *(np.flatnonzero(np.diff(index_column)) + 1)] if len(pairs) else []
    for start, stop in zip(starts, [*starts[1:], len(pairs)], strict=False):
        rows = pairs.slice(start, stop - start)
        time = rows["time"][0].as_py()
        valid_time = np.datetime64("NaT") if time is None else np.datetime64(time, "s")
        yield SamplePlan(int(index_column[start]), valid_time, rows.select(TERMS_SCHEMA.names))
