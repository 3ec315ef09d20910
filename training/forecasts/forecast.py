"""Drawing forecasts: the regression's mean, and members that add a residual from the diffusion to it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import groupby
from math import isfinite
from operator import attrgetter
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.periods import format_time
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.opening import Store
from corrstore.training.diffusion.sampler import SamplerConfig, member_key, member_noise, sample
from corrstore.training.forecasts.files import Forecast
from corrstore.training.forecasts.header import Format, Header, Part
from corrstore.training.forecasts.tiles import Tile, Tiling, blend, tiled
from corrstore.training.learning.checkpoint import Trained

STEPS = 36
"""Of the sampler. On Gaussian data of EDM's sigma_data 0.5, where the answer is known, Heun's method from sigma_max 800
to 0.002 gives a spread 13 % too large with CorrDiff's 18 steps, 3 % with 36, and 1 % with 64."""


@dataclass(frozen=True)
class Drawing:
    """How members are drawn: by tiles (height, width) that overlap by so many pixels, `batch` of them at once."""

    members: int
    tile: tuple[int, int]
    overlap: int
    batch: int = 4
    seed: int = 0
    sampler: SamplerConfig = field(default_factory=lambda: SamplerConfig(steps=STEPS))

    def settings(self) -> dict[str, object]:
        """What the numbers depend on, but for their rounding."""
        sampler = {name: value for name, value in asdict(self.sampler).items() if isfinite(value)}
        return {"tile": self.tile, "overlap": self.overlap, "seed": self.seed, "sampler": sampler}


def tile_for(trained: Trained, wanted: tuple[int, int] | None = None) -> tuple[int, int]:
    """The tile wanted, or that of the training's patches as far as the domain has room for it.

    Raises BadInput for a wanted one that the domain has no room for, or that the networks cannot halve often enough.
    """
    domain = trained.features.geometry.domain
    stride = trained.regression.network.config.stride
    if trained.denoiser is not None:
        stride = max(stride, trained.denoiser.network.config.stride)
    largest = domain.height // stride * stride, domain.width // stride * stride
    if wanted is None:
        height, width = trained.config.patch or largest
        return min(height, largest[0]), min(width, largest[1])
    if any(side % stride or not 0 < side <= most for side, most in zip(wanted, largest, strict=True)):
        raise BadInput(
            f"tile {wanted[0]} x {wanted[1]}: height and width must be multiples of {stride}, the networks' stride, and"
            f" at most {largest[0]} and {largest[1]} on this domain of {domain.height} x {domain.width}"
        )
    return wanted


def samples_of(store: Store, split: str) -> NDArray[np.int64]:
    """The indices of the valid samples of a split, or of `all`; BadInput where there is none."""
    intervals = store.recipe.splits.intervals
    if split not in (*intervals, "all"):
        raise BadInput(f"{store.folder.url} has no split {split!r}; give one of {', '.join(intervals)}, or all")
    inside = store.valid if split == "all" else store.valid & intervals[split].mask(store.times)
    if not inside.any():
        raise BadInput(f"{store.folder.url} has no valid sample in {split}; give another split, or all")
    return np.flatnonzero(inside)


