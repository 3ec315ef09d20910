"""Maps: fields on latitude by longitude grids as small PNG pictures, with what a page draws around them."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from PIL import Image

from corrstore.catalog.drawing.palette import Scale
from corrstore.catalog.printing.wording import latitude, longitude, short_number
from corrstore.datasets.grids.fields import FieldArray
from corrstore.datasets.grids.rectilinear import RectilinearGrid

_NARROW = 0.7
_LONGEST = 10
_WIDEST = 720
_CELLS_SHOWN = 140

CHARACTERS = 34
"""The number of characters of a label for which there is room below a map or a histogram that is not narrow."""


class Tick(NamedTuple):
    """A label at a position in per cent from the left or from the bottom."""

    at: float
    text: str


def legible(ticks: list[Tick], characters: float) -> list[Tick]:
    """The ticks or, so that their labels fit into a width of so many characters, every other or fourth one."""
    while sum(len(tick.text) + 1 for tick in ticks) > max(characters, _LONGEST):
        ticks = ticks[::2]
    return ticks


@dataclass(frozen=True)
class Picture:
    """A field as a PNG, north up: where it lies in its frame, in per cent, and whether its cells are to be seen."""

    uri: str
    left: float
    top: float
    width: float
    height: float
    cells: bool


@dataclass(frozen=True)
class ColourBar:
    """The colours of a scale from left to right; `below` and `above` are CSS colours where numbers lie beyond."""

    uri: str
    ticks: list[Tick]
    below: str | None
    above: str | None


@dataclass(frozen=True)
class Frame:
    """The box that maps are drawn in, by the outer edges of its cells, in degrees."""

    south: float
    west: float
    north: float
    east: float

    @classmethod
    def around(cls, grid: RectilinearGrid) -> Frame:
        """The box of the grid's cells."""
        lat, lon = grid.edges()
        return cls(float(lat.min()), float(lon[0]), float(lat.max()), float(lon[-1]))

    @property
    def aspect(self) -> float:
        """Width over height, a degree of longitude being as wide as at the middle latitude."""
        middle = math.radians((self.south + self.north) / 2)
        return (self.east - self.west) * math.cos(middle) / (self.north - self.south)

    @property
    def characters(self) -> float:
        """The number of characters for which there is room below the map."""
        return CHARACTERS * min(1.0, self.aspect / _NARROW)

    @property
    def lon_ticks(self) -> list[Tick]:
        """Round longitudes, from the left."""
        numbers = _round_numbers(self.west, self.east)
        ticks = [Tick(_percent(degrees, self.west, self.east), longitude(degrees)) for degrees in numbers]
        return legible(ticks, self.characters)

    @property
    def lat_ticks(self) -> list[Tick]:
        """Round latitudes, from the bottom."""
        numbers = _round_numbers(self.south, self.north)
        return [Tick(_percent(degrees, self.south, self.north), latitude(degrees)) for degrees in numbers]

    def picture(self, field: FieldArray, grid: RectilinearGrid, scale: Scale, most_bytes: int) -> Picture:
        """The part of a field on `grid` [lat, lon] that is in the frame, in no more bytes of PNG than `most_bytes`.

        Fields that take more are averaged over blocks.
        """
        lat, lon = grid.edges()
        rows, columns = _inside(lat, self.south, self.north), _inside(lon, self.west, self.east)
        field, lat, lon = field[rows, columns], lat[rows.start : rows.stop + 1], lon[columns.start : columns.stop + 1]
        if lat[0] < lat[-1]:
            field, lat = field[::-1], lat[::-1]
        width, height = self.east - self.west, self.north - self.south
        png, shown = _fitting_png(field, scale, most_bytes)
        return Picture(
            _uri(png),
            100 * (float(lon[0]) - self.west) / width,
            100 * (self.north - float(lat[0])) / height,
            100 * float(lon[-1] - lon[0]) / width,
            100 * float(lat[0] - lat[-1]) / height,
            cells=shown <= _CELLS_SHOWN,
        )


def colour_bar(scale: Scale, lowest: float, highest: float, characters: float) -> ColourBar:
    """The bar of a scale, as wide as so many characters, under a field that spans `lowest` to `highest`."""
    steps = np.arange(1, scale.edges.size, dtype=np.uint8)[None]
    first, last = float(scale.edges[0]), float(scale.edges[-1])
    slack = 1e-6 * (last - first)
    return ColourBar(
        _uri(_png(steps, scale)),
        legible([Tick(100 * scale.position(tick), short_number(tick)) for tick in scale.ticks], characters),
        _css(scale.colours[0]) if lowest < first - slack else None,
        _css(scale.colours[-1]) if highest > last + slack else None,
    )


def block_mean(field: FieldArray, shape: tuple[int, int]) -> FieldArray:
    """The field averaged over `shape` blocks of nearly equal size; NaN where a block has no number."""
    rows, columns = (
        np.linspace(0, full, few, endpoint=False).astype(int) for full, few in zip(field.shape, shape, strict=True)
    )

    def total(values: FieldArray) -> FieldArray:
        return np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1)

    missing = np.isnan(field)
    pixels = np.outer(np.diff(rows, append=field.shape[0]), np.diff(columns, append=field.shape[1])).astype(float)
    if not missing.any():
        return total(field) / pixels
    present = pixels - total(missing.astype(float))
    return np.divide(total(np.where(missing, 0.0, field)), present, out=np.full(shape, np.nan), where=present > 0)


def _fitting_png(field: FieldArray, scale: Scale, most_bytes: int) -> tuple[bytes, int]:
    """The picture, and how many pixels wide it is."""
    height, width = field.shape
    factor = max(1.0, width / _WIDEST)
    while True:
        shape = max(1, round(height / factor)), max(1, round(width / factor))
        png = _png(scale.codes(field if shape == field.shape else block_mean(field, shape)), scale)
        if len(png) <= most_bytes or shape == (1, 1):
            return png, shape[1]
        factor *= max(1.1, math.sqrt(len(png) / most_bytes))


def _png(codes: NDArray[np.uint8], scale: Scale) -> bytes:
    image = Image.fromarray(codes)
    image.putpalette(np.vstack([scale.colours, [[0, 0, 0]]]).astype(np.uint8).tobytes())
    sink = io.BytesIO()
    image.save(sink, "PNG", optimize=True, transparency=len(scale.colours))
    return sink.getvalue()


def _uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _css(colour: NDArray[np.uint8]) -> str:
    return "#" + colour.tobytes().hex()


def _inside(edges: NDArray[np.float64], low: float, high: float) -> slice:
    """The cells between the edges that overlap with [low, high]."""
    lower, upper = np.minimum(edges[:-1], edges[1:]), np.maximum(edges[:-1], edges[1:])
    overlapping = np.flatnonzero((upper > low + 1e-9) & (lower < high - 1e-9))
    return slice(int(overlapping[0]), int(overlapping[-1]) + 1)


def _round_numbers(low: float, high: float) -> list[float]:
    ticks = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    margin = 0.02 * (high - low)
    return [float(tick) for tick in ticks if low + margin <= tick <= high - margin]


def _percent(value: float, low: float, high: float) -> float:
    return 100 * (value - low) / (high - low)
