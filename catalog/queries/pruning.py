"""Forgetting stores that have vanished, and removing files that no longer count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from corrstore.catalog.queries.access import Catalog
from corrstore.catalog.tables.names import SUFFIX, names_of_files, store_of
from corrstore.catalog.tables.obsolete import GRACE, obsolete_files, remove_file


@dataclass(frozen=True)
class Pruned:
    """The stores that were forgotten, as rows of the table `stores`, and the keys of the files that were removed."""

    stores: list[dict[str, Any]]
    files: list[str]


def prune(catalog: Catalog, stores: Sequence[str] = (), grace: timedelta = GRACE, dry_run: bool = False) -> Pruned:
    """Forget the stores that have vanished, or those named (by name, location or id), and remove what is left over.

    Files stay for `grace` after they have ceased to count, for those who are reading them; so do the files of a
    registration that is not finished. `dry_run` only says what would be done. Errors: BadInput for an unknown store.
    """
    if stores:
        forgotten = [catalog.stores.named(store) for store in stores]
    else:
        forgotten = [row for row in catalog.listing() if row["status"] == "vanished"]
    folder = catalog.tables.folder
    ids = {row["store"] for row in forgotten}
    names = sorted(name for name in names_of_files(folder.names("stores")) if store_of(name) in ids)
    visible = [f"stores/{name}{SUFFIX}" for name in names]
    files = [key for key in obsolete_files(folder, grace) if key not in visible]
    if not dry_run:
        for key in [*visible, *files]:
            remove_file(folder, key)
    return Pruned(forgotten, [*visible, *files])
