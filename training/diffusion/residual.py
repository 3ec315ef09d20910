"""The residual that a model learns, target minus base field, and its scale."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from corrstore.training.diffusion.edm import SIGMA_DATA


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

    @classmethod
    def from_sums(cls, sums: Tensor) -> ResidualScale:
        """Return the scale from the sums (3, channels) of `residual_sums`."""
        count, total, squares = sums
        mean = total / count.clamp(min=1)
        std = (squares / count.clamp(min=1) - mean**2).clamp(min=0).sqrt()
        return cls(mean.float(), std.float())


def residual_sums(residual: Tensor) -> Tensor:
    """Return sums (3, channels), float64, over (batch, channels, ...): present pixels, values, squares."""
    present = (~residual.isnan()).double()
    residual = residual.double().nan_to_num(0.0)
    return torch.stack([each.sum(dim=(0, 2, 3)) for each in (present, residual, residual**2)])
