"""The inputs of a network, made from stored numbers on the device, and the way back to physical units."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corrstore.datasets.grids.regrid_weights import TwoPoints
from corrstore.datasets.store.layout import role_normalisations
from corrstore.datasets.store.opening import Store
from corrstore.datasets.variables.normalisation import Normalisation
from corrstore.training.patches.fixed import POSITION, StaticScale, fixed_features
from corrstore.training.patches.patches import Geometry, Patch
from corrstore.training.run_config import ExtraFeature


class UnitConversion:
    """The conversion of normalised channels (batch, channels, height, width) to physical units and back, float32."""

    def __init__(self, normalisations: Sequence[Normalisation], device: torch.device | str) -> None:
        self.normalisations = list(normalisations)
        self.transforms = [each.transform for each in normalisations]
        self.mean, self.std = (
            torch.tensor([getattr(each, name) for each in normalisations], device=device)[:, None, None]
            for name in ("mean", "std")
        )

    def decode(self, normalised: Tensor) -> Tensor:
        """Return the physical numbers of normalised ones, as `Normalisation.decode` does."""
        physical = self._each([each.inverse for each in self.transforms], normalised * self.std + self.mean)
        for i, each in enumerate(self.normalisations):
            if each.exact:
                physical[:, i] = each.exactly(physical[:, i], normalised[:, i], torch)
        return physical

    def encode(self, physical: Tensor) -> Tensor:
        """Return the normalised numbers of physical ones, also of those that `decode` gives below a domain."""
        return (self._each([each.extended for each in self.transforms], physical) - self.mean) / self.std

    def _each(self, functions: Sequence[Callable[..., Tensor]], fields: Tensor) -> Tensor:
        if all(each.name == "identity" for each in self.transforms):
            return fields
        done = [function(fields[:, i], torch) for i, function in enumerate(functions)]
        return torch.stack(done, dim=1)


class Features:
    """The fields that condition a model: the upsampled input, then the fixed features: static fields and `extra` ones.

    The input is interpolated in physical units, linearly in latitude and longitude, by the weights that the build
    takes for the residual's statistics. A pixel that is missing in the input counts as the channel's mean. The fixed
    features of the whole domain stay on the device; `scales` are those of `static_scales` with the same `extra`.
    Channels and constants are those of the fingerprint fields of the store that a model was trained on; by default of
    this one, which may lack a target otherwise.
    """

    def __init__(
        self,
        store: Store,
        scales: Sequence[StaticScale],
        device: torch.device | str = "cpu",
        fields: Mapping[str, Any] | None = None,
        extra: Collection[ExtraFeature] = (),
    ) -> None:
        fields = fields or store.attributes["fingerprint_fields"]
        self.device, self.scales = torch.device(device), list(scales)
        self.geometry = Geometry(store.grid("input"), store.grid("target"))
        self.target_names, self.input_names = (list(fields[role]["channels"]) for role in ("target", "input"))
        self.names = [*self.input_names, *(each.name for each in scales), *(POSITION if "position" in extra else ())]
        inputs, targets = role_normalisations(fields, "input"), role_normalisations(fields, "target")
        self.input_conversion, self.target_conversion = (UnitConversion(each, device) for each in (inputs, targets))
        self._fixed = torch.from_numpy(fixed_features(store, scales, extra)).to(device)
        transformed = [i for i, each in enumerate(self.input_conversion.transforms) if each.name != "identity"]
        self._transformed = torch.tensor(transformed, dtype=torch.int64, device=device)
        self._transformed_units = UnitConversion([inputs[i] for i in transformed], device)

    def condition(self, windows: Tensor, patches: Sequence[Patch]) -> Tensor:
        """Return the condition (batch, channels, height, width) of patches of one size, float32.

        `windows` (batch, input channels, rows, columns) are stored numbers of `geometry.window(patch)`, in any
        floating type, on any device.
        """
        upsampled = self._upsampled(windows.to(self.device, torch.float32, non_blocking=True), patches)
        fixed = torch.stack([patch.crop(self._fixed) for patch in patches])
        return torch.cat([upsampled.nan_to_num_(nan=0.0), fixed], dim=1)

    def condition_of(self, sample: NDArray[Any] | Tensor, patch: Patch) -> Tensor:
        """Return the condition (1, channels, height, width) of a patch from the stored input (channel, lat, lon)."""
        window = self.geometry.window(patch).crop(torch.as_tensor(sample))
        return self.condition(window[None], [patch])

    def targets(self, stored: Tensor) -> Tensor:
        """Return stored target numbers on the device, float32."""
        return stored.to(self.device, non_blocking=True).to(torch.float32)

    def interpolated(self, condition: Tensor) -> Tensor:
        """Return the interpolated input (batch, target channels, ...) in physical units, from a condition.

        A target that the input does not have is the mean of the train split.
        """
        inputs = self.input_conversion.decode(condition[:, : len(self.input_names)])
        absent = self.target_conversion.decode(
            torch.zeros_like(condition[:, :1]).expand(-1, len(self.target_names), -1, -1)
        )
        interpolated = {name: inputs[:, i] for i, name in enumerate(self.input_names)}
        return torch.stack([interpolated.get(name, absent[:, i]) for i, name in enumerate(self.target_names)], dim=1)

    def _upsampled(self, windows: Tensor, patches: Sequence[Patch]) -> Tensor:
        places = [self.geometry.window(patch) for patch in patches]
        rows = [_inside(self.geometry.rows, p.top, p.height, w.top) for p, w in zip(patches, places, strict=True)]
        columns = [
            _inside(self.geometry.columns, p.left, p.width, w.left) for p, w in zip(patches, places, strict=True)
        ]
        if self._transformed.numel():
            physical = self._transformed_units.decode(windows[:, self._transformed])
            windows = windows.index_copy(1, self._transformed, physical)
        fields = _interpolated(_interpolated(windows, rows, dim=2), columns, dim=3)
        if self._transformed.numel():
            normalised = self._transformed_units.encode(fields[:, self._transformed])
            fields.index_copy_(1, self._transformed, normalised)
        return fields


def _inside(points: TwoPoints, first: int, count: int, origin: int) -> TwoPoints:
    """The neighbours of `count` target points, counted from the input point `origin`."""
    part = slice(first, first + count)
    return TwoPoints(points.lower[part] - origin, points.upper[part] - origin, points.weight_upper[part])


def _interpolated(fields: Tensor, points: Sequence[TwoPoints], dim: int) -> Tensor:
    """Fields (batch, channels, height, width) interpolated along one dimension, each of the batch at its own points."""
    shape = [len(points), 1, 1, 1]
    shape[dim] = -1
    lower, upper, weight = (
        torch.from_numpy(np.stack(each)).to(fields.device, non_blocking=True).reshape(shape)
        for each in zip(*points, strict=True)
    )
    below, above = (torch.take_along_dim(fields, index, dim) for index in (lower, upper))
    return torch.lerp(below, above, weight)
