"""The report of one store: its page as one self-contained file, without a catalog."""

from __future__ import annotations

from pathlib import Path

from corrstore.catalog.drawing.figures import MOST_PICTURE_BYTES
from corrstore.catalog.pages.activity import most_active
from corrstore.catalog.pages.fields import fields_of
from corrstore.catalog.pages.store_page import store_page
from corrstore.catalog.pages.store_summary import summarise_store
from corrstore.catalog.pages.templates import page_templates, write_page
from corrstore.catalog.queries.series import SeriesReader
from corrstore.catalog.tables.description import describe_store
from corrstore.catalog.tables.entry import RegistrationTables
from corrstore.datasets.store.opening import Store


def write_report(store: Store, output: Path) -> None:
    """Write the page of a store as one HTML file that needs no other.

    It registers the store in memory and reads one sample. Raises BadInput where a build of the store is under way, or
    the file cannot be written.
    """
    registration = describe_store(store)
    tables = RegistrationTables(registration)
    read = SeriesReader(tables)
    (row,) = tables.rows("stores", [registration.store]).to_pylist()
    summary = summarise_store(tables, read, row, "present")
    fields = fields_of(store, most_active(summary, read), MOST_PICTURE_BYTES)
    page = store_page(page_templates(), summary, fields, tables.rows("sources", [registration.store]), index=None)
    write_page(output, page)
