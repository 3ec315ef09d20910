"""The table of pairs in the ledger: which field of which file each sample is made from."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from corrstore.datasets.errors import DamagedData
from corrstore.datasets.pairing.sample_plan import PAIRS_SCHEMA, SamplePlan, sample_plans
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.ledger import PAIRS, SAMPLES_IN_ROW_GROUP, parquet_bytes


def write_pairs(folder: Folder, pairs: pa.Table) -> None:
    """Write the pairs, a few samples in a row group: a worker then reads its own sample's rows alone."""
    samples = max(1, len(set(pairs["index"].to_pylist())))
    rows = SAMPLES_IN_ROW_GROUP * -(-len(pairs) // samples)
    folder.write(PAIRS, parquet_bytes(pairs, max(rows, 1)))


def read_pairs(folder: Folder, filters: list[tuple[str, str, int]] | None = None) -> pa.Table:
    """Return the pairs (PAIRS_SCHEMA), or only the rows that the filters keep; raises DamagedData where there are none.

    The next build writes the table anew.
    """
    try:
        with folder.open(PAIRS) as file:
            return pq.read_table(file, filters=filters).cast(PAIRS_SCHEMA)
    except pa.ArrowException as error:
        raise DamagedData(
            f"{folder.path(PAIRS)} is damaged ({str(error).splitlines()[0]:.200}); remove it, and build again"
        ) from None


def read_sample_plan(folder: Folder, index: int) -> SamplePlan | None:
    """Return the plan of one sample (-1: the static fields); None where the pairs have no such sample."""
    return next(sample_plans(read_pairs(folder, [("index", "==", index)])), None)
