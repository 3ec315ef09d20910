"""Registering a store: its rows of every table, each in a file of its own, the `stores` row's last.

A registration is there from the moment its file in `stores` is, and all its other files are there by then. Nothing is
ever changed in place, so any number of processes on any number of machines may register at once.
"""

from __future__ import annotations

import socket
from datetime import UTC, datetime

import pyarrow as pa

from corrstore.catalog.tables.description import describe_store
from corrstore.catalog.tables.entry import Registration
from corrstore.catalog.tables.leftovers import remove_registration, replaced
from corrstore.catalog.tables.names import SUFFIX, names_of_files, next_name
from corrstore.catalog.tables.parquet import table_bytes
from corrstore.catalog.tables.schemas import SCHEMAS, SORTED_BY, TABLES, TableName
from corrstore.catalog.tables.summary import renew_summary
from corrstore.datasets.errors import BadInput
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.opening import open_store


def register(catalog: Folder, registration: Registration) -> str:
    """Put a store into the catalog, in place of what the catalog knew of it; returns the registration's name.

    Raises BadInput where the tables are not a catalog's, or the folder cannot be written.
    """
    names = names_of_files(catalog.names("stores"))
    name = next_name(registration.store, names)
    contents = {table: table_bytes(table, _complete(registration, table, name), SORTED_BY[table]) for table in TABLES}
    for old in replaced(catalog, names, registration.store):
        remove_registration(catalog, old)
    for table in reversed(TABLES):
        catalog.write(f"{table}/{name}{SUFFIX}", contents[table])
    renew_summary(catalog)
    return name


def register_store(catalog_url: str, store_url: str) -> str:
    """Register a finished store, the last act of a build; returns the registration's name.

    Raises BadInput where there is no store, a build of it is under way, or the catalog cannot be written.
    """
    return register(Folder(catalog_url), describe_store(open_store(store_url)))


def _complete(registration: Registration, table: TableName, name: str) -> pa.Table:
    """The rows with all columns of the table's schema, in its order and types."""
    rows = registration.tables.get(table, pa.table({}))
    unknown = sorted(set(rows.column_names) - set(SCHEMAS[table].names))
    if unknown:
        raise BadInput(f"{registration.name}: table {table} has no column {', '.join(unknown)}; remove it")
    if table == "stores":
        _check_store(registration.name, rows)
    added = {
        "registration": name,
        "store": registration.store,
        "registered": datetime.now(UTC).replace(tzinfo=None),
        "host": socket.gethostname(),
        "name": registration.name,
        "location": registration.location,
    }
    columns = {}
    for field in SCHEMAS[table]:
        if field.name in added and (table == "stores" or field.name == "registration"):
            columns[field.name] = pa.repeat(pa.scalar(added[field.name], field.type), len(rows))
        elif field.name in rows.column_names:
            columns[field.name] = rows[field.name]
        else:
            columns[field.name] = pa.nulls(len(rows), field.type)
    try:
        return pa.table(columns).cast(SCHEMAS[table])
    except pa.ArrowInvalid as error:
        raise BadInput(f"{registration.name}: table {table}: {error}; expected {SCHEMAS[table]}") from None


def _check_store(name: str, rows: pa.Table) -> None:
    if len(rows) != 1:
        raise BadInput(f"{name}: table stores has {len(rows)} rows, expected the one of the store")
    row = rows.to_pylist()[0]
    start, end, frequency = (row.get(key) for key in ("start", "end", "frequency_seconds"))
    if not (start and end and frequency and start < end and frequency > 0):
        raise BadInput(
            f"{name}: table stores has start {start}, end {end} and frequency_seconds {frequency};"
            " expected an end after the start, and a frequency above 0"
        )
