"""What a model has to learn: the target minus what is below it, and the scale of that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from training.edm import SIGMA_DATA
from training.processes import Processes


@dataclass(frozen=True, eq=False)
class ResidualScale:
    """Mean and standard deviation (channels,) of target minus what is below, in the target's normalised units."""

    mean: Tensor
    std: Tensor

    def standardised(self, residual: Tensor) -> Tensor:
        """The residual (..., channels, height, width) with mean 0 and EDM's sigma_data as standard deviation."""
        return (residual - self.mean[:, None, None]) * (SIGMA_DATA / self.std[:, None, None])

    def restored(self, x: Tensor) -> Tensor:
        """A standardised residual in the target's normalised units."""
        return x * (self.std[:, None, None] / SIGMA_DATA) + self.mean[:, None, None]

    def to(self, device: torch.device | str) -> ResidualScale:
        """The same on the device."""
        return ResidualScale(self.mean.to(device), self.std.to(device))


def measured_scale(residuals: Iterable[Tensor], processes: Processes) -> ResidualScale:
    """The scale of these residuals (batch, channels, height, width) and those of the other processes.

    Missing pixels are left out. A channel of which nothing is missed has the standard deviation 1.
    """
    count, total, squares = processes.summed(sum((_sums(residual) for residual in residuals), torch.zeros(())))
    mean = total / count
    std = (squares / count - mean**2).clamp(min=0).sqrt()
    return ResidualScale(mean.float(), torch.where(std > 0, std, 1.0).float())


def _sums(residual: Tensor) -> Tensor:
    """(3, channels), float64: how many pixels are known, their sum, the sum of their squares."""
    known = (~residual.isnan()).double()
    residual = residual.double().nan_to_num(0.0)
    return torch.stack([each.sum(dim=(0, 2, 3)) for each in (known, residual, residual**2)])
