"""Sampling a forecast: the regression's mean, and members that add a residual of the diffusion to it."""

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
"""Steps of the sampler. On Gaussian data of EDM's sigma_data 0.5, where the answer is known, Heun's method from
sigma_max 800 to 0.002 gives a spread 13 % too large with CorrDiff's 18 steps, 3 % with 36, and 1 % with 64."""


@dataclass(frozen=True)
class SamplingSettings:
    """Settings of the members: tiles (height, width) that overlap by `overlap` pixels, `batch` of them at once."""

    members: int
    tile: tuple[int, int]
    overlap: int
    batch: int = 4
    seed: int = 0
    sampler: SamplerConfig = field(default_factory=lambda: SamplerConfig(steps=STEPS))

    def settings(self) -> dict[str, object]:
        """Return the settings that the numbers depend on, except by rounding."""
        sampler = {name: value for name, value in asdict(self.sampler).items() if isfinite(value)}
        return {"tile": self.tile, "overlap": self.overlap, "seed": self.seed, "sampler": sampler}


def tile_size(trained: Trained, wanted: tuple[int, int] | None = None) -> tuple[int, int]:
    """Return the wanted tile, or the training's patch, no larger than the domain.

    Raises BadInput for a wanted tile that exceeds the domain, or that the networks cannot halve often enough.
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


def valid_samples(store: Store, split: str) -> NDArray[np.int64]:
    """Return the indices of the valid samples of a split, or of `all`; raise BadInput where there is none."""
    intervals = store.recipe.splits.intervals
    if split not in (*intervals, "all"):
        raise BadInput(f"{store.folder.url} has no split {split!r}; give one of {', '.join(intervals)}, or all")
    inside = store.valid if split == "all" else store.valid & intervals[split].mask(store.times)
    if not inside.any():
        raise BadInput(f"{store.folder.url} has no valid sample in {split}; give another split, or all")
    return np.flatnonzero(inside)


def model_digest(trained: Trained) -> str:
    """Return a digest of the model's numbers: weights and scales."""
    digest = hashlib.sha256(trained.config.precision.encode())
    numbers = [*trained.regression.state_dict().values()]
    if trained.denoiser is not None and trained.residual_scale is not None:
        numbers += [*trained.denoiser.state_dict().values(), trained.residual_scale.mean, trained.residual_scale.std]
    for each in numbers:
        digest.update(each.cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def parts_of_process(parts: Sequence[Part], rank: int, world_size: int) -> list[Part]:
    """Return the parts of one of `world_size` processes: neighbours, so that few times are prepared twice."""
    return list(parts[rank * len(parts) // world_size : (rank + 1) * len(parts) // world_size])


@dataclass(frozen=True)
class ForecastSampler:
    """A sampler of the forecast of `samples`, indices in a store, by a trained model."""

    trained: Trained
    store: Store
    samples: NDArray[np.int64]
    sampling: SamplingSettings

    def __post_init__(self) -> None:
        if self.sampling.members and self.trained.denoiser is None:
            raise BadInput("this checkpoint is of a regression, which has no members; give a diffusion's, or 0 members")
        _ = self.tiling

    @cached_property
    def tiling(self) -> Tiling:
        """The tiles of the domain; raises BadInput where they do not fit."""
        domain = self.trained.features.geometry.domain
        return Tiling((domain.height, domain.width), self.sampling.tile, self.sampling.overlap)

    @property
    def memory(self) -> int:
        """Bytes on the device while a member is drawn, beside the networks and what a batch of tiles takes in them.

        Six float64 fields of all target channels in the sampler; in float32 the mean, the denoiser's estimate, and the
        condition. That is 5.7 GB for 24 channels of 1600 x 2400 on 35 of condition, whatever the number of members
        and times.
        """
        targets, features = len(self.trained.features.target_names), len(self.trained.features.names)
        domain = self.trained.features.geometry.domain
        return domain.height * domain.width * (6 * 8 * targets + 4 * (2 * targets + features))

    def forecast(self, url: str, form: Format) -> Forecast:
        """Return the forecast at `url`; nothing is written yet."""
        recipe = self.store.recipe
        floors = {name: {"comment": f"numbers below {low:g} were raised to it"} for name, low in recipe.floors.items()}
        channels = self.store.dataset("target").data_vars.items()
        header = Header(
            title=f"Forecast from {recipe.title or recipe.name}",
            format=form,
            times=[format_time(self.store.times[index]) for index in self.samples],
            members=self.sampling.members,
            grid=self.store.grid("target").to_dict(),
            channels={str(name): {**each.attrs, **floors.get(str(name), {})} for name, each in channels},
            settings={
                "model": model_digest(self.trained),
                "input": recipe.name,
                "input_ledger": self.store.attributes["ledger_digest"],
                **self.sampling.settings(),
            },
        )
        return Forecast(Folder(url), header)

    def draw(self, forecast: Forecast, parts: Iterable[Part]) -> Iterator[Part]:
        """Sample and write these parts of the forecast, one after the other; yields each when it is written."""
        for part, fields in self.drawn(parts):
            forecast.write(part, fields)
            yield part

    def drawn(self, parts: Iterable[Part]) -> Iterator[tuple[Part, NDArray[np.float32]]]:
        """Yield each part's fields (channel, lat, lon) in physical units, raised to the recipe's floors.

        A part does not depend on which others are drawn. Raises BadInput where fields are not finite.
        """
        for time, of_time in groupby(parts, attrgetter("time")):
            index = int(self.samples[time])
            conditioned = ConditionedTime.of_sample(self, index)
            for part in of_time:
                fields = (
                    conditioned.mean
                    if part.member is None
                    else conditioned.member(self.store.times[index], part.member)
                )
                yield part, self._physical(fields, part)

    def _physical(self, fields: Tensor, part: Part) -> NDArray[np.float32]:
        if not torch.isfinite(fields).all():
            raise BadInput(f"the model gives numbers that are not finite for {part}; take another of its checkpoints")
        features, floors = self.trained.features, self.store.recipe.floors
        physical = features.target_conversion.decode(fields[None])[0]
        for position, name in enumerate(features.target_names):
            if name in floors:
                physical[position].clamp_(min=floors[name])
        return physical.cpu().numpy()


class ConditionedTime(NamedTuple):
    """The denoiser's condition at one time on the whole domain: features (channel, lat, lon), the regression's mean."""

    trained: Trained
    sampling: SamplingSettings
    tiling: Tiling
    features: Tensor
    mean: Tensor

    @classmethod
    def of_sample(cls, forecast_sampler: ForecastSampler, index: int) -> ConditionedTime:
        """Return features and mean of a sample of the sampler's store."""
        trained, sampling = forecast_sampler.trained, forecast_sampler.sampling
        stored = forecast_sampler.store.stored("input", index)
        features = trained.features.condition_of(stored, trained.features.geometry.domain)[0]

        def evaluate(pairs: list[tuple[int, Tile]]) -> Tensor:
            return trained.mean(torch.stack([tile.crop(features) for _, tile in pairs]))

        return cls(
            trained,
            sampling,
            forecast_sampler.tiling,
            features,
            blend(evaluate, 1, forecast_sampler.tiling, sampling.batch)[0],
        )

    def member(self, valid_time: np.datetime64, member: int) -> Tensor:
        """Return the normalised target fields of a member; its noise is a function of seed, valid time and member."""
        key = member_key(valid_time, member, self.sampling.seed)

        def noise(draw: int) -> Tensor:
            return member_noise(key, draw, self.mean.shape)[None]

        def condition(tile: Tile) -> Tensor:
            return torch.cat([tile.crop(self.features), tile.crop(self.mean)])

        denoise = tiled(self.trained.denoise, condition, self.tiling, self.sampling.batch)
        residual = sample(denoise, noise, self.sampling.sampler, self.mean.device)[0]
        return self.trained.combined(self.mean, residual.float())
