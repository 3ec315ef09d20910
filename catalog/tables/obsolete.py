"""Files that no longer count: those of registrations that were replaced, forgotten, or never finished."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import fsspec

from corrstore.catalog.tables.names import SUFFIX, names_of_files, newest, store_of
from corrstore.catalog.tables.schemas import TABLES
from corrstore.datasets.storage.folder import Folder

SUMMARY = "summary"
_UNFINISHED = ".partial-"  # what `Folder.write` calls a file that it has not finished
GRACE = timedelta(hours=1)
"""The time that files stay after they no longer count, so that nobody loses what they still read or write."""


def replaced(catalog: Folder, names: list[str], store: str, grace: timedelta = GRACE) -> list[str]:
    """Return the registrations of a store in `names` that another one has replaced for at least `grace`."""
    *older, last = sorted(name for name in names if store_of(name) == store) or [""]
    return older if older and _age(catalog, f"stores/{last}{SUFFIX}") >= grace else []


def remove_registration(catalog: Folder, name: str) -> None:
    """Remove a registration's files, first the one that makes it visible."""
    for table in TABLES:
        remove_file(catalog, f"{table}/{name}{SUFFIX}")


def obsolete_files(catalog: Folder, grace: timedelta = GRACE) -> list[str]:
    """The keys of all files in the catalog that have not counted for `grace`."""
    keys = catalog.all_keys()
    counting: dict[str, dict[str, str]] = {}
    for root in ("", f"{SUMMARY}/"):
        listed = [key.removeprefix(f"{root}stores/") for key in keys if key.startswith(f"{root}stores/")]
        counting[root] = {store_of(name): name for name in newest(names_of_files(listed))}
    found = []
    for key in keys:
        *folders, file = key.split("/")
        root = f"{SUMMARY}/" if folders[:1] == [SUMMARY] else ""
        ours = names_of_files([file])
        current = counting[root].get(store_of(ours[0])) if ours else None
        if file.startswith(_UNFINISHED) or (ours and ours[0] != current):
            since = [key] if current is None else [key, f"{root}stores/{current}{SUFFIX}"]
            if all(_age(catalog, each) >= grace for each in since):
                found.append(key)
    return found


def remove_file(catalog: Folder, key: str) -> None:
    """Remove a file, which another process may remove at the same moment."""
    try:
        catalog.remove(key)
    except FileNotFoundError:
        return


def _age(catalog: Folder, key: str) -> timedelta:
    """Return the time since the file was written; zero where it is not there."""
    filesystem, path = fsspec.url_to_fs(catalog.path(key), **catalog.storage_options)
    try:
        written = filesystem.modified(path)
    except FileNotFoundError:
        return timedelta(0)
    return datetime.now(UTC) - (written if written.tzinfo else written.replace(tzinfo=UTC))
