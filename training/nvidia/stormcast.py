"""A store as a dataset of physicsnemo, with the interface of its StormCast example (docs/physicsnemo.md).

That example trains regional models in general, downscaling among them: its `background` is our input, its `state` our
target. Nothing of physicsnemo is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from corrstore.training.nvidia.physicsnemo import CorrDiffDataset, normalised_fields, physical_fields


class RegionalDataset(Dataset[dict[str, Tensor]]):
    """The valid samples of a store's train or validation split, on the whole target grid, for downscaling.

    `params` has `store`, the store's folder or URL. A sample is `background` (input channel, lat, lon), interpolated to
    the target grid, and `state` (target channel, lat, lon), float32 and normalised; missing pixels are as in
    CorrDiffDataset. Raises BadInput as that does.
    """

    lead_time_steps = 0

    def __init__(self, params: Mapping[str, Any], train: bool) -> None:
        self.samples = CorrDiffDataset(params["store"], "train" if train else "validation")
        self._background, self._state = (self.samples.store.plan.normalisations[role] for role in ("input", "target"))

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        state, condition = self.samples[index]
        return {"background": condition[: len(self._background)], "state": state}

    def background_channels(self) -> list[str]:
        """Return the names of the input channels."""
        return [channel.name for channel in self.samples.store.plan.channels("input")]

    def state_channels(self) -> list[str]:
        """Return the names of the target channels."""
        return [channel.name for channel in self.samples.store.plan.channels("target")]

    def scalar_condition_channels(self) -> list[str]:
        """Return no names: a sample has no scalar conditions."""
        return []

    def get_invariants(self) -> NDArray[np.float32] | None:
        """Return the static fields (channel, lat, lon), normalised; None where the store has none."""
        scales, static = self.samples.features.scales, self.samples.store.static
        if not scales:
            return None
        fields = [(field - scale.mean) / scale.std for field, scale in zip(static, scales, strict=True)]
        return np.stack(fields).astype(np.float32)

    def image_shape(self) -> tuple[int, int]:
        """Return height and width of the target grid, and so of all fields."""
        return self.samples.image_shape()

    def latitude(self) -> NDArray[np.float64]:
        """Return degrees north of each point (lat, lon)."""
        return self.samples.latitude()

    def longitude(self) -> NDArray[np.float64]:
        """Return degrees east of each point (lat, lon)."""
        return self.samples.longitude()

    def normalize_background(self, x: NDArray[Any] | Tensor) -> NDArray[np.float32]:
        """Return normalised input fields (..., channel, lat, lon) from physical units."""
        return normalised_fields(np.asarray(x), self._background)

    def denormalize_background(self, x: NDArray[Any] | Tensor) -> NDArray[np.float64]:
        """Return input fields (..., channel, lat, lon) in physical units."""
        return physical_fields(np.asarray(x), self._background)

    def normalize_state(self, x: NDArray[Any] | Tensor) -> NDArray[np.float32]:
        """Return normalised target fields (..., channel, lat, lon) from physical units."""
        return normalised_fields(np.asarray(x), self._state)

    def denormalize_state(self, x: NDArray[Any] | Tensor) -> NDArray[np.float64]:
        """Return target fields (..., channel, lat, lon) in physical units."""
        return physical_fields(np.asarray(x), self._state)
