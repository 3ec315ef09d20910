"""Maps of one sample of a store and of its static fields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from corrstore.catalog.drawing.palette import Scale, field_scale, residual_scale
from corrstore.catalog.drawing.pictures import ColourBar, Frame, Picture, colour_bar
from corrstore.catalog.printing import wording
from corrstore.datasets.grids.fields import FieldArray
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.grids.regrid import regridder
from corrstore.datasets.recipe.parts import StoredRole
from corrstore.datasets.store.opening import Store
from corrstore.datasets.variables.channels import Channel

MOST_PICTURE_BYTES = 3_600_000
"""The largest size of all maps of a page together, as PNG; in the page they take a third more."""

_TAILS = (0.2, 99.8)
_MOST_SORTED = 300_000
ChannelMaps = tuple[tuple[str, str], list["Map"]]


@dataclass(frozen=True)
class Map:
    """A field of one sample with its colour bar."""

    title: str
    subtitle: str
    picture: Picture
    bar: ColourBar
    alt: str


@dataclass(frozen=True)
class SampleMaps:
    """The maps of a store, which take at most `most_bytes` as PNG; `index` is the sample, None for static fields alone.

    Iterating gives ((role, channel), maps): a target with its input and residual where the input has that channel,
    the other input channels, and the static fields.
    """

    store: Store
    index: int | None
    most_bytes: int

    def __iter__(self) -> Iterator[ChannelMaps]:
        if self.index is not None:
            channels = self.store.recipe.channels
            for position, channel in enumerate(channels.get("target", [])):
                yield ("target", channel.name), self._target_maps(channel, position)
            for position, channel in enumerate(channels.get("input", [])):
                if channel.name not in self.store.recipe.channel_names("target"):
                    yield ("input", channel.name), [self._input_map(channel, position)]
        statics = self.store.recipe.static
        for spec, field in zip(statics, self.store.static if statics else (), strict=True):
            channel = self.store.recipe.channel(spec.variable)
            scale = field_scale(channel.variable, *_range(field))
            yield ("static", channel.name), [self._map("static", channel, field, self.store.grid("target"), scale)]

    @cached_property
    def frame(self) -> Frame:
        """The target's box, which all maps show."""
        return Frame.around(self.store.grid("target"))

    def _target_maps(self, channel: Channel, position: int) -> list[Map]:
        grid = self.store.grid("target")
        target = self._decoded("target", position)
        if channel.name not in self.store.recipe.channel_names("input"):
            scale = field_scale(channel.variable, *_range(target))
            return [self._map("target", channel, target, grid, scale)]
        input_grid = self.store.grid("input")
        coarse = self._decoded("input", self.store.recipe.channel_names("input").index(channel.name))
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

    def _input_map(self, channel: Channel, position: int) -> Map:
        coarse, grid = self._decoded("input", position), self.store.grid("input")
        inside = regridder(grid, self.store.grid("target"), "nearest")(coarse)
        return self._map("input", channel, coarse, grid, field_scale(channel.variable, *_range(inside)))

    def _map(self, role: str, channel: Channel, field: FieldArray, grid: RectilinearGrid, scale: Scale) -> Map:
        present = field[~np.isnan(field)]
        low, high = (float(present.min()), float(present.max())) if present.size else (np.nan, np.nan)
        span = f"{wording.number(low)} to {wording.number(high)} {wording.units(channel.variable.units)}"
        return Map(
            role,
            "target − input" if role == "residual" else wording.spacing(grid),
            self.frame.picture(field, grid, scale, self._bytes_of_a_map),
            colour_bar(scale, low, high, self.frame.characters),
            f"Map of the {role} {channel.variable.long_name} ({channel.name}), {span}",
        )

    @cached_property
    def _bytes_of_a_map(self) -> int:
        recipe = self.store.recipe
        shared = len(set(recipe.channel_names("input")) & set(recipe.channel_names("target")))
        maps = len(recipe.channel_names("input")) + len(recipe.channel_names("target")) + shared + len(recipe.static)
        return self.most_bytes // maps

    @cached_property
    def _stored(self) -> dict[StoredRole, NDArray[np.floating]]:
        return {role: self.store.stored(role, self.index or 0) for role in self.store.roles}

    def _decoded(self, role: StoredRole, position: int) -> FieldArray:
        return self.store.plan.normalisations[role][position].decode_float32(self._stored[role][position])


def _range(field: FieldArray) -> tuple[float, float]:
    """Return the numbers that all but a few of the field lie between; 0 and 0 for a field of NaN."""
    present = field[~np.isnan(field)]
    few = present[:: max(1, present.size // _MOST_SORTED)]
    low, high = np.percentile(few, _TAILS) if few.size else (0.0, 0.0)
    return float(low), float(high)
