"""The page of one store: fields, coverage, channels, recipe and lineage."""

from __future__ import annotations

from typing import Any, NamedTuple

import jinja2
import pyarrow as pa
import pyarrow.compute as pc

from corrstore.catalog.drawing.charts import HEIGHT, WIDTH, Histogram, channel_histogram, residual_histogram
from corrstore.catalog.drawing.figures import Map
from corrstore.catalog.drawing.shift_charts import LeadChart, shift_charts
from corrstore.catalog.pages.coverage import gaps, split_counts, splits
from corrstore.catalog.pages.fields import Fields
from corrstore.catalog.pages.store_summary import ChannelSummary, StoreSummary

_MOST_FILES = 50


class ChannelFigures(NamedTuple):
    """A channel with its maps and histograms, as far as it has any."""

    channel: ChannelSummary
    maps: list[Map]
    values: Histogram | None = None
    residual: Histogram | None = None


class SourceSummary(NamedTuple):
    """An archive that the store was built from: its files, their size (0 where no file tells it), and the first."""

    name: str
    files: int
    bytes: int
    formats: list[str]
    first: list[dict[str, Any]]


def store_page(
    templates: jinja2.Environment, summary: StoreSummary, fields: Fields, sources: pa.Table, index: str | None
) -> str:
    """Return the page of a store as HTML.

    Args: `sources`, the store's rows of the table `sources`; `index`, the link to the list of all stores, None for a
    page that stands alone.
    """
    time = fields.shown.time if fields.shown else None
    return templates.get_template("store.html.j2").render(
        summary=summary,
        row=summary.row,
        fields=fields,
        index=index,
        shown_split=next((name for name, split in splits(summary).items() if time is not None and time in split), ""),
        targets=[_target(summary, each, fields) for each in summary.channels["target"]],
        inputs_alone=[
            ChannelFigures(each, _maps(fields, each), _histogram(input=each))
            for each in summary.channels["input"]
            if summary.channel("target", each.row["channel"]) is None
        ],
        statics=[ChannelFigures(each, _maps(fields, each)) for each in summary.channels["static"]],
        shifts=_shifts(summary, fields),
        pages=summary.pages,
        splits=split_counts(summary),
        gaps=gaps(summary.coverage),
        sources=summarise_sources(sources),
        box=(WIDTH, HEIGHT),
    )


def _shifts(summary: StoreSummary, fields: Fields) -> list[tuple[ChannelSummary, list[LeadChart]]]:
    """Return the charts of the shift of each input channel that has one."""
    found = []
    for each in summary.channels["input"]:
        rows = [row for row in fields.shift if row["channel"] == each.row["channel"]]
        if rows:
            found.append((each, shift_charts(each.row["channel"], rows)))
    return found


def _maps(fields: Fields, channel: ChannelSummary) -> list[Map]:
    return fields.maps.get((channel.row["role"], channel.row["channel"]), [])


def _target(summary: StoreSummary, target: ChannelSummary, fields: Fields) -> ChannelFigures:
    coarse, residual = (summary.channel(role, target.row["channel"]) for role in ("input", "residual"))
    drawn = residual_histogram(residual.variable, residual.counted) if residual and residual.counted else None
    return ChannelFigures(target, _maps(fields, target), _histogram(target=target, input=coarse), drawn)


def _histogram(**channels: ChannelSummary | None) -> Histogram | None:
    """Return the histograms of a channel by role, one over the other."""
    counted = {role: each.counted for role, each in channels.items() if each and each.counted}
    variable = next(each.variable for each in channels.values() if each)
    return channel_histogram(variable, counted)


def summarise_sources(rows: pa.Table) -> list[SourceSummary]:
    """Return the archives in rows of the table `sources`."""
    found = []
    for name in pc.unique(rows["source"]).to_pylist():
        files = rows.filter(pc.equal(rows["source"], name))
        formats = [each for each in pc.unique(files["format"]).to_pylist() if each]
        size = pc.sum(files["bytes"]).as_py() or 0
        found.append(SourceSummary(name, len(files), size, formats, files[:_MOST_FILES].to_pylist()))
    return found
