"""The residual that a model learns, target minus base field: its scale, and the noise levels it needs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from corrstore.training.diffusion.edm import SIGMA_DATA, std_of_modes
from corrstore.training.diffusion.levels import ABOVE, BELOW, LEAST, NoiseLevels
from corrstore.training.diffusion.spectrum import octave_power, octaves


@dataclass(frozen=True, eq=False)
class ResidualScale:
    """Mean and standard deviation (channels,) of target minus base field, in the target's normalised units.

    The base field is the interpolated input for a regression, the regression's mean for a diffusion. A channel
    whose base equals its target has the standard deviation 0, and the residual 0 in every member.
    """

    mean: Tensor
    std: Tensor

    @property
    def divisor(self) -> Tensor:
        """The standard deviation (channels, 1, 1), 1 where it is 0."""
        return torch.where(self.std > 0, self.std, 1.0)[:, None, None]

    def standardised(self, residual: Tensor) -> Tensor:
        """Return the residual (..., channels, height, width) with mean 0 and EDM's sigma_data as standard deviation."""
        return (residual - self.mean[:, None, None]) * (SIGMA_DATA / self.divisor)

    def restored(self, x: Tensor) -> Tensor:
        """Return a standardised residual in the target's normalised units."""
        return x * (self.std[:, None, None] / SIGMA_DATA) + self.mean[:, None, None]

    def to(self, device: torch.device | str) -> ResidualScale:
        """Return the scale on the device."""
        return ResidualScale(self.mean.to(device), self.std.to(device))


class ResidualStatistics:
    """Sums over residuals (batch, channels, height, width), missing pixels left out: their scale and their spectrum.

    `sums` is one float64 tensor, so that those of several processes can be added.
    """

    def __init__(self, channels: int, size: tuple[int, int], device: torch.device) -> None:
        self.size = size
        self.sums = torch.zeros(7 + len(octaves(*size)), channels, dtype=torch.float64, device=device)

    def add(self, error: Tensor, spread: Tensor) -> None:
        """Add a batch of residuals `error` / `spread`; in the spectrum a missing pixel counts as its patch's mean."""
        known, error = ~error.isnan(), error.double()
        residual = error / spread
        filled = torch.where(known, residual, residual.nanmean(dim=(-2, -1), keepdim=True)).nan_to_num(0.0)
        moments = (each.nan_to_num(0.0) ** n for each in (error, residual) for n in (1, 2))
        of_pixels = [known.double(), *moments, residual.nan_to_num(0.0).abs()]
        patches = known.any(-1).any(-1).double().sum(dim=0)
        sums = [each.sum(dim=(0, 2, 3)) for each in of_pixels]
        self.sums += torch.stack([*sums, patches, *octave_power(filled).sum(dim=0).T])

    @property
    def scale(self) -> ResidualScale:
        """Mean and standard deviation of each channel."""
        return self._scale(3)

    @property
    def typical_scale(self) -> ResidualScale:
        """The mean of each channel, and the standard deviation of normal residuals that are as large in the mean.

        The residuals' own is wider where a few are very large, as those of rain are, than nearly all of them need. It
        is taken where it is narrower, as where all residuals have one sign.
        """
        scale, mean_absolute = self.scale, self.sums[5] / self.sums[0].clamp(min=1)
        return ResidualScale(scale.mean, torch.minimum(scale.std, (mean_absolute * math.sqrt(math.pi / 2)).float()))

    @property
    def error_scale(self) -> ResidualScale:
        """Mean and standard deviation of each channel's errors, before they are divided by their spread."""
        return self._scale(1)

    def _scale(self, first: int) -> ResidualScale:
        count = self.sums[0].clamp(min=1)
        mean, square = self.sums[first : first + 2] / count
        return ResidualScale(mean.float(), (square - mean**2).clamp(min=0).sqrt().float())

    @property
    def octave_variance(self) -> Tensor:
        """The variance (channels, octaves) of residuals in each octave, in units that make their sum `SIGMA_DATA`^2."""
        scale, pixels = self.scale, self.size[0] * self.size[1]
        variance = self.sums[7:] / self.sums[6].clamp(min=1) / pixels
        variance[-1] -= scale.mean.double() ** 2
        return (variance.clamp(min=0) * (SIGMA_DATA / scale.divisor[:, 0, 0].double()) ** 2).T.contiguous()

    @property
    def noise_levels(self) -> NoiseLevels:
        """The noise levels that these residuals need: from `BELOW` the smallest mode to `ABOVE` the largest.

        Octaves without power, and channels without a residual, do not count.
        """
        std = std_of_modes(self.octave_variance, *self.size)
        found = std[std > 0]
        smallest, largest = (float(found.min()), float(found.max())) if found.numel() else (SIGMA_DATA, SIGMA_DATA)
        return NoiseLevels(max(LEAST, BELOW * smallest), max(10 * LEAST, ABOVE * largest))
