"""The entry of one store in a catalog: its rows of every table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from corrstore.catalog.tables.names import store_id
from corrstore.catalog.tables.schemas import TableName


@dataclass(frozen=True)
class Registration:
    """What is to be known of one store: a table of rows for each of the catalog's six.

    `location` is an absolute path or a URL; `stores` has one row. The columns that say who registered what and when
    are added by `register`; others that are left out are empty.
    """

    name: str
    location: str
    tables: Mapping[TableName, pa.Table]

    @property
    def store(self) -> str:
        """What the store is known by in a catalog."""
        return store_id(self.name, self.location)
