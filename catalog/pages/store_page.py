"""The page of one store: fields, coverage, channels, recipe and lineage."""

from __future__ import annotations

from typing import Any, NamedTuple

import jinja2
import pyarrow as pa
import pyarrow.compute as pc

from corrstore.catalog.drawing.calendar import calendar
from corrstore.catalog.drawing.charts import HEIGHT, WIDTH, Histogram, channel_histogram, residual_histogram
from corrstore.catalog.drawing.figures import Map
from corrstore.catalog.pages.portrait import ChannelPortrait, Portrait
from corrstore.catalog.pages.thumbnails import Thumbnails

_MOST_GAPS = 100
_MOST_FILES = 50


class ChannelFigures(NamedTuple):
    """A channel with its maps and histograms, those of them that there are."""

    portrait: ChannelPortrait
    maps: list[Map]
    values: Histogram | None
    residual: Histogram | None


class Source(NamedTuple):
    """An archive that the store was built from: how many files were read, and the first of them."""

    name: str
    files: int
    bytes: int
    formats: list[str]
    first: list[dict[str, Any]]


def store_page(templates: jinja2.Environment, of: Portrait, fields: Thumbnails, sources: pa.Table) -> str:
    """The page of a store, by its portrait, its thumbnails, and its rows of the table `sources`."""
    invalid = [each for each in of.coverage if each["status"] != "valid"]
    return templates.get_template("store.html.j2").render(
        of=of,
        row=of.row,
        fields=fields,
        targets=[_target(of, each, fields) for each in of.channels["target"]],
        inputs_alone=[
            ChannelFigures(each, fields.maps.get(("input", each.row["channel"]), []), _histogram(input=each), None)
            for each in of.channels["input"]
            if of.channel("target", each.row["channel"]) is None
        ],
        calendar=calendar(of.times, of.frequency, of.coverage),
        gaps=invalid[:_MOST_GAPS],
        more_gaps=max(len(invalid) - _MOST_GAPS, 0),
        sources=sources_of(sources),
        box=(WIDTH, HEIGHT),
    )


def _target(of: Portrait, target: ChannelPortrait, fields: Thumbnails) -> ChannelFigures:
    name = target.row["channel"]
    coarse, residual = of.channel("input", name), of.channel("residual", name)
    drawn = residual_histogram(residual.channel.variable, residual.counted) if residual and residual.counted else None
    return ChannelFigures(target, fields.maps.get(("target", name), []), _histogram(target=target, input=coarse), drawn)


def _histogram(**channels: ChannelPortrait | None) -> Histogram | None:
    """The histograms of a channel by role, one over the other."""
    counted = {role: each.counted for role, each in channels.items() if each and each.counted}
    variable = next(each.channel.variable for each in channels.values() if each)
    return channel_histogram(variable, counted)


def sources_of(rows: pa.Table) -> list[Source]:
    """The archives in rows of the table `sources`."""
    found = []
    for name in pc.unique(rows["source"]).to_pylist():
        files = rows.filter(pc.equal(rows["source"], name))
        formats = [each for each in pc.unique(files["format"]).to_pylist() if each]
        found.append(
            Source(name, len(files), pc.sum(files["bytes"]).as_py() or 0, formats, files[:_MOST_FILES].to_pylist())
        )
    return found
