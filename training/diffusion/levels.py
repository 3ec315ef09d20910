"""The noise levels of a diffusion: one range, over which training draws and which the sampler walks down."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from corrstore.datasets.errors import BadInput

Distribution = Literal["log-normal", "log-uniform"]

ABOVE, BELOW = 5.0, 0.1
"""The highest level as a multiple of the largest mode's standard deviation s, the lowest of the smallest mode's.

A sampler that starts from noise of 5 s alone gives the mode sqrt(1 - 1 / 26) = 0.98 of s; one that ends by denoising
from 0.1 s changes it by half a percent.
"""
LEAST = 0.002
"""The lowest level at all: EDM's sigma_min (arXiv 2206.00364, table 1), for residuals of standard deviation 0.5."""


@dataclass(frozen=True)
class NoiseLevels:
    """A range of noise levels sigma, in units of standardised residuals, and how training draws them.

    log-uniform: ln(sigma) evenly over the range. log-normal: the range is two standard deviations to either side, which
    holds 95 % of the draws; EDM's training (-1.2 and 1.2, table 1) is that of 0.027 to 3.3, CorrDiff's (0 and 1.2,
    arXiv 2309.15214v1, section 5.3.2) of 0.091 to 11. Raises BadInput for an empty range.
    """

    sigma_min: float
    sigma_max: float
    distribution: Distribution = "log-normal"

    def __post_init__(self) -> None:
        if not 0 < self.sigma_min < self.sigma_max:
            raise BadInput(
                "noise levels must be 0 < sigma_min < sigma_max, "
                f"not sigma_min {self.sigma_min} and sigma_max {self.sigma_max}"
            )

    @property
    def log_ratio(self) -> float:
        """The natural logarithm of the ratio of the range's ends."""
        return math.log(self.sigma_max / self.sigma_min)

    def drawn(self, normal: Tensor) -> Tensor:
        """Return levels of the distribution from unit normal numbers."""
        position = torch.special.ndtr(normal) if self.distribution == "log-uniform" else 0.5 + normal / 4
        return self.sigma_min * torch.exp(position * self.log_ratio)

    def __str__(self) -> str:
        return f"{self.sigma_min:.3g} to {self.sigma_max:.3g}, {self.distribution}"
