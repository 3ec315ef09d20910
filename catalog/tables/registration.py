"""Registering a store: its rows of every table, each in a file of its own, the `stores` row's last.

A registration is there from the moment its file in `stores` is, and all its other files are there by then. Nothing is
ever changed in place, so any number of processes on any number of machines may register at once.
"""

from __future__ import annotations

from corrstore.catalog.tables.description import describe_store
from corrstore.catalog.tables.entry import Registration
from corrstore.catalog.tables.names import SUFFIX, names_of_files, next_name
from corrstore.catalog.tables.obsolete import remove_registration, replaced
from corrstore.catalog.tables.parquet import table_bytes
from corrstore.catalog.tables.schemas import SORTED_BY, TABLES
from corrstore.catalog.tables.summary import renew_summary
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.opening import open_store


def register(catalog: Folder, registration: Registration) -> str:
    """Put a store into the catalog, in place of what the catalog knew of it; returns the registration's name.

    Raises BadInput where the tables are not a catalog's, or the folder cannot be written.
    """
    names = names_of_files(catalog.names("stores"))
    name = next_name(registration.store, names)
    contents = {
        table: table_bytes(table, registration.complete_rows(table, name), SORTED_BY[table]) for table in TABLES
    }
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
