"""A store as a dataset of physicsnemo, with the interface of its CorrDiff example (docs/physicsnemo.md).

Nothing of physicsnemo is imported: that interface is met by its methods, and no base class is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import cftime
import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from corrstore.datasets.errors import BadInput
from corrstore.datasets.store.layout import stored_normalisation
from corrstore.datasets.store.opening import open_store
from corrstore.datasets.variables.channels import Channel
from corrstore.datasets.variables.normalisation import Normalisation
from corrstore.training.patches.features import Features
from corrstore.training.patches.fixed import static_scales
from corrstore.training.patches.loader import Loader, split_order
from corrstore.training.patches.patches import Draw, PatchOrder
from corrstore.training.run_config import run_config


class ChannelMetadata(NamedTuple):
    """A channel: the variable's name, its pressure level in hPa or nothing, and whether it does not change in time."""

    name: str
    level: str = ""
    auxiliary: bool = False


class CorrDiffDataset(Dataset[tuple[Tensor, Tensor]]):
    """The valid samples of a split of a store, in the order of time, on the whole target grid.

    A sample is (img_clean, img_lr), both float32 and normalised: the target (output channel, lat, lon), and the
    condition (input channel, lat, lon), which is the input interpolated to the target grid and then the static fields.
    A pixel that is missing in the input is the channel's mean; one that is missing in the target is NaN.

    It travels to spawned workers as its arguments. Forked ones, which are physicsnemo's, must be there before the
    first sample is read; else BadInput. Raises BadInput where there is no store, no such split, or no valid sample.
    """

    _read_in: ClassVar[int | None] = None

    def __init__(self, store: str, split: str = "train") -> None:
        self.split = split
        self.store = open_store(store)
        whole = run_config("regression", changes={"patch": None})
        self.order = _InTurn(**vars(split_order(self.store, split, whole)))
        self.features = Features(self.store, static_scales(self.store))
        static = [stored_normalisation("identity", scale.mean, scale.std) for scale in self.features.scales]
        self._output_normalisations = self.store.plan.normalisations["target"]
        self._input_normalisations = [*self.store.plan.normalisations["input"], *static]

    def __reduce__(self) -> tuple[type[CorrDiffDataset], tuple[str, str]]:
        return CorrDiffDataset, (self.store.folder.url, self.split)

    def __len__(self) -> int:
        return len(self.order.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        position = range(len(self))[index]
        (batch,) = self._loader.batches([(position, position + 1)])
        condition = self.features.condition(batch.input, batch.patches)[0]
        return self.features.targets(batch.target)[0], condition

    def longitude(self) -> NDArray[np.float64]:
        """Return degrees east of each point (lat, lon)."""
        return np.broadcast_to(self.store.grid("target").lon, self.image_shape()).copy()

    def latitude(self) -> NDArray[np.float64]:
        """Return degrees north of each point (lat, lon)."""
        return np.broadcast_to(self.store.grid("target").lat[:, None], self.image_shape()).copy()

    def image_shape(self) -> tuple[int, int]:
        """Return height and width of the target grid, and so of all fields."""
        return self.store.grid("target").shape

    def time(self) -> list[cftime.DatetimeGregorian]:
        """Return the valid time of each sample, UTC."""
        seconds = self.store.times[self.order.samples].astype(np.int64)
        return list(cftime.num2date(seconds, "seconds since 1970-01-01", calendar="standard"))

    def input_channels(self) -> list[ChannelMetadata]:
        """Return the channels of img_lr; static ones are auxiliary."""
        static = [ChannelMetadata(scale.name, auxiliary=True) for scale in self.features.scales]
        return [*_described(self.store.plan.channels("input")), *static]

    def output_channels(self) -> list[ChannelMetadata]:
        """Return the channels of img_clean."""
        return _described(self.store.plan.channels("target"))

    def normalize_input(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Return normalised input fields (..., channel, lat, lon) from physical units."""
        return normalised_fields(x, self._input_normalisations)

    def denormalize_input(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Return input fields (..., channel, lat, lon) in physical units."""
        return physical_fields(x, self._input_normalisations)

    def normalize_output(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Return normalised target fields (..., channel, lat, lon) from physical units."""
        return normalised_fields(x, self._output_normalisations)

    def denormalize_output(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Return target fields (..., channel, lat, lon) in physical units: to the bit those of the statistics."""
        return physical_fields(x, self._output_normalisations)

    def info(self) -> dict[str, Any]:
        """Return the store of the samples, the number of samples skipped as not valid, and the channels' units."""
        return {
            "store": self.store.folder.url,
            "fingerprint": self.store.fingerprint,
            "split": self.split,
            "samples": len(self),
            "skipped": self.order.skipped,
            "output_units": [channel.variable.units for channel in self.store.plan.channels("target")],
        }

    @cached_property
    def _opened(self) -> Loader:
        return Loader(self.store, self.order, prefetch=0)

    @property
    def _loader(self) -> Loader:
        """The loader, made at the first read; raises BadInput, not a wait for ever, where a fork came after it."""
        if CorrDiffDataset._read_in not in (None, os.getpid()):
            raise BadInput(
                f"{self.store.folder.url} was read before this worker was forked, and reads cannot go on after a fork;"
                " give the DataLoader multiprocessing_context='spawn', or read no sample before its workers start"
            )
        CorrDiffDataset._read_in = os.getpid()
        return self._opened


class _InTurn(PatchOrder):
    """Each sample once, whole, in the order of time."""

    def draws(self, start: int, stop: int) -> list[Draw]:
        return [Draw(int(sample), self.domain) for sample in self.samples[start:stop]]


def _described(channels: Sequence[Channel]) -> list[ChannelMetadata]:
    return [ChannelMetadata(each.variable.name, "" if each.level is None else str(each.level)) for each in channels]


def normalised_fields(fields: NDArray[Any], normalisations: Sequence[Normalisation]) -> NDArray[np.float32]:
    """Return fields (..., channel, lat, lon) normalised, from physical units."""
    channels = zip(np.moveaxis(fields, -3, 0), normalisations, strict=True)
    done = [(each.transform.extended(field) - each.mean) / each.std for field, each in channels]
    return np.stack(done, axis=-3).astype(np.float32)


def physical_fields(fields: NDArray[Any], normalisations: Sequence[Normalisation]) -> NDArray[np.float64]:
    """Return normalised fields (..., channel, lat, lon) in physical units."""
    channels = zip(np.moveaxis(fields, -3, 0), normalisations, strict=True)
    return np.stack([each.decode(np.ascontiguousarray(field)) for field, each in channels], axis=-3)
