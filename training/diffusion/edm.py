"""Diffusion as EDM defines it: preconditioning and the loss.

Karras et al. 2022, arXiv 2206.00364: its equations, and the last column of its table 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from corrstore.training.diffusion.levels import NoiseLevels
from corrstore.training.diffusion.spectrum import cosine_modes, from_modes, modes_of_octaves, octave_of_modes
from corrstore.training.networks.network import Network

SIGMA_DATA = 0.5
"""Standard deviation of the data that the preconditioning assumes (EDM, table 1), where none is measured."""

_LEAST_VARIANCE = 1e-12
"""A channel without a residual has no error to divide by."""

Denoise = Callable[[Tensor, Tensor, Tensor], Tensor]


class Denoiser(nn.Module):
    """D(x; sigma, condition), the estimate of clean residuals from noisy ones, around a U-Net.

    The network sees the scaled x and then the condition as channels. `sigma_data` is one number, or one for each target
    channel, such as the residuals' measured standard deviations. With `octave_variance` (channels, octaves), the
    residuals' measured spectrum, each cosine mode is preconditioned by its own standard deviation in place of
    `sigma_data`: a network that adds nothing leaves the Wiener filter, the best linear denoiser, and the sampler draws
    Gaussian fields of that spectrum.
    """

    sigma_data: Tensor
    octave_variance: Tensor | None

    def __init__(
        self, network: Network, sigma_data: float | Sequence[float] = SIGMA_DATA, octave_variance: Tensor | None = None
    ) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("sigma_data", torch.atleast_1d(torch.tensor(sigma_data, dtype=torch.float32)))
        self.register_buffer("octave_variance", octave_variance)

    def forward(self, x: Tensor, sigma: Tensor, condition: Tensor) -> Tensor:
        """Return the estimate of clean residuals (equation 7).

        x (batch, channels, height, width); sigma (batch,) or a scalar; condition (batch, ...).


        It computes in the precision of the module's own buffers (float32 unless converted).
        """
        x = x.to(self.sigma_data.dtype)
        sigma = sigma.to(x).reshape(-1, 1, 1, 1)
        c_skip, c_out, c_in = preconditioning(sigma, self.sigma_data[:, None, None])
        c_noise = sigma.flatten().log() / 4
        answer = self.network(torch.cat([c_in * x, condition], dim=1), c_noise)
        if self.octave_variance is None:
            return c_skip * x + c_out * answer
        with torch.autocast(x.device.type, enabled=False):
            c_skip, c_out, _ = preconditioning(sigma, std_of_modes(self.octave_variance, *x.shape[-2:]))
            return from_modes(c_skip * cosine_modes(x) + c_out * cosine_modes(answer.to(x.dtype)))


def std_of_modes(octave_variance: Tensor, height: int, width: int) -> Tensor:
    """Return the standard deviation (channels, height, width) of each mode of fields of any size.

    The modes of an octave share its variance. Those of longer wavelengths than the measured fields could hold share
    that of their means, so that larger fields have the same variance.
    """
    count = octave_variance.shape[1]
    octave = octave_of_modes(height, width).clamp(max=count - 1)
    modes = modes_of_octaves(height, width, count).to(octave_variance)
    std = (octave_variance * height * width / modes).sqrt()
    return std[:, octave.to(std.device)]


def correlation_lengths(octave_variance: Tensor, height: int, width: int) -> list[float]:
    """Return the distance in pixels at which each channel's correlation along a row of such fields falls to 1/e.

    It is infinite where the correlation stays above that over the whole row.
    """
    power = std_of_modes(octave_variance.double(), height, width).square().sum(dim=1)
    distance = torch.arange(width, dtype=torch.float64, device=power.device)
    correlation = power @ torch.cos(torch.pi / width * distance[:, None] * distance) / power.sum(dim=1, keepdim=True)
    below = (correlation < math.exp(-1)).double()
    first = [int(each.argmax()) if each.any() else math.inf for each in below]
    return [float(each) for each in first]


def preconditioning(sigma: Tensor, sigma_data: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return c_skip, c_out and c_in (table 1), which give network input and training target unit variance."""
    variance = sigma**2 + sigma_data**2
    return sigma_data**2 / variance, sigma * sigma_data / variance.sqrt(), 1 / variance.sqrt()


