"""Reading a catalog's tables: what is registered now, and the rows of it; small tables are kept between calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from corrstore.catalog.tables.names import SUFFIX, names_of_files, newest
from corrstore.catalog.tables.obsolete import SUMMARY
from corrstore.catalog.tables.parquet import READ_AS_DICTIONARY, read_table_file
from corrstore.catalog.tables.schemas import SCHEMAS, TableName
from corrstore.datasets.errors import BadInput, DamagedData
from corrstore.datasets.storage.folder import Folder


class TableReader(Protocol):
    """A reader of the rows of registrations, in a folder or in memory."""

    def rows(
        self,
        table: TableName,
        names: Sequence[str],
        columns: Sequence[str] | None = None,
        keep: Mapping[str, str] | None = None,
    ) -> pa.Table:
        """Return the rows of these registrations whose texts are those in `keep`."""
        ...


KeptTable = Literal["stores", "coverage"]
KEPT: dict[KeptTable, tuple[str, ...]] = {
    "stores": tuple(SCHEMAS["stores"].names),
    "coverage": ("registration", "init_time", "start", "end", "status"),
}
"""The tables that most questions need of all stores, and which of their columns."""
_AT_ONCE = 16
_REGISTER_AGAIN = "register its store again with `corrstore catalog add`"
_OR_FORGET = ", or remove the file, and the catalog forgets the store"


class Tables:
    """The tables of the catalog in a folder, as they are at the moment of each call."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self._kept: dict[KeptTable, tuple[frozenset[str], pa.Table]] = {}

    def registrations(self) -> list[str]:
        """Return the names of the registrations that count; raise BadInput where there is no catalog."""
        names = newest(names_of_files(self.folder.names("stores")))
        if not names and not self.folder.exists("stores"):
            raise BadInput(
                f"no catalog at {self.folder.url}: it has no folder `stores`; correct the path, or make one with"
                f" `corrstore catalog add STORE --catalog {self.folder.url}`"
            )
        return names

    def kept(self, table: KeptTable, names: Sequence[str]) -> pa.Table:
        """The rows of these registrations, of the columns in KEPT; read once, then only what is new."""
        wanted = frozenset(names)
        if table in self._kept and self._kept[table][0] == wanted:
            return self._kept[table][1]
        known, rows = self._kept.get(table) or self._summary(table, KEPT[table])
        if known - wanted:
            rows = rows.filter(pc.is_in(rows["registration"], pa.array(names, pa.string())))
        rows = pa.concat_tables([rows, self.rows(table, sorted(wanted - known), KEPT[table])])
        rows = rows.unify_dictionaries().combine_chunks()
        self._kept[table] = wanted, rows
        return rows

    def rows(
        self,
        table: TableName,
        names: Sequence[str],
        columns: Sequence[str] | None = None,
        keep: Mapping[str, str] | None = None,
    ) -> pa.Table:
        """The rows of these registrations whose texts are those in `keep`, of all columns or the named ones."""

        def read(name: str) -> pa.Table | None:
            key = f"{table}/{name}{SUFFIX}"
            fix = _REGISTER_AGAIN + (_OR_FORGET if table == "stores" else "")
            try:
                return read_table_file(self.folder, table, key, fix, columns, keep)
            except FileNotFoundError:
                if table == "stores" and f"{name}{SUFFIX}" not in self.folder.names("stores"):
                    return None  # it has been removed since
                raise DamagedData(f"{self.folder.path(key)} is gone; {_REGISTER_AGAIN}") from None

        if len(names) == 1:
            found = [read(names[0])]
        else:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                found = list(pool.map(read, names))
        return pa.concat_tables([_empty(table, columns), *(rows for rows in found if rows is not None)])

    def summarised(self) -> frozenset[str]:
        """The registrations that the summary holds."""
        return self._summary("stores", ["registration"])[0]

    def _summary(self, table: KeptTable, columns: Sequence[str]) -> tuple[frozenset[str], pa.Table]:
        """The registrations in the newest summary, and its rows of a table."""
        summaries = newest(names_of_files(self.folder.names(f"{SUMMARY}/stores")))
        if not summaries:
            return frozenset(), _empty(table, columns)
        fix = f"remove the folder {self.folder.path(SUMMARY)}, which is only a copy"
        try:
            names, rows = (
                read_table_file(self.folder, each, f"{SUMMARY}/{each}/{summaries[0]}{SUFFIX}", fix, wanted)
                for each, wanted in (("stores", ["registration"]), (table, columns))
            )
        except FileNotFoundError as error:
            raise DamagedData(f"the summary lacks a file ({error}); {fix}") from None
        return frozenset(names["registration"].to_pylist()), rows


def _empty(table: TableName, columns: Sequence[str] | None) -> pa.Table:
    """Return a table without rows, in the types that files are read in."""
    names = columns or SCHEMAS[table].names
    texts = pa.dictionary(pa.int32(), pa.string())
    types = {name: texts if name in READ_AS_DICTIONARY else SCHEMAS[table].field(name).type for name in names}
    return pa.schema(list(types.items())).empty_table()
