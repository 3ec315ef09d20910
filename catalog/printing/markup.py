"""Text from a catalog made fit for a page or for Markdown, in which it is never markup."""

from __future__ import annotations

import re

_MEANS_SOMETHING = re.compile(r"([\\`*\[\]<>&#|~!@$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|(?<=:)/(?=/)|(?<=www)\.)")
_BACKTICKS = re.compile("`+")


def plain(value: object) -> str:
    """The text without characters that do not show, or that change how others do."""
    return "".join(
        each if each.isprintable() or each == "\N{NARROW NO-BREAK SPACE}" else "\N{REPLACEMENT CHARACTER}"
        for each in str(value)
    )


def escaped(value: object) -> str:
    """The text as Markdown of that very text, within a line."""
    return _MEANS_SOMETHING.sub(r"\\\1", plain(value))


def code(value: object) -> str:
    """The text as Markdown code, within a line or a cell of a table."""
    text = plain(value)
    ticks = "`" * (1 + max(map(len, _BACKTICKS.findall(text)), default=0))
    pad = " " if text.startswith("`") or text.endswith("`") or not text.strip() else ""
    return f"{ticks}{pad}{text}{pad}{ticks}".replace("|", r"\|")


def code_block(text: str, language: str) -> str:
    """Return lines as a Markdown block of code."""
    ticks = "`" * max(3, 1 + max(map(len, _BACKTICKS.findall(text)), default=0))
    return f"{ticks}{language}\n{text.rstrip()}\n{ticks}"


def table(head: list[str], rows: list[list[str]], numbers_from: int) -> str:
    """A Markdown table of cells that are Markdown; columns from that number on are numbers."""
    rule = [":---" if place < numbers_from else "---:" for place in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, rule, *rows])