def loss_weight(sigma: Tensor, sigma_data: Tensor) -> Tensor:
    """Return lambda(sigma) = 1 / c_out^2 (table 1), which gives every noise level the same weight at the start."""
    return (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2


class LossTerms(NamedTuple):
    """The loss of a batch: its sum over the pixels that are known, their number, and what it was made of.

    `error` of the estimate and `residual`, the error of an estimate of nothing, are (batch, channels, height, width),
    without gradients, and 0 where the target is missing; `sigma` (batch,) are the noise levels of a diffusion.
    """

    total: Tensor
    known: Tensor
    error: Tensor
    residual: Tensor
    sigma: Tensor | None = None

    @property
    def mean(self) -> Tensor:
        """The mean over the pixels that are known; 0 where none is."""
        return self.total / self.known.clamp(min=1)


Loss = Literal["squared", "huber", "log-cosh"]


def loss_terms(
    error: Tensor,
    residual: Tensor,
    weight: Tensor,
    sigma: Tensor | None = None,
    *,
    channel_weights: Tensor | None = None,
    loss: Loss = "squared",
) -> LossTerms:
    """Return the terms of the loss of the error times the root of `weight`, over the pixels where `residual` is known.

    That error z is of unit size in an untrained network. Its loss is z^2; Huber's, 2 |z| - 1 beyond 1; or
    2 ln(cosh z), both of the same curvature at 0. `channel_weights` (channels,) multiply it. `residual` is NaN where
    it is missing.
    """
    known = ~residual.isnan()
    error = torch.where(known, error, 0.0)
    if loss == "squared":
        each = weight * error**2
    elif loss == "huber":
        each = 2 * F.huber_loss(error * weight.sqrt(), torch.zeros_like(error), reduction="none")
    else:
        size = (error * weight.sqrt()).abs()
        each = 2 * (size + F.softplus(-2 * size) - math.log(2))
    if channel_weights is not None:
        each = each * channel_weights[:, None, None]
    return LossTerms(each.sum(), known.sum(), error.detach(), residual.nan_to_num(0.0), sigma)


def edm_loss(
    denoise: Denoise,
    residual: Tensor,
    condition: Tensor,
    generators: Sequence[torch.Generator],
    *,
    levels: NoiseLevels,
    sigma_data: Tensor,
    octave_variance: Tensor | None = None,
    channel_weights: Tensor | None = None,
    loss: Loss = "squared",
) -> LossTerms:
    """Return the terms of lambda(sigma) w (D(y + n; sigma) - y)^2, n ~ N(0, sigma^2), sigma drawn from `levels`.

    Equation 2, weighted and drawn as in section 5; its minimum is the mean of w for Gaussian pixels of
    standard deviation `sigma_data`; another `loss` than the squared one is as in `loss_terms`. With `octave_variance`
    the errors c_out^2 differ by mode: lambda is 1 over their mean. `residual` y is (batch, channels, height, width),
    NaN where it is missing: there the network sees noise alone, and nothing is learned. `channel_weights` w
    (channels,). Each sample of the batch draws its noise from a generator of its own, on the residual's device, so that
    the draw does not depend on how a batch is shared among processes.
    """
    normal = torch.stack([torch.randn((), generator=each, device=each.device) for each in generators])
    noise = torch.stack(
        [torch.randn(y.shape, generator=each, device=each.device) for y, each in zip(residual, generators, strict=True)]
    )
    sigma = levels.drawn(normal)
    clean = residual.nan_to_num(0.0)
    error = denoise(clean + sigma[:, None, None, None] * noise, sigma, condition) - clean
    if octave_variance is None:
        weight = loss_weight(sigma[:, None, None, None], sigma_data[:, None, None])
    else:
        _, c_out, _ = preconditioning(sigma[:, None, None, None], std_of_modes(octave_variance, *residual.shape[-2:]))
        weight = 1 / (c_out**2).mean(dim=(2, 3), keepdim=True).clamp(min=_LEAST_VARIANCE)
    return loss_terms(error, residual, weight, sigma, channel_weights=channel_weights, loss=loss)
