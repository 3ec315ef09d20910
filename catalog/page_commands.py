"""The commands that publish a catalog: page, stac, card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from catalog.catalog_commands import CatalogUrl, app
from catalog.output import shown
from datasets.commands import notices, results
from datasets.storage import Folder

OutputFolder = Annotated[str, typer.Argument(metavar="OUT", help="The folder to write, or gs://bucket/path.")]


@app.command()
def page(output: OutputFolder, catalog: CatalogUrl) -> None:
    """Write a static site to look at: an index of the stores to filter, and a page for each. It needs no server.

    Example: `corrstore catalog page demo/page --catalog demo/catalog`
    """
    from catalog.access import Catalog
    from catalog.page import write_site

    stores = write_site(Catalog(catalog), Folder(output))
    _say(f"wrote {shown(output)}/index.html and the pages of {stores} stores")


def _say(text: str) -> None:
    notices.print(text, markup=False, highlight=False, soft_wrap=True)
