"""One Parquet file of a catalog: written with the version of its columns, and read with that version looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corrstore.catalog.tables.checked_file import CheckedFile, metadata_for, with_checksums
from corrstore.catalog.tables.schemas import (
    ADDED_IN_VERSION_2,
    REPETITIVE,
    ROWS_IN_GROUP,
    SCHEMA_VERSION,
    SCHEMAS,
    SKIPPED_BY,
    VERSION_KEY,
    TableName,
)
from corrstore.datasets.errors import BadInput, DamagedData, fault_of_file
from corrstore.datasets.storage.folder import Folder

_ROWS_AT_A_TIME = 65536
READ_AS_DICTIONARY = ("registration", "status")


def table_bytes(table: TableName, rows: pa.Table, sort_by: Sequence[str]) -> bytes:
    """The rows in ascending order as the bytes of a Parquet file; `rows` may lack columns of the schema."""
    schema = pa.schema([field for field in SCHEMAS[table] if field.name in rows.column_names])
    schema = schema.with_metadata({VERSION_KEY: str(SCHEMA_VERSION).encode()})
    rows = rows.select(schema.names).cast(schema)
    order = pc.sort_indices(rows, [(key, "ascending") for key in sort_by]) if sort_by else None
    sink = pa.BufferOutputStream()
    repetitive, skipped_by = ([name for name in names if name in schema.names] for names in (REPETITIVE, SKIPPED_BY))
    with pq.ParquetWriter(
        sink, schema, compression="zstd", use_dictionary=repetitive, write_statistics=skipped_by
    ) as writer:
        groups = 0
        for first in range(0, len(rows), _ROWS_AT_A_TIME):
            part = slice(first, first + _ROWS_AT_A_TIME)
            taken = rows[part] if order is None else rows.take(order[part])
            writer.write_table(taken, ROWS_IN_GROUP[table])
            groups += -(-len(taken) // ROWS_IN_GROUP[table])
        writer.add_key_value_metadata(metadata_for(groups))
    return with_checksums(sink.getvalue().to_pybytes())


def read_table_file(
    folder: Folder,
    table: TableName,
    key: str,
    fix: str,
    columns: Sequence[str] | None = None,
    keep: Mapping[str, str] | None = None,
) -> pa.Table:
    """The rows of a file, of all columns or the named ones, whose texts are those in `keep`.

    Row groups whose extremes rule such rows out stay unread; what is read is held against its checksum.
    Raises FileNotFoundError, and, naming the file and `fix`, DamagedData where it is damaged and BadInput where it
    is no table of a catalog, or one of a newer version.
    """
    path = folder.path(key)
    as_dictionary = [name for name in READ_AS_DICTIONARY if name in SCHEMAS[table].names]
    version = None
    try:
        with folder.open(key) as opened:
            file = CheckedFile(opened)
            version = (file.metadata.metadata or {}).get(VERSION_KEY)
            if version is not None and int(version) <= SCHEMA_VERSION:
                every = range(file.metadata.num_row_groups)
                groups = [group for group in every if _may_hold(file.metadata, group, keep or {})]
                with file.opened(groups, as_dictionary) as rows:
                    return _rows(rows, groups, columns or SCHEMAS[table].names, keep or {}, SCHEMAS[table])
    except FileNotFoundError:
        raise
    except KeyError:
        version = None  # it lacks a column that every table has
    except Exception as error:
        raise DamagedData(f"{path} is damaged ({fault_of_file(error)}); {fix}") from None
    if version is None:
        raise BadInput(f"{path} is not a table of a corrstore catalog; {fix}")
    raise BadInput(
        f"{path} has version {int(version)} of the catalog's tables, this corrstore reads up to {SCHEMA_VERSION};"
        " install a newer corrstore"
    )


def _rows(
    file: pq.ParquetFile, groups: list[int], names: Sequence[str], keep: Mapping[str, str], schema: pa.Schema
) -> pa.Table:
    held = file.schema_arrow.names
    absent = [name for name in names if name in ADDED_IN_VERSION_2 and name not in held]
    read = [name for name in names if name not in absent]
    rows = file.read_row_groups(groups, [*read, *(name for name in keep if name not in read)], use_threads=False)
    if keep:
        rows = rows.filter(reduce(pc.and_, (pc.equal(rows[name], text) for name, text in keep.items())))
    for name in absent:
        rows = rows.append_column(name, pa.nulls(len(rows), schema.field(name).type))
    return rows.select(list(names))


def _may_hold(metadata: pq.FileMetaData, group: int, keep: Mapping[str, str]) -> bool:
    """Tell whether the extremes of a row group let it hold rows with these texts."""
    for name, text in keep.items():
        extremes = metadata.row_group(group).column(metadata.schema.names.index(name)).statistics
        if extremes is not None and extremes.has_min_max and not extremes.min <= text <= extremes.max:
            return False
    return True
