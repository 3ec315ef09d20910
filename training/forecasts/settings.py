"""The settings of a forecast's sampling, and the size of a tile."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import isfinite

from corrstore.datasets.errors import BadInput
from corrstore.training.diffusion.levels import NoiseLevels
from corrstore.training.diffusion.noise import INDEPENDENT, TemporalNoise
from corrstore.training.diffusion.sampler import SamplerConfig
from corrstore.training.learning.checkpoint import Trained
from corrstore.training.patches.patches import Patch


@dataclass(frozen=True)
class SamplingSettings:
    """Settings of the members: tiles (height, width) that overlap by `overlap` pixels, `batch` of them at once.

    Of a `region` of the domain, only the tiles that touch it are drawn.
    """

    members: int
    tile: tuple[int, int]
    overlap: int
    batch: int = 4
    seed: int = 0
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    temporal_noise: TemporalNoise = INDEPENDENT
    region: Patch | None = None

    def settings(self) -> dict[str, object]:
        """Return the settings that the numbers depend on, except by rounding."""
        sampler = {name: value for name, value in asdict(self.sampler).items() if isfinite(value)}
        found = {"tile": self.tile, "overlap": self.overlap, "seed": self.seed, "sampler": sampler}
        return found | ({"temporal_noise": str(self.temporal_noise)} if self.temporal_noise.e_folding else {})


def sampled_levels(trained: Trained) -> NoiseLevels:
    """Return the noise levels that a sampler walks down: the training's; of a regression, which needs none, any."""
    return trained.noise_levels or NoiseLevels(SamplerConfig.sigma_min, SamplerConfig.sigma_max)


def tile_overlap(tile: tuple[int, int], wanted: int | None = None) -> int:
    """Return the wanted overlap, or an eighth of the tile."""
    return min(tile) // 8 if wanted is None else wanted


def tile_size(trained: Trained, wanted: tuple[int, int] | None = None) -> tuple[int, int]:
    """Return the wanted tile, or the training's patch, no larger than the domain.

    Raises BadInput for a wanted tile that exceeds the domain, or that the networks cannot halve often enough.
    """
    domain = trained.features.geometry.domain
    stride = trained.regression.network.stride
    if trained.denoiser is not None:
        stride = max(stride, trained.denoiser.network.stride)
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
