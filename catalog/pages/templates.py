"""The templates of pages."""

from __future__ import annotations

import jinja2

from corrstore.catalog.printing import wording
from corrstore.catalog.printing.markup import plain


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
