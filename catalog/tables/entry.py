"""The entry of one store in a catalog: its rows of every table."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

from corrstore.catalog.tables.names import store_id
from corrstore.catalog.tables.schemas import SCHEMAS, SORTED_BY, TableName
from corrstore.datasets.errors import BadInput


@dataclass(frozen=True)
class Registration:
    """The rows of one store: a table for each of the catalog's six.

    `location` is an absolute path or a URL; `stores` has one row. The columns that say who registered what and when
    are added by `complete_rows`; others that are left out are empty.
    """

    name: str
    location: str
    tables: Mapping[TableName, pa.Table]

    @property
    def store(self) -> str:
        """The id of the store in a catalog."""
        return store_id(self.name, self.location)

    def complete_rows(self, table: TableName, registration: str) -> pa.Table:
        """Return the rows with all columns of the table's schema, in its types, under the name of a registration.

        Raises BadInput for unknown columns, wrong types, and a `stores` row without a period.
        """
        rows = self.tables.get(table, pa.table({}))
        unknown = sorted(set(rows.column_names) - set(SCHEMAS[table].names))
        if unknown:
            raise BadInput(f"{self.name}: table {table} has no column {', '.join(unknown)}; remove it")
        if table == "stores":
            _check_store(self.name, rows)
        added = {
            "registration": registration,
            "store": self.store,
            "registered": datetime.now(UTC).replace(tzinfo=None),
            "host": socket.gethostname(),
            "name": self.name,
            "location": self.location,
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
            raise BadInput(f"{self.name}: table {table}: {error}; expected {SCHEMAS[table]}") from None


class RegistrationTables:
    """The tables of one registration in memory, read as those of a catalog are."""

    def __init__(self, registration: Registration) -> None:
        self._registration = registration
        self._complete: dict[TableName, pa.Table] = {}

    def rows(
        self,
        table: TableName,
        names: Sequence[str],
        columns: Sequence[str] | None = None,
        keep: Mapping[str, str] | None = None,
    ) -> pa.Table:
        """Return the rows whose texts are those in `keep`, of all columns or the named ones, in the order on disk."""
        if table not in self._complete:
            self._complete[table] = self._registration.complete_rows(table, names[0])
        rows = self._complete[table]
        if keep:
            rows = rows.filter(reduce(pc.and_, (pc.equal(rows[name], text) for name, text in keep.items())))
        if SORTED_BY[table]:
            rows = rows.sort_by([(key, "ascending") for key in SORTED_BY[table]])
        return rows.select(columns or rows.column_names)


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
