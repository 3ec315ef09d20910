"""One Parquet file of a catalog: written with the version of its columns, and read with that version looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow.fs import FileSystem, FSSpecHandler, LocalFileSystem, PyFileSystem

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
from corrstore.datasets.errors import BadInput, DamagedData
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
        for first in range(0, len(rows), _ROWS_AT_A_TIME):
            part = slice(first, first + _ROWS_AT_A_TIME)
            writer.write_table(rows[part] if order is None else rows.take(order[part]), ROWS_IN_GROUP[table])
    return sink.getvalue().to_pybytes()


def read_table_file(
    folder: Folder,
    table: TableName,
    key: str,
    fix: str,
    columns: Sequence[str] | None = None,
    keep: Mapping[str, str] | None = None,
) -> pa.Table:
    """The rows of a file, of all columns or the named ones, whose texts are those in `keep`.

    Row groups whose extremes rule such rows out stay unread.
    Raises FileNotFoundError, and, naming the file and `fix`, DamagedData where it is damaged and BadInput where it
    is no table of a catalog, or one of a newer version.
    """
    path = folder.path(key)
    filesystem, inner = _filesystem(folder, path)
    as_dictionary = [name for name in READ_AS_DICTIONARY if name in SCHEMAS[table].names]
    version = None
    try:
        with pq.ParquetFile(inner, filesystem=filesystem, read_dictionary=as_dictionary) as file:
            version = (file.metadata.metadata or {}).get(VERSION_KEY)
            if version is not None and int(version) <= SCHEMA_VERSION:
                return _rows(file, columns or SCHEMAS[table].names, keep or {}, SCHEMAS[table])
    except FileNotFoundError:
        raise
    except (pa.ArrowInvalid, OSError) as error:
        raise DamagedData(f"{path} is damaged ({str(error).splitlines()[0]:.200}); {fix}") from None
    except KeyError:
        version = None  # it lacks a column that every table has
    if version is None:
        raise BadInput(f"{path} is not a table of a corrstore catalog; {fix}")
    raise BadInput(
        f"{path} has version {int(version)} of the catalog's tables, this corrstore reads up to {SCHEMA_VERSION};"
        " install a newer corrstore"
    )


def _rows(file: pq.ParquetFile, names: Sequence[str], keep: Mapping[str, str], schema: pa.Schema) -> pa.Table:
    groups = [group for group in range(file.num_row_groups) if _may_hold(file, group, keep)]
    held = file.schema_arrow.names
    absent = [name for name in names if name in ADDED_IN_VERSION_2 and name not in held]
    read = [name for name in names if name not in absent]
    rows = file.read_row_groups(groups, [*read, *(name for name in keep if name not in read)], use_threads=False)
    if keep:
        rows = rows.filter(reduce(pc.and_, (pc.equal(rows[name], text) for name, text in keep.items())))
    for name in absent:
        rows = rows.append_column(name, pa.nulls(len(rows), schema.field(name).type))
    return rows.select(list(names))


def _may_hold(file: pq.ParquetFile, group: int, keep: Mapping[str, str]) -> bool:
    """Tell whether the extremes of a row group let it hold rows with these texts."""
    for name, text in keep.items():
        extremes = file.metadata.row_group(group).column(file.schema.names.index(name)).statistics
        if extremes is not None and extremes.has_min_max and not extremes.min <= text <= extremes.max:
            return False
    return True


def _filesystem(folder: Folder, path: str) -> tuple[FileSystem, str]:
    if folder.is_local:
        return LocalFileSystem(), path
    remote: Any
    remote, inner = fsspec.url_to_fs(path, **folder.storage_options)
    return PyFileSystem(FSSpecHandler(remote)), inner
