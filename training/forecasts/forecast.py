"""Sampling a forecast: the regression's mean, and members that add a residual of the diffusion to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corrstore.datasets.errors import BadInput
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.opening import Store
from corrstore.training.diffusion.edm import correlation_lengths
from corrstore.training.diffusion.noise import Innovation, innovations, summed_noise
from corrstore.training.diffusion.sampler import sample
from corrstore.training.forecasts.description import header_of
from corrstore.training.forecasts.files import Forecast
from corrstore.training.forecasts.header import Format, Part
from corrstore.training.forecasts.settings import SamplingSettings
from corrstore.training.forecasts.tiles import Tile, Tiling, blend, tiled
from corrstore.training.learning.checkpoint import Trained
from corrstore.training.networks.regression import Prediction
from corrstore.training.patches.patches import Patch


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
        """The tiles that are drawn; raises BadInput where they do not fit.

        Of a region those that touch it, and those that touch these: what lies further away changes a member inside by
        a hundredth of its residual or less, see docs/forecasts.md.
        """
        domain, sampling = self.trained.features.geometry.domain, self.sampling
        tiling = Tiling((domain.height, domain.width), sampling.tile, sampling.overlap)
        return tiling if sampling.region is None else tiling.touching(tiling.touching(sampling.region).area)

    @property
    def region(self) -> Patch:
        """The part of the domain that the forecast has."""
        return self.sampling.region or self.trained.features.geometry.domain

    @property
    def memory(self) -> int:
        """Bytes on the device while a member is drawn, beside the networks and what a batch of tiles takes in them.

        Five float64 fields of all target channels in the sampler; in float32 the prediction, the denoiser's estimate,
        and the condition. That is 5.3 GB for 24 channels of 1600 x 2400 on 35 of condition, whatever the number of
        members and times.
        """
        targets, features = len(self.trained.features.target_names), len(self.trained.features.names)
        area = self.tiling.area
        return area.height * area.width * (5 * 8 * targets + 4 * (3 * targets + features))

    @property
    def seams(self) -> str:
        """What must be said of the seams in members, from the spectrum of the model's residuals; else nothing."""
        trained = self.trained
        if not self.sampling.members or trained.denoiser is None or trained.denoiser.octave_variance is None:
            return ""
        domain = trained.features.geometry.domain
        size = trained.config.patch or (domain.height, domain.width)
        lengths = correlation_lengths(trained.denoiser.octave_variance, *size)
        return self.tiling.seams(dict(zip(trained.features.target_names, lengths, strict=True)))

    def forecast(self, url: str, form: Format) -> Forecast:
        """Return the forecast at `url`; nothing is written yet."""
        return Forecast(Folder(url), header_of(self.trained, self.store, self.samples, self.sampling, form))

    def draw(self, forecast: Forecast, parts: Iterable[Part]) -> Iterator[Part]:
        """Sample and write these parts of the forecast, one after the other; yields each when it is written."""
        for part, fields in self.drawn(parts):
            forecast.write(part, fields)
            yield part

    def drawn(self, parts: Iterable[Part]) -> Iterator[tuple[Part, NDArray[np.float32]]]:
        """Yield each part's fields (channel, lat, lon) in physical units, within the recipe's floors and caps.

        A part does not depend on which others are drawn. Raises BadInput where fields are not finite.
        """
        for time, of_time in groupby(parts, attrgetter("time")):
            index = int(self.samples[time])
            conditioned = ConditionedTime.of_input(self, self.store.stored("input", index))
            region, mean = self.region.inside(self.tiling.area), conditioned.prediction.mean
            for part in of_time:
                member = part.member
                fields = mean if member is None else conditioned.member(self._innovations(index, member))
                yield part, self.physical(region.crop(fields), f"{part}")

    def _innovations(self, index: int, member: int) -> list[Innovation]:
        axes, sampling = self.store.axes, self.sampling
        first = index - axes.position(index)[-1]  # of the sample's run, or of all valid times
        times = axes.valid_times[first : index + 1]
        return innovations(times, axes.init_times[index], member, sampling.seed, sampling.temporal_noise)

    def physical(self, fields: Tensor, part: str) -> NDArray[np.float32]:
        """Return normalised fields (channel, lat, lon) in physical units, within the recipe's floors and caps."""
        if not torch.isfinite(fields).all():
            raise BadInput(f"the model gives numbers that are not finite for {part}; take another of its checkpoints")
        features, recipe = self.trained.features, self.store.recipe
        physical = features.target_conversion.decode(fields[None])[0]
        for position, name in enumerate(features.target_names):
            if name in recipe.floors or name in recipe.caps:
                physical[position].clamp_(recipe.floors.get(name), recipe.caps.get(name))
        return physical.cpu().numpy()


class ConditionedTime(NamedTuple):
    """The denoiser's condition at one time on the tiles' area: features (channel, lat, lon), the prediction."""

    trained: Trained
    sampling: SamplingSettings
    tiling: Tiling
    features: Tensor
    prediction: Prediction

    @classmethod
    def of_input(cls, forecast_sampler: ForecastSampler, stored: NDArray[Any] | Tensor) -> ConditionedTime:
        """Return features and the regression's prediction from an input (channel, lat, lon), normalised as stored.

        The prediction is that of the whole domain also where not all tiles are drawn: others that reach into the area
        are added for it.
        """
        trained, sampling, tiling = forecast_sampler.trained, forecast_sampler.sampling, forecast_sampler.tiling
        around = tiling.touching(tiling.area)
        features = trained.features.condition_of(stored, around.area)[0]

        def evaluate(pairs: list[tuple[int, Tile]]) -> Tensor:
            return torch.cat(trained.prediction(torch.stack([tile.crop(features) for _, tile in pairs])), dim=1)

        inner = tiling.area.inside(around.area)
        mean, log_spread = inner.crop(blend(evaluate, 1, around, sampling.batch)[0]).chunk(2)
        return cls(trained, sampling, tiling, inner.crop(features), Prediction(mean, log_spread))

    def member(self, parts: Sequence[Innovation]) -> Tensor:
        """Return the normalised target fields of a member, whose noise on the domain is the sum of the innovations."""
        domain, mean = self.trained.features.geometry.domain, self.prediction.mean

        def noise(draw: int) -> Tensor:
            whole = summed_noise(parts, draw, (len(mean), domain.height, domain.width))
            return self.tiling.area.crop(whole)[None]

        def condition(tile: Tile) -> Tensor:
            return torch.cat([tile.crop(self.features), *(tile.crop(each) for each in self.prediction)])

        denoise = tiled(self.trained.denoise, condition, self.tiling, self.sampling.batch)
        residual = sample(denoise, noise, self.sampling.sampler, mean.device)[0]
        return self.trained.combined(self.prediction, residual.float())
