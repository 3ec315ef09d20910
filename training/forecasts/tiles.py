"""Any domain by overlapping tiles, blended with weights that sum to one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corrstore.datasets.errors import BadInput
from corrstore.training.diffusion.edm import Denoise
from corrstore.training.patches.patches import Patch

CORRELATION_LENGTHS = 2
"""The overlap, in correlation lengths, that keeps variance and gradients at seams within 2 % of those elsewhere, where
it is at most half a tile; of longer correlations some difference stays, whatever the overlap (docs/training.md)."""


@dataclass(frozen=True, eq=False)
class Tile:
    """A rectangle of a tiling's area, and its weight along its rows and along its columns."""

    top: int
    left: int
    row_weights: NDArray[np.float64]
    column_weights: NDArray[np.float64]

    def crop(self, field: Tensor) -> Tensor:
        """Return the view of a field (..., height, width) of the area that lies in the tile."""
        height, width = len(self.row_weights), len(self.column_weights)
        return field[..., self.top : self.top + height, self.left : self.left + width]

    def window(self, like: Tensor) -> Tensor:
        """Return the tile's weights (height, width), with the device and dtype of `like`."""
        rows, columns = (torch.from_numpy(each).to(like) for each in (self.row_weights, self.column_weights))
        return rows[:, None] * columns


