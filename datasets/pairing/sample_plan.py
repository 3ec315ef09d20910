"""The plan of a sample: the fields of the archives that it is made from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from corrstore.datasets.archives.references import REFERENCE_SCHEMA, FieldReference

PAIRS_SCHEMA = pa.schema(
    [
        ("index", pa.int64()),  # along the store's time axis; -1 for static fields
        ("time", pa.timestamp("s")),
        ("source", pa.string()),
        ("wanted", pa.string()),  # the channel that the terms below add up to
        ("sign", pa.int64()),  # 1 or -1; 0 in a row that says why the field is missing
        ("missing", pa.string()),
        *REFERENCE_SCHEMA,
    ]
)


@dataclass(frozen=True)
class Term:
    """One field of a sum: added (sign 1) or subtracted (sign -1)."""

    sign: int
    reference: FieldReference


@dataclass(frozen=True)
class SamplePlan:
    """The fields of one valid time: for each (source, channel) its terms, or the reason why it is missing."""

    index: int
    valid_time: np.datetime64
    fields: dict[tuple[str, str], list[Term]]
    missing: dict[tuple[str, str], str]


def sample_plans(pairs: pa.Table) -> Iterator[SamplePlan]:
    """Yield the plans in the pairs, in their order; the static fields come first, as the sample of index -1."""
    index_column = pairs["index"].to_numpy()
    starts = [0, *(np.flatnonzero(np.diff(index_column)) + 1)] if len(pairs) else []
    for start, stop in zip(starts, [*starts[1:], len(pairs)], strict=False):
        rows = pairs.slice(start, stop - start).to_pylist()
        fields: dict[tuple[str, str], list[Term]] = defaultdict(list)
        missing = {}
        for row in rows:
            key = (row["source"], row["wanted"])
            if row["sign"] == 0:
                missing[key] = row["missing"]
            else:
                fields[key].append(Term(row["sign"], FieldReference.from_row(row)))
        time = np.datetime64(rows[0]["time"], "s") if rows[0]["time"] else np.datetime64("NaT")
        yield SamplePlan(int(index_column[start]), time, dict(fields), missing)
