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
from corrstore.catalog.pages.fields import registered_fields
from corrstore.catalog.pages.store_page import store_page
from corrstore.catalog.pages.store_summary import StoreSummary, summarise_store
from corrstore.catalog.pages.templates import page_templates
from corrstore.catalog.pages.timeline import Stretch, Timeline, valid_runs
from corrstore.catalog.queries.access import Catalog
from corrstore.catalog.queries.series import SeriesReader
from corrstore.datasets.storage.folder import Folder

_PAGE_OF_A_STORE = re.compile(r"^[0-9a-f]{16}\.html$")


class Card(NamedTuple):
    """A store on the index: what it is, where its samples lie in time, and a preview of its fields."""

    summary: StoreSummary
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
        return self.summary.row[f"{role}_channels"] or []


def write_site(catalog: Catalog, output: Folder) -> int:
    """Write the site of a catalog, the index last, and remove the pages of stores that it no longer has.

    Returns the number of stores. One sample is read of each store that is present, one store after the other. Errors:
    BadInput where a file of the catalog is damaged, or the site cannot be written.
    """
    templates, read, listing = page_templates(), SeriesReader(catalog.tables), catalog.listing()
    timeline = Timeline(listing)
    cards = []
    for row in listing:
        summary = summarise_store(catalog.tables, read, row, row["status"])
        fields = registered_fields(summary, most_active(summary, read))
        sources = catalog.tables.rows("sources", [row["registration"]])
        output.write(_page_of(row), store_page(templates, summary, fields, sources, index="../index.html").encode())
        cards.append(Card(summary, timeline.stretches(summary), valid_runs(summary), fields.preview, fields.frame))
    output.write("index.html", _index(templates, cards, timeline).encode())
    current = {_page_of(row) for row in listing}
    for name in output.names("stores"):
        if _PAGE_OF_A_STORE.match(name) and f"stores/{name}" not in current:
            output.remove(f"stores/{name}")
    return len(cards)


def _index(templates: jinja2.Environment, cards: Sequence[Card], timeline: Timeline) -> str:
    script = templates.get_template("filter.js.j2").render()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    holders = Counter(name for card in cards for name in card.channels)
    return templates.get_template("index.html.j2").render(
        cards=cards,
        timeline=timeline,
        channels=sorted(holders),
        samples=sum(card.summary.row["valid"] or 0 for card in cards),
        bytes=sum(card.summary.row["bytes"] or 0 for card in cards),
        script=script,
        script_digest=digest,
    )


def _page_of(row: dict[str, Any]) -> str:
    return f"stores/{row['store']}.html"
