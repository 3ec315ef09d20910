"""The origin of a store's samples: the table of pairs, made from the sample records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corrstore.datasets.pairing.sample_plan import PAIRS_SCHEMA, TERMS_SCHEMA
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.ledger import PAIRS, SAMPLES, STATIC, UNFINISHED, damaged, parsed_table, read_own
from corrstore.datasets.store.records import SampleRecord, Status, read_record, read_records


@dataclass(frozen=True)
class Recorded:
    """The pairs (PAIRS_SCHEMA) of the samples that are there, and the status of each by its index."""

    pairs: pa.Table
    statuses: dict[int, Status]


def read_recorded(folder: Folder, of_records: bool = False) -> Recorded:
    """Return what the samples of a store were made of: of a finished one from its tables, else from the records."""
    if not of_records and folder.exists(PAIRS) and folder.exists(SAMPLES) and not folder.exists(UNFINISHED):
        samples = read_own(folder, SAMPLES, parsed_table).to_pydict()
        return Recorded(read_pairs(folder), dict(zip(samples["index"], samples["status"], strict=True)))
    records = list(read_static_record(folder))
    statuses: dict[int, Status] = {}
    for record in read_records(folder):
        records.append(record)
        statuses[record.index] = record.status
    return Recorded(pairs_of(records), statuses)


def pairs_of(records: Iterable[SampleRecord]) -> pa.Table:
    """Return the terms of the records as pairs (PAIRS_SCHEMA)."""
    origins = [(record.index, record.valid_time, record.terms) for record in records]
    sizes = [len(terms) for _, _, terms in origins]
    columns = [
        np.repeat(np.array([index for index, _, _ in origins], np.int64), sizes),
        np.repeat(np.array([time for _, time, _ in origins], "datetime64[s]"), sizes),
    ]
    found = pa.concat_tables([TERMS_SCHEMA.empty_table(), *(terms for _, _, terms in origins)]).combine_chunks()
    return pa.table([*columns, *found.columns], names=PAIRS_SCHEMA.names).cast(PAIRS_SCHEMA)


def read_static_record(folder: Folder) -> Iterable[SampleRecord]:
    """Yield the record of the static fields, where there is one."""
    if folder.exists(STATIC):
        yield read_record(folder, STATIC)


def read_pairs(folder: Folder) -> pa.Table:
    """Return the pairs (PAIRS_SCHEMA); raises DamagedData where there are none.

    `build --repair` writes the table anew.
    """
    try:
        with folder.open(PAIRS) as file:
            return pq.read_table(file, page_checksum_verification=True).cast(PAIRS_SCHEMA)
    except (pa.ArrowException, ValueError, KeyError) as error:
        raise damaged(folder, PAIRS, str(error)) from None
    except OSError as error:
        if error.errno and not isinstance(error, FileNotFoundError):
            raise
        raise damaged(folder, PAIRS, str(error)) from None
