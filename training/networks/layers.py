"""The parts of the U-Net: residual block, attention, noise embedding, and how their weights start.

DDPM++ (Song et al. 2021, arXiv 2011.13456, appendix H) in the form that EDM gave it (Karras et al. 2022,
arXiv 2206.00364, appendix F): the sum of a branch and its skip is scaled by sqrt(1/2), so that variance is
kept; group norms have eps 1e-6 and at most 32 groups, of at least 4 channels; fields are halved by 2 x 2
means and doubled by repetition.
"""

from __future__ import annotations

import math
from typing import Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SKIP_SCALE = math.sqrt(0.5)
NEARLY_ZERO = 1e-5
Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


def initialised(layer: Layer, gain: float = 1.0) -> Layer:
    """Return the layer with Xavier-uniform weights times `gain` and zero bias, as in EDM's DDPM++."""
    nn.init.xavier_uniform_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def convolution(in_channels: int, out_channels: int, kernel: int, gain: float = 1.0) -> nn.Conv2d:
    """Return a convolution that keeps height and width, with zeros beyond the edges."""
    return initialised(nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2), gain)


def group_norm(channels: int) -> nn.GroupNorm:
    """Return a group norm of at most 32 groups, of at least 4 channels each."""
    groups = next(count for count in range(min(32, channels // 4), 0, -1) if channels % count == 0)
    return nn.GroupNorm(groups, channels, eps=1e-6)


class NoiseEmbedding(nn.Module):
    """Features of c_noise: sines and cosines of falling frequency as DDPM++ has them, two dense layers."""

    frequencies: Tensor

    def __init__(self, width: int, features: int) -> None:
        super().__init__()
        exponents = torch.arange(width // 2) / (width // 2 - 1)
        self.register_buffer("frequencies", 10_000.0**-exponents, persistent=False)
        self.dense1 = initialised(nn.Linear(width, features))
        self.dense2 = initialised(nn.Linear(features, features))

    def forward(self, c_noise: Tensor) -> Tensor:
        """Map c_noise (batch,) to features (batch, features)."""
        angles = c_noise[:, None] * self.frequencies
        waves = torch.cat([angles.sin(), angles.cos()], dim=1)
        return F.silu(self.dense2(F.silu(self.dense1(waves))))


class Attention(nn.Module):
    """Self-attention with one head over all the pixels of a field, added to the field."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = group_norm(channels)
        self.query_key_value = convolution(channels, 3 * channels, 1, gain=math.sqrt(0.2))
        self.project = convolution(channels, channels, 1, gain=NEARLY_ZERO)

    def forward(self, x: Tensor) -> Tensor:
        """Map fields (batch, channels, height, width) to fields of the same shape."""
        pixels = self.query_key_value(self.norm(x)).flatten(2).transpose(1, 2).contiguous().unsqueeze(1)
        query, key, value = pixels.chunk(3, dim=-1)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return (x + self.project(mixed.squeeze(1).transpose(1, 2).reshape(x.shape))) * SKIP_SCALE


class ResidualBlock(nn.Module):
    """Two normalised convolutions beside a skip, the noise embedding added between them; then attention."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        embedding_features: int | None,
        dropout: float,
        attention: bool = False,
        resample: Literal["down", "up"] | None = None,
    ) -> None:
        super().__init__()
        self.resample = resample
        self.norm1 = group_norm(in_channels)
        self.conv1 = convolution(in_channels, out_channels, 3)
        self.embed = initialised(nn.Linear(embedding_features, out_channels)) if embedding_features else None
        self.norm2 = group_norm(out_channels)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = convolution(out_channels, out_channels, 3, gain=NEARLY_ZERO)
        changes = resample is not None or in_channels != out_channels
        self.skip = convolution(in_channels, out_channels, 1) if changes else nn.Identity()
        self.attention = Attention(out_channels) if attention else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor | None) -> Tensor:
        """Map fields (batch, in_channels, height, width) to (batch, out_channels, ...), height and width resampled."""
        branch = self.conv1(self._resampled(F.silu(self.norm1(x))))
        if self.embed is not None:
            branch = branch + self.embed(embedding)[:, :, None, None]
        branch = self.conv2(self.dropout(F.silu(self.norm2(branch))))
        return self.attention((self.skip(self._resampled(x)) + branch) * SKIP_SCALE)

    def _resampled(self, x: Tensor) -> Tensor:
        if self.resample == "down":
            return F.avg_pool2d(x, 2)
        if self.resample == "up":
            return F.interpolate(x, scale_factor=2.0, mode="nearest")
        return x
