"""The network that both models are made of: what is asked of it, the U-Net, and its sizes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from corrstore.datasets.errors import BadInput
from corrstore.training.networks.layers import NoiseEmbedding, ResidualBlock, convolution, group_norm

SIZES: dict[str, dict[str, Any]] = {
    "tiny": {
        "width": 8,
        "multipliers": (1, 2, 2, 2),
        "blocks": 1,
        "attention_levels": (3,),
        "dropout": 0.0,
    },
    "small": {
        "width": 64,
        "multipliers": (1, 2, 2, 2),
        "blocks": 2,
        "attention_levels": (3,),
        "dropout": 0.1,
    },
    "paper": {
        "width": 128,
        "multipliers": (1, 2, 2, 2, 2),
        "blocks": 4,
        "attention_levels": (4,),
        "dropout": 0.13,
    },
}
"""Shapes by name. `paper` is CorrDiff's (arXiv 2309.15214v1, section 5.3.2), which states width 128,
multipliers 1 2 2 2 2, attention where 448 pixels have become 28 (the fifth level), dropout 0.13 and 80
million parameters; it does not state the blocks a level: EDM's DDPM++ has four, and four give that number.
`small` (10 million, for one modest GPU) and `tiny` (0.1 million, for tests) are ours."""


@dataclass(frozen=True)
class NetworkConfig:
    """The shape of a U-Net.

    Level 0 has full resolution and `width` channels; each further level has half the height and width, and
    `width` times its multiplier. A level has `blocks` residual blocks on the way down, one more on the way
    up. Attention is chosen by level, so that a config means the same for fields of any size.
    `noise_conditioned`: the network is told the noise level.
    """

    in_channels: int
    out_channels: int
    noise_conditioned: bool
    width: int
    multipliers: tuple[int, ...]
    blocks: int
    attention_levels: tuple[int, ...]
    dropout: float

    def __post_init__(self) -> None:
        if self.width < 4 or self.width % 4:
            raise BadInput(f"network width {self.width} must be a multiple of 4, such as 64 or 128")
        if not set(self.attention_levels) <= set(range(len(self.multipliers))):
            raise BadInput(
                f"network attention_levels {self.attention_levels} must be among the levels "
                f"0 to {len(self.multipliers) - 1} that its {len(self.multipliers)} multipliers make"
            )

    @classmethod
    def from_size(cls, size: str, in_channels: int, out_channels: int, *, noise_conditioned: bool) -> NetworkConfig:
        """Return the config of a size of `SIZES`; raise BadInput for an unknown name."""
        if size not in SIZES:
            raise BadInput(f"unknown network size {size!r}; choose one of {', '.join(SIZES)}")
        return cls(in_channels, out_channels, noise_conditioned, **SIZES[size])

    @property
    def stride(self) -> int:
        """The number that height and width must be divisible by."""
        return int(2 ** (len(self.multipliers) - 1))


class Network(Protocol):
    """What both models need of a network, a module of PyTorch: any that has this can stand in the U-Net's place.

    A regression has two output channels for each target and no noise; a denoiser has one, and is told the noise.
    """

    @property
    def in_channels(self) -> int:
        """The number of channels that it takes."""

    @property
    def out_channels(self) -> int:
        """The number of channels that it returns."""

    @property
    def stride(self) -> int:
        """The number that height and width must be divisible by."""

    def __call__(self, x: Tensor, c_noise: Tensor | None = None) -> Tensor:
        """Map fields (batch, in_channels, height, width) to (batch, out_channels, height, width)."""


class UNet(nn.Module):
    """A U-Net of the DDPM++ kind (arXiv 2011.13456, appendix H) for fields of any size it can halve.

    Its last convolution starts at zero (EDM: 1e-5), so that an untrained network adds nothing: a regression
    starts as plain interpolation, a denoiser as c_skip x.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        features = 4 * config.width if config.noise_conditioned else None
        block = partial(ResidualBlock, embedding_features=features, dropout=config.dropout)
        widths = [config.width * multiplier for multiplier in config.multipliers]
        deepest = len(widths) - 1

        self.embedding = NoiseEmbedding(config.width, features) if features else None
        self.first = convolution(config.in_channels, config.width, 3)
        channels, skips = config.width, [config.width]

        self.encoder = nn.ModuleList()
        for level, width in enumerate(widths):
            if level > 0:
                self.encoder.append(block(channels, channels, resample="down"))
                skips.append(channels)
            for _ in range(config.blocks):
                self.encoder.append(block(channels, width, attention=level in config.attention_levels))
                channels = width
                skips.append(channels)

        self.middle = nn.ModuleList(
            [
                block(channels, channels, attention=deepest in config.attention_levels),
                block(channels, channels),
            ]
        )

        self.decoder = nn.ModuleList()
        for level, width in reversed(list(enumerate(widths))):
            for index in range(config.blocks + 1):
                attends = level in config.attention_levels and index == config.blocks
                self.decoder.append(block(channels + skips.pop(), width, attention=attends))
                channels = width
            if level > 0:
                self.decoder.append(block(channels, channels, resample="up"))

        self.norm = group_norm(channels)
        self.last = convolution(channels, config.out_channels, 3, gain=0.0)
        self.in_channels, self.out_channels, self.stride = config.in_channels, config.out_channels, config.stride
        self.recompute = False
        """Whether a block's activations are computed again in the backward pass, in place of being kept for it."""

    def forward(self, x: Tensor, c_noise: Tensor | None = None) -> Tensor:
        """Map fields (batch, in_channels, height, width) to (batch, out_channels, height, width).

        `c_noise` (batch,) or (1,) is given where the network is conditioned on noise, and only there.
        Raises BadInput where it is not, and where height or width cannot be halved often enough.
        """
        self._check(x, c_noise)
        embedding = self.embedding(c_noise) if self.embedding is not None else None
        x = self.first(x)
        skips = [x]
        for block in self.encoder:
            x = self._run(block, x, embedding)
            skips.append(x)
        for block in self.middle:
            x = self._run(block, x, embedding)
        for block in self.decoder:
            if block.resample is None:
                x = torch.cat([x, skips.pop()], dim=1)
            x = self._run(block, x, embedding)
        return self.last(F.silu(self.norm(x)))

    def _run(self, block: nn.Module, x: Tensor, embedding: Tensor | None) -> Tensor:
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(block, x, embedding, use_reentrant=False)
        return block(x, embedding)

    def _check(self, x: Tensor, c_noise: Tensor | None) -> None:
        channels, height, width = x.shape[1:]
        stride = self.config.stride
        if channels != self.config.in_channels:
            raise BadInput(f"the network takes {self.config.in_channels} channels, but was given {channels}")
        if self.config.noise_conditioned != (c_noise is not None):
            raise BadInput(
                f"the network has noise_conditioned={self.config.noise_conditioned}: "
                "a denoiser's must be conditioned on noise, a regression's must not"
            )
        if height % stride or width % stride:
            raise BadInput(
                f"a field of {height} x {width} does not fit a network of {len(self.config.multipliers)} "
                f"levels: height and width must be divisible by {stride}; "
                f"the next smaller size is {height - height % stride} x {width - width % stride}"
            )
