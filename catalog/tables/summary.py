"""The summary: copies of the small tables of many registrations in one file each, so that few files have to be opened.

Registrations are the truth; a reader takes from the summary what it has, and the rest from their own files.
"""

from __future__ import annotations

from corrstore.catalog.tables.names import SUFFIX, names_of_files, next_name
from corrstore.catalog.tables.obsolete import SUMMARY
from corrstore.catalog.tables.parquet import table_bytes
from corrstore.catalog.tables.reading import KeptTable, Tables
from corrstore.datasets.errors import BadInput, DamagedData
from corrstore.datasets.storage.folder import Folder

_STORE = "0" * 16
_FEWEST, _ONE_IN = 16, 32
_ORDER: tuple[KeptTable, ...] = ("coverage", "stores")


def renew_summary(catalog: Folder) -> None:
    """Write a new summary where at least 16 registrations, and one in 32 of all, are not in the present one."""
    tables = Tables(catalog)
    try:
        names = tables.registrations()
        lacking = len(set(names) - tables.summarised())
        if lacking >= max(_FEWEST, len(names) // _ONE_IN):
            contents = {table: table_bytes(table, tables.kept(table, names), sort_by=()) for table in _ORDER}
        else:
            return
    except (BadInput, DamagedData):
        return  # another store's file is damaged: who reads it is told so, and this store is registered all the same
    name = next_name(_STORE, names_of_files(catalog.names(f"{SUMMARY}/stores")))
    for table in _ORDER:
        catalog.write(f"{SUMMARY}/{table}/{name}{SUFFIX}", contents[table])