def model_digest(trained: Trained) -> str:
    """A digest of the numbers that make the model: weights and scales."""
    digest = hashlib.sha256(trained.config.precision.encode())
    numbers = [*trained.regression.state_dict().values()]
    if trained.denoiser is not None and trained.residual is not None:
        numbers += [*trained.denoiser.state_dict().values(), trained.residual.mean, trained.residual.std]
    for each in numbers:
        digest.update(each.cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def share_of(parts: Sequence[Part], rank: int, world: int) -> list[Part]:
    """The parts of one of `world` processes: neighbours, so that few times are prepared twice."""
    return list(parts[rank * len(parts) // world : (rank + 1) * len(parts) // world])


@dataclass(frozen=True)
class Drawer:
    """Draws the forecast of `samples`, indices in a store, by a trained model."""

    trained: Trained
    store: Store
    samples: NDArray[np.int64]
    drawing: Drawing

    def __post_init__(self) -> None:
        if self.drawing.members and self.trained.denoiser is None:
            raise BadInput("this checkpoint is of a regression, which has no members; give a diffusion's, or 0 members")
        _ = self.tiling

    @cached_property
    def tiling(self) -> Tiling:
        """How the domain is covered; BadInput where it cannot be."""
        domain = self.trained.features.geometry.domain
        return Tiling((domain.height, domain.width), self.drawing.tile, self.drawing.overlap)

    @property
    def memory(self) -> int:
        """Bytes on the device while a member is drawn, beside the networks and what a batch of tiles takes in them.

        Six float64 fields of all target channels in the sampler; in float32 the mean, the denoiser's estimate, and the
        condition. That is 5.7 GB for 24 channels of 1600 x 2400 on 35 of condition, whatever the number of members
        and times.
        """
        targets, seen = len(self.trained.features.target_names), len(self.trained.features.names)
        domain = self.trained.features.geometry.domain
        return domain.height * domain.width * (6 * 8 * targets + 4 * (2 * targets + seen))

    def forecast(self, url: str, form: Format) -> Forecast:
        """The forecast at `url`, of which nothing is written yet."""
        recipe = self.store.recipe
        floors = {name: {"comment": f"numbers below {low:g} were raised to it"} for name, low in recipe.floors.items()}
        channels = self.store.dataset("target").data_vars.items()
        header = Header(
            title=f"Forecast from {recipe.title or recipe.name}",
            format=form,
            times=[format_time(self.store.times[index]) for index in self.samples],
            members=self.drawing.members,
            grid=self.store.grid("target").to_dict(),
            channels={str(name): {**each.attrs, **floors.get(str(name), {})} for name, each in channels},
            settings={
                "model": model_digest(self.trained),
                "input": recipe.name,
                "input_ledger": self.store.attributes["ledger_digest"],
                **self.drawing.settings(),
            },
        )
        return Forecast(Folder(url), header)

    def draw(self, forecast: Forecast, parts: Iterable[Part]) -> Iterator[Part]:
        """Draw and write these parts of the forecast, one after the other; yields each when it is written."""
        for part, fields in self.drawn(parts):
            forecast.write(part, fields)
            yield part

    def drawn(self, parts: Iterable[Part]) -> Iterator[tuple[Part, NDArray[np.float32]]]:
        """Each part's fields (channel, lat, lon) in physical units, raised to the recipe's floors.

        A part does not depend on which others are drawn. Raises BadInput where fields are not finite.
        """
        for time, of_time in groupby(parts, attrgetter("time")):
            index = int(self.samples[time])
            view = View.of(self, index)
            for part in of_time:
                fields = view.mean if part.member is None else view.member(self.store.times[index], part.member)
                yield part, self._physical(fields, part)

    def _physical(self, fields: Tensor, part: Part) -> NDArray[np.float32]:
        if not torch.isfinite(fields).all():
            raise BadInput(f"the model gives numbers that are not finite for {part}; take another of its checkpoints")
        features, floors = self.trained.features, self.store.recipe.floors
        physical = features.target_units.decode(fields[None])[0]
        for position, name in enumerate(features.target_names):
            if name in floors:
                physical[position].clamp_(min=floors[name])
        return physical.cpu().numpy()


class View(NamedTuple):
    """One time as the denoiser sees it: the features (channel, lat, lon) of the whole domain, the regression's mean."""

    trained: Trained
    drawing: Drawing
    tiling: Tiling
    features: Tensor
    mean: Tensor

    @classmethod
    def of(cls, drawer: Drawer, index: int) -> View:
        """The view of a sample of the drawer's store."""
        trained, drawing = drawer.trained, drawer.drawing
        stored = drawer.store.stored("input", index)
        features = trained.features.condition_of(stored, trained.features.geometry.domain)[0]

        def evaluate(pairs: list[tuple[int, Tile]]) -> Tensor:
            return trained.mean(torch.stack([tile.crop(features) for _, tile in pairs]))

        return cls(trained, drawing, drawer.tiling, features, blend(evaluate, 1, drawer.tiling, drawing.batch)[0])

    def member(self, valid_time: np.datetime64, member: int) -> Tensor:
        """The normalised target fields of a member; its noise is a function of seed, valid time and member alone."""
        key = member_key(valid_time, member, self.drawing.seed)

        def noise(draw: int) -> Tensor:
            return member_noise(key, draw, self.mean.shape)[None]

        def condition(tile: Tile) -> Tensor:
            return torch.cat([tile.crop(self.features), tile.crop(self.mean)])

        denoise = tiled(self.trained.denoise, condition, self.tiling, self.drawing.batch)
        residual = sample(denoise, noise, self.drawing.sampler, self.mean.device)[0]
        return self.trained.combined(self.mean, residual.float())
