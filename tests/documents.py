"""The blocks of code in the project's documents."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from tests.paths import ROOT

CONTRIBUTING = ROOT / "CONTRIBUTING.md"
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


class Block(NamedTuple):
    """A fenced block: where it begins, the paragraph before it, its language and its text."""

    place: str
    before: str
    language: str
    text: str


def blocks(document: Path) -> list[Block]:
    """The fenced blocks of a document, in their order."""
    text = document.read_text(encoding="utf-8")
    found = []
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        line = text.count("\n", 0, match.start()) + 1
        before = text[: match.start()].rstrip().rpartition("\n\n")[2]
        found.append(Block(f"{document.name}:{line}", before, match[1], match[2]))
    return found
