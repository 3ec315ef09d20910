"""A page as tests look at it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise

VOID = {"meta", "img", "br", "path", "link", "input", "hr"}


@dataclass
class Element:
    """An element, what is in it, and its text with that of all below it."""

    tag: str
    attributes: dict[str, str]
    children: list[Element] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def __iter__(self):
        yield self
        for child in self.children:
            yield from child

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())

    def all(self, tag: str | None = None, **attributes: str) -> list[Element]:
        """The elements below with that tag, and with those words among the attributes' (class_ for class)."""
        wanted = {name.rstrip("_"): value for name, value in attributes.items()}
        return [
            element
            for element in self
            if (tag is None or element.tag == tag)
            and all(value in element.attributes.get(name, "").split() for name, value in wanted.items())
        ]

    def one(self, tag: str | None = None, **attributes: str) -> Element:
        (found,) = self.all(tag, **attributes)
        return found


def parse(text: str) -> Element:
    """The page's elements; AssertionError where an element is not closed."""
    parser = _Parser()
    parser.feed(text)
    parser.close()
    assert len(parser.open) == 1, f"not closed: {[element.tag for element in parser.open]}"
    return parser.open[0]


class _Parser(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open = [Element("page", {})]

    def handle_starttag(self, tag, attrs):
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.open[-1].children.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
            self.open.pop()

    def handle_data(self, data):
        for element in self.open:
            element.texts.append(data)


def check_accessible(page: Element) -> None:
    """Check what a screen reader needs of a whole page: language, headings in order, words for tables and images."""
    levels = [int(element.tag[1]) for element in page if re.fullmatch(r"h\d", element.tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
    assert all(table.one("caption").text for table in page.all("table"))
    assert all(cell.attributes["scope"] for cell in page.all("th"))
    assert all("alt" in image.attributes for image in page.all("img"))
    assert page.one("html").attributes["lang"] == "en"
