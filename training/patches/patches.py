"""Patches: where they lie on the target grid, what lies under them, and in which order they are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.grids.regrid_weights import TwoPoints, bilinear_axis


class Patch(NamedTuple):
    """A rectangle of a grid, in pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """The rows and columns of the patch."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    def crop(self, field: Any) -> Any:
        """Return the view of a field [..., lat, lon] of the whole grid that lies in the patch."""
        rows, columns = self.slices
        return field[..., rows, columns]

    def inside(self, area: Patch) -> Patch:
        """Return the same rectangle, counted from the corner of an area that holds it."""
        return Patch(self.top - area.top, self.left - area.left, self.height, self.width)


class Draw(NamedTuple):
    """A patch of a sample, by the sample's index in the store."""

    sample: int
    patch: Patch


@dataclass(frozen=True)
class Geometry:
    """The position of the target grid on the input grid: bilinear weights along each axis, the same as the build's."""

    input_grid: RectilinearGrid
    target_grid: RectilinearGrid

    @property
    def domain(self) -> Patch:
        """The whole target grid."""
        return Patch(0, 0, *self.target_grid.shape)

    @cached_property
    def rows(self) -> TwoPoints:
        """The two input rows of each target row."""
        return bilinear_axis(self.input_grid.lat, self.target_grid.lat)

    @cached_property
    def columns(self) -> TwoPoints:
        """The two input columns of each target column."""
        return bilinear_axis(self.input_grid.lon, self.target_grid.lon)

    def window(self, patch: Patch) -> Patch:
        """Return the part of the input grid that the patch is upsampled from; of one size for patches of one size."""
        top, height = _window(self.rows, self.input_grid.lat.size, patch.top, patch.height)
        left, width = _window(self.columns, self.input_grid.lon.size, patch.left, patch.width)
        return Patch(top, left, height, width)


def _window(points: TwoPoints, size: int, first: int, count: int) -> tuple[int, int]:
    """Return the first input point of `count` target points, and the largest number of input points of any such run."""
    neighbours = np.stack([points.lower, points.upper])
    ends = np.concatenate([neighbours[:, : neighbours.shape[1] - count + 1], neighbours[:, count - 1 :]])
    starts = ends.min(axis=0)
    length = int((ends.max(axis=0) - starts).max()) + 1
    return int(min(starts[first], size - length)), length


@dataclass(frozen=True, eq=False)
class PatchOrder:
    """The order of patches: a pure function of (seed, epoch), the same in every process.

    An epoch takes the `samples` (indices in the store) in a new order, and from each `per_sample` patches of the
    size of `patch` anywhere on the domain, one after the other. `skipped` counts the samples that
    are left out as not valid.
    """

    samples: NDArray[np.int64]
    domain: Patch
    patch: Patch
    per_sample: int
    seed: int
    skipped: int = 0

    @property
    def epoch_length(self) -> int:
        """Patches in an epoch."""
        return len(self.samples) * self.per_sample

    def draws(self, start: int, stop: int) -> list[Draw]:
        """Return the patches at positions [start, stop), counted from the start of the first epoch."""
        return [self._epoch(each // self.epoch_length)[each % self.epoch_length] for each in range(start, stop)]

    @lru_cache(maxsize=2)  # noqa: B019  one order lives as long as the run
    def _epoch(self, epoch: int) -> list[Draw]:
        generator = np.random.Generator(np.random.Philox(key=[self.seed, epoch]))
        samples = generator.permutation(self.samples).repeat(self.per_sample)
        _, _, height, width = self.patch
        tops = generator.integers(0, self.domain.height - height, samples.size, endpoint=True)
        lefts = generator.integers(0, self.domain.width - width, samples.size, endpoint=True)
        places = zip(samples.tolist(), tops.tolist(), lefts.tolist(), strict=True)
        return [Draw(sample, Patch(top, left, height, width)) for sample, top, left in places]
