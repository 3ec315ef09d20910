"""The sampler: DPM-Solver++(2M) in the noise level, deterministic or stochastic.

Lu et al. 2022, arXiv 2211.01095: algorithm 2, data prediction, with alpha = 1, as EDM's noise has it, so that lambda is
-ln(sigma); `eta` is the share of the noise that is drawn anew (their section 3.4 at eta = 1).
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
from corrstore.training.diffusion.levels import NoiseLevels

STEPS_A_FACTOR_E = 2.0
"""Steps for each factor e between the noise levels: modes that lie inside the range get their standard deviation
within 2 % (docs/training.md, `python -m benchmarks.science.samplers`)."""


@dataclass(frozen=True)
class SamplerConfig:
    """The steps, the noise levels and the fresh noise of the sampler; a step is one call of the network.

    The levels fall by one factor from sigma_max to sigma_min. `eta` is the rate of fresh noise: 0, the default, gives
    the deterministic solver, 1 that of the reverse stochastic equation.
    """

    steps: int = 25
    sigma_min: float = 0.002
    sigma_max: float = 500.0
    eta: float = 0.0

    def __post_init__(self) -> None:
        if self.steps < 2:
            raise BadInput(f"sampler steps must be at least 2, not {self.steps}")
        if not 0 < self.sigma_min < self.sigma_max:
            raise BadInput(
                "sampler noise levels must be 0 < sigma_min < sigma_max, "
                f"not sigma_min {self.sigma_min} and sigma_max {self.sigma_max}"
            )
        if self.eta < 0:
            raise BadInput(f"sampler eta must be at least 0, not {self.eta}")

    @classmethod
    def over(
        cls,
        trained: NoiseLevels,
        steps: int | None = None,
        sigma_min: float | None = None,
        sigma_max: float | None = None,
        eta: float = 0.0,
    ) -> SamplerConfig:
        """Return the config of a model's noise levels where none are given, and of the steps that the range needs."""
        low = trained.sigma_min if sigma_min is None else sigma_min
        high = trained.sigma_max if sigma_max is None else sigma_max
        ratio = high / low if 0 < low < high else 1.0
        return cls(steps or max(2, math.ceil(STEPS_A_FACTOR_E * math.log(ratio))), low, high, eta)

    def beyond(self, trained: NoiseLevels) -> str | None:
        """Return the sentence on levels that the model was not trained on; None where there are none."""
        if trained.sigma_min <= self.sigma_min * 1.001 and self.sigma_max <= trained.sigma_max * 1.001:
            return None
        return (
            f"the sampler goes from {self.sigma_max:.3g} to {self.sigma_min:.3g}, beyond the noise levels of the"
            f" training ({trained}): what the network does there was not learned"
        )

    @property
    def sigmas(self) -> list[float]:
        """The falling noise levels of the steps, then 0."""
        return [*(float(each) for each in np.geomspace(self.sigma_max, self.sigma_min, self.steps)), 0.0]


@torch.no_grad()
def sample(
    denoise: Callable[[Tensor, Tensor], Tensor],
    noise: Callable[[int], Tensor],
    config: SamplerConfig,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Return a sample of the denoiser's distribution.

    `denoise(x, sigma)` estimates clean fields from x (members, channels, height, width), float64, at the
    noise level sigma, a float64 scalar, in whatever precision it likes. `noise(draw)` gives unit normal
    fields of x's shape: draw 0 is the start, draw 1 + i the fresh noise of step i, asked for only where eta is above
    0. Returns float64: the last estimate, at sigma_min. Beside what `denoise` takes, about five such fields are held
    at a time.
    """

    def drawn(draw: int, scale: float) -> Tensor:
        return noise(draw).to(device, torch.float64) * scale

    x = drawn(0, config.sigmas[0])
    before: Tensor | None = None
    for step, (sigma, sigma_next) in enumerate(pairwise(config.sigmas)):
        estimate = denoise(x, torch.tensor(sigma, dtype=torch.float64, device=device)).double()
        if sigma_next == 0:
            return estimate
        fall = math.log(sigma / sigma_next)  # the same in every step
        share = -math.expm1(-(1 + config.eta) * fall)
        x = torch.mul(x, 1 - share).add_(estimate, alpha=share)
        if before is not None:
            x.add_(estimate - before, alpha=share / 2)
        if config.eta:
            x.add_(drawn(1 + step, sigma_next * math.sqrt(-math.expm1(-2 * config.eta * fall))))
        before = estimate
    raise AssertionError("the last level is 0")
