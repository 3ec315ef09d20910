"""EDM's samplers.

Karras et al. 2022, arXiv 2206.00364: algorithms 1 and 2 with sigma(t) = t and s(t) = 1, and equation 5.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from corrstore.datasets.errors import BadInput


@dataclass(frozen=True)
class SamplerConfig:
    """The steps, the noise levels and the fresh noise of the sampler.

    Steps and range are CorrDiff's (arXiv 2309.15214v1, section 5.3.2), rho is EDM's (table 1, where sigma_max
    is 80, for images). `churn`, `churn_min`, `churn_max` and `churn_noise` are EDM's S_churn, S_tmin, S_tmax
    and S_noise. Without churn, the default here, the sampler is deterministic.
    """

    steps: int = 18
    sigma_min: float = 0.002
    sigma_max: float = 800.0
    rho: float = 7.0
    churn: float = 0.0
    churn_min: float = 0.0
    churn_max: float = math.inf
    churn_noise: float = 1.0

    def __post_init__(self) -> None:
        if self.steps < 2:
            raise BadInput(f"sampler steps must be at least 2, not {self.steps}")
        if not 0 < self.sigma_min < self.sigma_max:
            raise BadInput(
                "sampler noise levels must be 0 < sigma_min < sigma_max, "
                f"not sigma_min {self.sigma_min} and sigma_max {self.sigma_max}"
            )
        if self.churn < 0:
            raise BadInput(f"sampler churn must be at least 0, not {self.churn}")

    @property
    def sigmas(self) -> list[float]:
        """The falling noise levels of the steps, then 0 (equation 5)."""
        ramp = np.linspace(self.sigma_max ** (1 / self.rho), self.sigma_min ** (1 / self.rho), self.steps)
        return [*(float(each) for each in ramp**self.rho), 0.0]

    def sigma_hat(self, sigma: float) -> float:
        """Return the noise level that fresh noise raises sigma to at the start of a step (algorithm 2)."""
        if not self.churn_min <= sigma <= self.churn_max:
            return sigma
        return sigma * (1 + min(self.churn / self.steps, math.sqrt(2) - 1))


@torch.no_grad()
def sample(
    denoise: Callable[[Tensor, Tensor], Tensor],
    noise: Callable[[int], Tensor],
    config: SamplerConfig,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Return a sample of the denoiser's distribution by algorithm 2; without churn that is algorithm 1.

    `denoise(x, sigma)` estimates clean fields from x (members, channels, height, width), float64, at the
    noise level sigma, a float64 scalar, in whatever precision it likes. `noise(draw)` gives unit normal
    fields of x's shape: draw 0 is the start, draw 1 + i the fresh noise of step i, asked for only where there
    is churn. Returns float64. Beside what `denoise` takes, about six such fields are held at a time.
    """

    def slope(x: Tensor, sigma: float) -> Tensor:
        estimate = denoise(x, torch.tensor(sigma, dtype=torch.float64, device=device))
        return torch.sub(x, estimate).div_(sigma)

    def drawn(draw: int, scale: float) -> Tensor:
        return noise(draw).to(device, torch.float64) * scale

    def stepped(x: Tensor, sigma: float, sigma_next: float) -> Tensor:
        first = slope(x, sigma)
        x_next = torch.add(x, first, alpha=sigma_next - sigma)
        if sigma_next == 0:
            return x_next
        second = slope(x_next, sigma_next)
        return torch.add(x, first.add_(second), alpha=(sigma_next - sigma) / 2)

    x = drawn(0, config.sigmas[0])
    for step, (sigma, sigma_next) in enumerate(pairwise(config.sigmas)):
        sigma_hat = config.sigma_hat(sigma)
        if sigma_hat > sigma:
            x = x + drawn(1 + step, config.churn_noise * math.sqrt(sigma_hat**2 - sigma**2))
        x = stepped(x, sigma_hat, sigma_next)
    return x
