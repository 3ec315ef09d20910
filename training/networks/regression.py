"""The regression: a U-Net's prediction of the mean, on top of the upsampled input where that can be."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from corrstore.datasets.errors import BadInput
from corrstore.datasets.variables.normalisation import Normalisation
from corrstore.training.networks.network import UNet


class Connection(NamedTuple):
    """An input channel, by its index, and the affine map from its normalised units to the target's."""

    residual_from: int
    scale: float
    offset: float


def connections(
    inputs: Mapping[str, Normalisation],
    targets: Mapping[str, Normalisation],
    *,
    without: Collection[str] = (),
) -> list[Connection | None]:
    """Return for each target the input channel of the same name, such as `z_500`, to which the network adds.

    `inputs` and `targets` are in the order of the store's channel axes. It is None, and the target is
    predicted outright, where the input lacks the channel, where the two were transformed differently (no
    affine map joins them), and where `without` names it. Raises BadInput where `without` names a channel
    that is no target.
    """
    unknown = sorted(set(without) - set(targets))
    if unknown:
        raise BadInput(f"no residual for {', '.join(unknown)}: not among the targets {', '.join(targets)}")
    names = list(inputs)

    def connection(name: str, target: Normalisation) -> Connection | None:
        source = inputs.get(name)
        if source is None or source.transform != target.transform or name in without:
            return None
        return Connection(names.index(name), source.std / target.std, (source.mean - target.mean) / target.std)

    return [connection(name, target) for name, target in targets.items()]


class GlobalResidual(nn.Module):
    """The global residual connection (arXiv 2512.05377): upsampled input in the target's normalised units.

    Alone, and with every channel connected, it is plain interpolation. Channels without a connection are 0.
    """

    index: Tensor
    scale: Tensor
    offset: Tensor

    def __init__(self, connections: Sequence[Connection | None]) -> None:
        super().__init__()
        index, scale, offset = zip(*(each or Connection(0, 0.0, 0.0) for each in connections), strict=True)
        self.register_buffer("index", torch.tensor(index))
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32)[:, None, None])
        self.register_buffer("offset", torch.tensor(offset, dtype=torch.float32)[:, None, None])

    def forward(self, condition: Tensor) -> Tensor:
        """Map a condition (batch, channels, height, width) to (batch, target channels, height, width)."""
        return condition[:, self.index] * self.scale + self.offset


class Regression(nn.Module):
    """The conditional mean of the target: the global residual connection, and what the network adds to it.

    Raises BadInput where the connections are not one for each of the network's output channels.
    """

    def __init__(self, network: UNet, connections: Sequence[Connection | None]) -> None:
        super().__init__()
        if len(connections) != network.config.out_channels:
            raise BadInput(
                f"the network predicts {network.config.out_channels} channels, but was given "
                f"{len(connections)} connections; give one, or None, for each target channel"
            )
        self.network = network
        self.residual = GlobalResidual(connections)

    def forward(self, condition: Tensor) -> Tensor:
        """Map a condition (batch, channels, height, width) to (batch, target channels, height, width), all normalised.

        The condition's first channels are the upsampled input's, in order; static fields and position follow.
        """
        return self.residual(condition) + self.network(condition)
