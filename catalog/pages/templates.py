"""The templates of pages, and the file that a page is written to."""

from __future__ import annotations

from pathlib import Path

import jinja2

from corrstore.catalog.printing import wording
from corrstore.catalog.printing.markup import plain
from corrstore.datasets.errors import BadInput
from corrstore.datasets.storage.folder import write_file_atomically

_BEGINS = b"<!doctype html"


def page_templates() -> jinja2.Environment:
    """Return the templates of pages, which show every value as text and never as markup."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("corrstore.catalog"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["wording"] = wording
    environment.filters["plain"] = plain
    return environment


def refuse_other_file(output: Path) -> None:
    """Raise BadInput where a file that is no page lies in the place of a page."""
    if output.is_file():
        with output.open("rb") as file:
            if file.read(len(_BEGINS)).lower() not in (_BEGINS, b""):
                raise BadInput(f"{output} is there and is no page; give another --output")


def write_page(output: Path, page: str) -> None:
    """Write a page; raises BadInput as `refuse_other_file`, and where it cannot be written."""
    refuse_other_file(output)
    write_file_atomically(output, page.encode())
