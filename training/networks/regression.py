"""The regression: a U-Net's prediction of the mean, on top of the upsampled input where that can be."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from corrstore.datasets.errors import BadInput
from corrstore.datasets.variables.normalisation import Normalisation
from corrstore.training.networks.layers import convolution
from corrstore.training.networks.network import Network

LEAST, LARGEST = -4.0, 0.7
"""The bounds of ln(spread). Where the mean is all but certain, as where it seldom rains, an error is still possible; in
weather that was not seen, where a network guesses, it is not more than twice interpolation's."""


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


class Prediction(NamedTuple):
    """The prediction of normalised targets (batch, channels, height, width): the mean, and how uncertain it is.

    `log_spread` is the natural logarithm of the `spread`, the standard deviation that the mean's error is expected to
    have, over that of interpolation's error in the whole domain.
    """

    mean: Tensor
    log_spread: Tensor

    @property
    def spread(self) -> Tensor:
        """The expected standard deviation of the mean's error, over that of interpolation's."""
        return self.log_spread.exp()


class Regression(nn.Module):
    """The conditional mean of the target, and its spread: the global residual connection and what is added to it.

    The network has two output channels for each target: what is added to the connection, then ln(spread). A linear
    function of the condition, pixel by pixel, is added to the mean too: what is linear need not pass the network's
    first layer, which is narrow in small networks (our choice). Both start at zero.
    Raises BadInput where the connections are not one for each target.
    """

    def __init__(self, network: Network, connections: Sequence[Connection | None]) -> None:
        super().__init__()
        if 2 * len(connections) != network.out_channels:
            raise BadInput(
                f"the network has {network.out_channels} output channels, two for each target, but was given "
                f"{len(connections)} connections; give one, or None, for each target channel"
            )
        self.network = network
        self.residual = GlobalResidual(connections)
        self.linear = convolution(network.in_channels, len(connections), 1, gain=0.0)

    def forward(self, condition: Tensor) -> Prediction:
        """Map a normalised condition (batch, channels, height, width) to the prediction of the targets.

        The condition's first channels are the upsampled input's, in order; static fields and position follow.
        """
        added, log_spread = self.network(condition).chunk(2, dim=1)
        mean = self.residual(condition) + self.linear(condition) + added
        return Prediction(mean, log_spread.float().clamp(LEAST, LARGEST))


def normal_crps(error: Tensor, spread: Tensor) -> Tensor:
    """Return the CRPS of a normal distribution by the error of its mean and its standard deviation, of one unit.

    Gneiting and Raftery 2007, doi 10.1198/016214506000001437, equation 21.
    """
    z = error / spread
    density = torch.exp(-(z**2) / 2) * math.sqrt(2 / math.pi)
    return spread * (z * torch.erf(z / math.sqrt(2)) + density - 1 / math.sqrt(math.pi))
