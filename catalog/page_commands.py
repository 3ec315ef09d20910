"""The commands that publish a catalog: page, stac, card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from corrstore.catalog.catalog_commands import CatalogUrl
from corrstore.catalog.printing.output import several, shown
from corrstore.datasets.commands import notices

app = typer.Typer()

OutputFolder = Annotated[str, typer.Argument(metavar="OUT", help="The folder to write, or gs:// or s3://bucket/path.")]


@app.command()
def page(output: OutputFolder, catalog: CatalogUrl) -> None:
    """Write a static site to look at: an index of the stores to filter, and a page for each. It needs no server.

    Example: `corrstore catalog page demo/page --catalog demo/catalog`
    """
    from corrstore.catalog.pages.page import write_site
    from corrstore.catalog.queries.access import Catalog
    from corrstore.datasets.storage.folder import Folder

    stores = write_site(Catalog(catalog), Folder(output))
    _say(f"wrote {shown(output)}/index.html and {several(stores, 'page')} of stores")


@app.command()
def stac(output: OutputFolder, catalog: CatalogUrl) -> None:
    """Write each store as a STAC collection with the datacube extension, and its dataset card.

    Example: `corrstore catalog stac demo/stac --catalog demo/catalog`
    """
    from corrstore.catalog.exports.stac import write_stac
    from corrstore.catalog.queries.access import Catalog
    from corrstore.datasets.storage.folder import Folder

    stores = write_stac(Catalog(catalog), Folder(output))
    _say(f"wrote {shown(output)}/catalog.json and {several(stores, 'collection')} of stores")


@app.command()
def card(
    store: Annotated[str, typer.Argument(metavar="STORE", help="A store's name, location or id.")],
    catalog: CatalogUrl,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Write there, not to standard output.")] = None,
) -> None:
    """Print the dataset card of a store, in Markdown.

    Example: `corrstore catalog card demo/store --catalog demo/catalog --output demo/README.md`
    """
    from corrstore.catalog.exports.card import card_of
    from corrstore.catalog.queries.access import Catalog
    from corrstore.datasets.storage.folder import write_file_atomically

    text = card_of(Catalog(catalog), store)
    if output is None:
        print(text, end="")
        return
    write_file_atomically(output, text.encode())
    _say(f"wrote {shown(output)}")


def _say(text: str) -> None:
    notices.print(text, markup=False, highlight=False, soft_wrap=True)
