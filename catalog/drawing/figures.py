"""The figures of a store's channels: maps of one sample, and histograms of all valid ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from corrstore.catalog.drawing.charts import Histogram, channel_histogram, residual_histogram
from corrstore.catalog.drawing.merged import Merged
from corrstore.catalog.drawing.palette import Scale, field_scale, residual_scale
from corrstore.catalog.drawing.pictures import ColourBar, Frame, Picture, colour_bar
from corrstore.catalog.printing import wording
from corrstore.datasets.grids.fields import FieldArray
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.grids.regrid import regridder
from corrstore.datasets.store.layout import StoredRole
from corrstore.datasets.store.opening import Store
from corrstore.datasets.variables.channels import Channel

MOST_PICTURE_BYTES = 3_600_000
"""Of all maps of a page together, as PNG; in the page they take a third more."""

_TAILS = (0.2, 99.8)
_MOST_SORTED = 300_000


@dataclass(frozen=True)
class Map:
    """A field of one sample with its colour bar."""

    title: str
    subtitle: str
    picture: Picture
    bar: ColourBar
    alt: str


@dataclass(frozen=True)
class ChannelFigures:
    """A channel's maps and histograms; no maps where no sample is valid, no histograms where nothing was counted."""

    channel: Channel
    maps: list[Map]
    values: Histogram | None
    residual: Histogram | None


@dataclass(frozen=True)
class Figures:
    """Draws the channels of a store; `index` is the sample on the maps, None where none is valid."""

    store: Store
    merged: Merged
    index: int | None

    @cached_property
    def frame(self) -> Frame:
        """The target's box, which all maps show."""
        return Frame.around(self.store.grid("target"))

    def targets(self) -> Iterator[ChannelFigures]:
        """The target channels, with the input and the residual of those that the input has too."""
        for position, channel in enumerate(self.store.plan.channels("target")):
            counted = {
                role: self.merged[role, channel.name]
                for role in ("target", "input")
                if (role, channel.name) in self.merged
            }
            residual = self.merged.get(("residual", channel.name))
            yield ChannelFigures(
                channel,
                self._target_maps(channel, position),
                channel_histogram(channel.variable, counted),
                residual and residual_histogram(channel.variable, residual),
            )

    def inputs_alone(self) -> Iterator[ChannelFigures]:
        """The input channels that the target does not have."""
        for position, channel in enumerate(self.store.plan.channels("input")):
            if channel.name not in self.store.recipe.target.channels:
                counted = self.merged.get(("input", channel.name))
                histogram = counted and channel_histogram(channel.variable, {"input": counted})
                yield ChannelFigures(channel, self._input_maps(channel, position), histogram, None)

    def statics(self) -> Iterator[ChannelFigures]:
        """The static channels; they have no statistics."""
        grid = self.store.grid("target")
        for spec, field in zip(self.store.recipe.static, self.store.static, strict=True):
            channel = self.store.recipe.channel(spec.variable)
            scale = field_scale(channel.variable, *_range(field))
            yield ChannelFigures(channel, [self._map("static", channel, field, grid, scale)], None, None)

    def _target_maps(self, channel: Channel, position: int) -> list[Map]:
        if self.index is None:
            return []
        grid, input_grid = self.store.grid("target"), self.store.grid("input")
        target = self._decoded("target", position)
        if channel.name not in self.store.recipe.input.channels:
            scale = field_scale(channel.variable, *_range(target))
            return [self._map("target", channel, target, grid, scale)]
        coarse = self._decoded("input", self.store.recipe.input.channels.index(channel.name))
        upsampled = regridder(input_grid, grid, "bilinear")(coarse)
        residual = target - upsampled
        low, high = np.array([_range(target), _range(upsampled)]).T
        scale = field_scale(channel.variable, low.min(), high.max())
        largest = max(abs(end) for end in _range(residual))
        return [
            self._map("input", channel, coarse, input_grid, scale),
            self._map("target", channel, target, grid, scale),
            self._map("residual", channel, residual, grid, residual_scale(channel.variable, largest)),
        ]

    def _input_maps(self, channel: Channel, position: int) -> list[Map]:
        if self.index is None:
            return []
        coarse, grid = self._decoded("input", position), self.store.grid("input")
        inside = regridder(grid, self.store.grid("target"), "nearest")(coarse)
        return [self._map("input", channel, coarse, grid, field_scale(channel.variable, *_range(inside)))]

    def _map(self, role: str, channel: Channel, field: FieldArray, grid: RectilinearGrid, scale: Scale) -> Map:
        present = field[~np.isnan(field)]
        low, high = (float(present.min()), float(present.max())) if present.size else (np.nan, np.nan)
        of, unit = channel.variable.long_name, wording.units(channel.variable.units)
        about = "target − input" if role == "residual" else wording.spacing(grid)
        span = f"{wording.number(low)} to {wording.number(high)} {unit}"
        return Map(
            role,
            about,
            self.frame.picture(field, grid, scale, self._bytes_of_a_picture),
            colour_bar(scale, low, high, self.frame.characters),
            f"Map of the {role} {of} ({channel.name}), {span}",
        )

    @cached_property
    def _bytes_of_a_picture(self) -> int:
        recipe = self.store.recipe
        shared = len(set(recipe.input.channels) & set(recipe.target.channels))
        maps = len(recipe.input.channels) + len(recipe.target.channels) + shared + len(recipe.static)
        return MOST_PICTURE_BYTES // maps

    @cached_property
    def _stored(self) -> dict[StoredRole, NDArray[np.floating]]:
        return {role: self.store.stored(role, self.index or 0) for role in ("input", "target")}

    def _decoded(self, role: StoredRole, position: int) -> FieldArray:
        return self.store.plan.normalisations[role][position].decode_float32(self._stored[role][position])


def _range(field: FieldArray) -> tuple[float, float]:
    """Between which all but a few of the numbers lie; 0 and 0 where there is none."""
    present = field[~np.isnan(field)]
    few = present[:: max(1, present.size // _MOST_SORTED)]
    low, high = np.percentile(few, _TAILS) if few.size else (0.0, 0.0)
    return float(low), float(high)