@dataclass(frozen=True)
class Tiling:
    """The tiles of a domain (height, width), which overlap by at least `overlap` pixels.

    Where a tile ends inside the domain its weight is zero over the outer quarter of the overlap, rises over
    the next half, and is whole over the rest. So a pixel never gets anything from a network that saw it
    within that quarter of a cut: what looks no further than `margin` pixels around gives with tiles what it
    gives without. With a `region` only the tiles that touch it are there, as they lie in the whole domain. Raises
    BadInput where the tile exceeds the domain, or the overlap the tile.
    """

    domain: tuple[int, int]
    tile: tuple[int, int]
    overlap: int
    region: Patch | None = None

    def __post_init__(self) -> None:
        for axis, domain, tile in zip(("height", "width"), self.domain, self.tile, strict=True):
            if not 0 < tile <= domain:
                raise BadInput(f"tile {axis} {tile} must be at least 1 and at most the domain's, {domain}")
            if not 0 <= self.overlap < tile:
                raise BadInput(f"tile overlap {self.overlap} must be at least 0 and less than tile {axis} {tile}")

    @property
    def margin(self) -> int:
        """The width in pixels of the border of zero weight along a cut."""
        return self.overlap // 4

    def touching(self, region: Patch) -> Tiling:
        """Return the tiles of the same domain that touch the region."""
        return replace(self, region=region)

    @property
    def area(self) -> Patch:
        """The part of the domain that the tiles cover; all of it where there is no region."""
        (rows, columns), (height, width) = self._starts, self.tile
        return Patch(
            int(rows[0]), int(columns[0]), int(rows[-1] - rows[0]) + height, int(columns[-1] - columns[0]) + width
        )

    @cached_property
    def tiles(self) -> list[Tile]:
        """The tiles, row by row, counted from the area's corner. At every pixel of it their weights sum to one."""
        rows, columns = (
            _weights(starts - starts[0], tile, self.overlap, self.margin)
            for starts, tile in zip(self._starts, self.tile, strict=True)
        )
        return [Tile(top, left, down, across) for (top, down), (left, across) in product(rows, columns)]

    def seams(self, lengths: Mapping[str, float]) -> str:
        """Return what must be said of seams, from the channels' correlation lengths in pixels; else nothing."""
        needed = {name: CORRELATION_LENGTHS * length for name, length in lengths.items()}
        short = [name for name, overlap in needed.items() if overlap > self.overlap]
        if len(self.tiles) == 1 or not short:
            return ""
        most = min(self.tile) // 2
        enough, beyond = min(max(needed.values()), most), [name for name in short if needed[name] > most]
        said = (
            f"seams of tiles may show in {', '.join(short)}: their overlap of {self.overlap} pixels is less than"
            f" {CORRELATION_LENGTHS} times the distance over which the residual is correlated"
        )
        said += f"; give --overlap {enough:g}" if enough > self.overlap else ""
        return said + (f"; for {', '.join(beyond)}, train on larger patches too" if beyond else "")

    @property
    def _starts(self) -> list[NDArray[np.int64]]:
        """The first rows and the first columns of the tiles."""
        found = []
        region = self.region or Patch(0, 0, *self.domain)
        for domain, tile, lines in zip(self.domain, self.tile, region.slices, strict=True):
            count = 1 if tile == domain else -(-(domain - self.overlap) // (tile - self.overlap))
            starts = np.rint(np.linspace(0, domain - tile, count)).astype(np.int64)
            found.append(starts[(starts < lines.stop) & (starts + tile > lines.start)])
        return found


def blend(evaluate: Callable[[list[tuple[int, Tile]]], Tensor], members: int, tiling: Tiling, batch: int) -> Tensor:
    """Return fields (members, channels, height, width) of the tiling's area from fields of tiles.

    `evaluate` takes up to `batch` pairs of a member and a tile, and answers (pairs, channels, tile height,
    tile width). Holds the answer, and one batch.
    """
    pairs = [(member, tile) for tile, member in product(tiling.tiles, range(members))]
    whole: Tensor | None = None
    for start in range(0, len(pairs), batch):
        chunk = pairs[start : start + batch]
        pieces = evaluate(chunk)
        if whole is None:
            whole = pieces.new_zeros((members, pieces.shape[1], *tiling.area[2:]))
        for (member, tile), piece in zip(chunk, pieces, strict=True):
            tile.crop(whole[member]).addcmul_(piece, tile.window(piece))
    assert whole is not None
    return whole


def tiled(
    denoise: Denoise, condition: Callable[[Tile], Tensor], tiling: Tiling, batch: int
) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the denoiser (x, sigma) of the tiling's area from one of tiles: all share the noise in x.

    `condition(tile)` is what conditions a tile (channels, tile height, tile width), the same for every
    member, on x's device: `lambda tile: tile.crop(condition)`, or made as it is asked for, once a tile,
    batch and step.
    """

    def denoise_area(x: Tensor, sigma: Tensor) -> Tensor:
        def evaluate(pairs: list[tuple[int, Tile]]) -> Tensor:
            conditions = {tile: condition(tile) for tile in dict.fromkeys(tile for _, tile in pairs)}
            crops = torch.stack([tile.crop(x[member]) for member, tile in pairs])
            return denoise(crops, sigma, torch.stack([conditions[tile] for _, tile in pairs]))

        return blend(evaluate, len(x), tiling, batch)

    return denoise_area


def _weights(starts: NDArray[np.int64], tile: int, overlap: int, margin: int) -> list[tuple[int, NDArray[np.float64]]]:
    """The tiles of one axis: where each starts, and its weights, which sum to one at every pixel."""
    rise = _rise(tile, overlap, margin)
    windows = np.ones((len(starts), tile))
    windows[1:] *= rise
    windows[:-1] *= rise[::-1]
    total = np.zeros(starts[-1] + tile)
    for start, window in zip(starts, windows, strict=True):
        total[start : start + tile] += window
    return [(int(start), window / total[start : start + tile]) for start, window in zip(starts, windows, strict=True)]


def _rise(tile: int, overlap: int, margin: int) -> NDArray[np.float64]:
    """The weight at each pixel from a cut inwards: zero over the margin, a squared sine, then one."""
    ramp = max(overlap - 2 * margin, 1)
    return np.sin(np.pi / 2 * np.clip((np.arange(tile) + 0.5 - margin) / ramp, 0, 1)) ** 2
