"""The loss as a share of predicting nothing, by channel, noise level and scale."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from corrstore.training.diffusion.edm import LossTerms
from corrstore.training.diffusion.levels import NoiseLevels
from corrstore.training.diffusion.spectrum import octave_power, octaves

_INTERVALS = 6
"""The equal parts of ln(sigma) over the trained range."""


class Share(NamedTuple):
    """Squared error over that of predicting nothing, for a channel, an interval of noise levels and an octave.

    `sigma_from` and `sigma_to` are 0 for a regression; `wavelength` is the octave's shortest, in pixels.
    """

    channel: str
    sigma_from: float
    sigma_to: float
    wavelength: int
    share: float


class LossShares:
    """Sums of squared errors and of squared residuals since the last reading: (2, intervals, channels, octaves).

    Predicting nothing is the base field for a regression, the residual's mean for a denoiser, whose best share for
    Gaussian modes of standard deviation s is sigma^2 / (sigma^2 + s^2). Draws beyond the range count to its ends.
    """

    def __init__(
        self, channels: list[str], size: tuple[int, int], levels: NoiseLevels | None, device: torch.device
    ) -> None:
        self.channels, self.size, self.octaves, self.levels = channels, size, octaves(*size), levels
        intervals = _INTERVALS if levels else 1
        self.sums = torch.zeros(2, intervals, len(channels), len(self.octaves), dtype=torch.float64, device=device)

    def of(self, terms: LossTerms) -> Tensor:
        """Return the sums of a batch."""
        interval = torch.zeros(len(terms.error), dtype=torch.int64, device=self.sums.device)
        if self.levels and terms.sigma is not None:
            place = (terms.sigma / self.levels.sigma_min).log() / self.levels.log_ratio
            interval = (place * _INTERVALS).long().clamp(0, _INTERVALS - 1)
        powers = torch.stack([octave_power(each.float()) for each in (terms.error, terms.residual)])
        return torch.zeros_like(self.sums).index_add_(1, interval, powers)

    def shares(self) -> Iterator[Share]:
        """Yield the shares of all that was drawn, and begin anew."""
        error, residual = (each.tolist() for each in self.sums)
        self.sums = torch.zeros_like(self.sums)
        for interval in range(len(error)):
            low = high = 0.0
            if self.levels:
                step = self.levels.log_ratio / _INTERVALS
                low, high = (self.levels.sigma_min * math.exp(step * (interval + end)) for end in (0, 1))
            for position, channel in enumerate(self.channels):
                for octave, wavelength in enumerate(self.octaves):
                    nothing = residual[interval][position][octave]
                    if nothing > 0:
                        yield Share(channel, low, high, wavelength, error[interval][position][octave] / nothing)
