"""Rows for a person: a table or, where the terminal is too narrow for one, a few lines for each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from corrstore.catalog.printing.output import Row, shown
from corrstore.datasets.commands import results

_INDENT, _BETWEEN = 2, 3


class _Item(NamedTuple):
    """The name of a column and what a row has there."""

    label: str
    value: str

    @property
    def width(self) -> int:
        return cell_len(f"{self.label} {self.value}".strip()) if self.value else 0


def print_rows(rows: Sequence[Row], columns: Mapping[str, str], heading: int = 1, title: str = "") -> None:
    """Print columns of the rows, under other names; nothing is cut off, however narrow the terminal.

    As a table where one fits; else a block for each row, headed by its first `heading` columns.
    """
    items = [[_Item(label, shown(row[key])) for key, label in columns.items()] for row in rows]
    table = Table(*columns.values(), title=title or None, title_justify="left")
    for row in items:
        table.add_row(*(Text(item.value) for item in row))
    if results.measure(table, options=results.options.update(width=10**6)).maximum <= results.width:
        results.print(table)
        return
    if title:
        _print(Text(title, style="italic"))
    widths = [max((row[place].width for row in items), default=0) for place in range(heading, len(columns))]
    for row in items:
        _print(Text("  ".join(item.value for item in row[:heading] if item.value), style="bold"))
        for line in _lines(row[heading:], widths):
            _print(line)


def _lines(items: Sequence[_Item], widths: Sequence[int]) -> list[Text]:
    """The items, as many beside each other as fit, each as wide as its like in the other rows."""
    lines, room = [Text()], 0
    for item, width in zip(items, widths, strict=True):
        if width and room < _BETWEEN + width:
            lines.append(Text(" " * _INDENT))
            room = results.width - _INDENT
        elif width:
            lines[-1].append(" " * _BETWEEN)
            room -= _BETWEEN
        label = item.label if item.value else ""
        lines[-1].append(label, style="dim").append(" " if label else "").append(item.value)
        lines[-1].append(" " * (width - item.width))
        room -= width
    for line in lines:
        line.rstrip()
    return [line for line in lines if line.plain]


def _print(line: Text) -> None:
    results.print(line, soft_wrap=True, highlight=False)
