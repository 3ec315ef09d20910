"""The catalog as a static site: an index of the stores and a page for each, which need no server and no address."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import jinja2

from corrstore.catalog.drawing.figures import Map
from corrstore.catalog.drawing.pictures import Frame
from corrstore.catalog.pages.activity import most_active
from corrstore.catalog.pages.portrait import Portrait, portrait
from corrstore.catalog.pages.report import page_templates
from corrstore.catalog.pages.store_page import store_page
from corrstore.catalog.pages.strip import Stretch
from corrstore.catalog.pages.thumbnails import thumbnails
from corrstore.catalog.pages.timeline import Timeline, valid_runs
from corrstore.catalog.printing.markup import plain
from corrstore.catalog.queries.access import Catalog
from corrstore.catalog.queries.series import SeriesReader
from corrstore.datasets.storage.folder import Folder

_PAGE_OF_A_STORE = re.compile(r"^[0-9a-f]{16}\.html$")


class Card(NamedTuple):
    """A store on the index: what it is, where its samples lie in time, and a preview of its fields."""

    of: Portrait
    stretches: list[Stretch]
    valid_runs: list[tuple[int, int]]
    preview: list[Map]
    frame: Frame | None

    @property
    def channels(self) -> list[str]:
        """The names of its channels, of whatever role, each once."""
        return list(dict.fromkeys(name for role in ("target", "input", "static") for name in self.names(role)))

    def names(self, role: str) -> list[str]:
        """The names of its channels of a role."""
        return self.of.row[f"{role}_channels"] or []


def write_site(catalog: Catalog, output: Folder) -> int:
    """Write the site of a catalog, the index last, and remove the pages of stores that it no longer has.

    Returns the number of stores. One sample is read of each store that is present, one store after the other. Errors:
    BadInput where a file of the catalog is damaged, or the site cannot be written.
    """
    templates, read, listing = site_templates(), SeriesReader(catalog.tables), catalog.listing()
    timeline = Timeline(listing)
    cards = []
    for row in listing:
        of = portrait(catalog.tables, read, row, row["status"])
        fields = thumbnails(of, most_active(of, read))
        sources = catalog.tables.rows("sources", [row["registration"]])
        output.write(_page_of(row), store_page(templates, of, fields, sources).encode())
        cards.append(Card(of, timeline.stretches(of), valid_runs(of), fields.preview, fields.frame))
    output.write("index.html", _index(templates, cards, timeline).encode())
    current = {_page_of(row) for row in listing}
    for name in output.names("stores"):
        if _PAGE_OF_A_STORE.match(name) and f"stores/{name}" not in current:
            output.remove(f"stores/{name}")
    return len(cards)


def site_templates() -> jinja2.Environment:
    """The templates of the site; whatever is put into them is shown as text, never as markup."""
    environment = page_templates()
    environment.filters["plain"] = plain
    return environment


def _index(templates: jinja2.Environment, cards: Sequence[Card], timeline: Timeline) -> str:
    script = templates.get_template("filter.js.j2").render()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    holders = Counter(name for card in cards for name in card.channels)
    return templates.get_template("index.html.j2").render(
        cards=cards,
        timeline=timeline,
        channels=sorted(holders),
        samples=sum(card.of.row["valid"] or 0 for card in cards),
        bytes=sum(card.of.row["bytes"] or 0 for card in cards),
        script=script,
        script_digest=digest,
    )


def _page_of(row: dict[str, Any]) -> str:
    return f"stores/{row['store']}.html"
