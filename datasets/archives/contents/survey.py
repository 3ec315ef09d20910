"""A survey of a path: its contents, beside the table whose variables most of them are."""

from __future__ import annotations

from corrstore.datasets.archives.contents.contents import Contents, read_contents
from corrstore.datasets.archives.contents.near import variables_of
from corrstore.datasets.archives.table import SourceTable, load_table, shipped_tables


def survey(path: str, type: str = "", engine: str | None = None) -> tuple[Contents, SourceTable]:
    """Return the contents of an archive and the table of that type; without one, the shipped table that fits best.

    All files are read, whatever they are called. Raises BadInput where there is none.
    """
    named = load_table(type) if type else None
    contents = read_contents("PATH", path, ["**/*"], (named or load_table("era5")).dims, {}, engine)
    return contents, named or max(map(load_table, shipped_tables()), key=lambda table: _known(contents, table))


def _known(contents: Contents, table: SourceTable) -> int:
    return len(
        {near.variable for held in contents.fields for near in variables_of(held, table) if not near.differences}
    )
