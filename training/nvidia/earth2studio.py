"""A trained run as a diagnostic model of NVIDIA's earth2studio, by its protocol (docs/physicsnemo.md).

Nothing of earth2studio is imported: the protocol is met by its methods, and no base class is asked for.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.parts import StoredRole
from corrstore.datasets.store.opening import open_store
from corrstore.datasets.variables.channels import Channel
from corrstore.training.diffusion.noise import Innovation, member_key
from corrstore.training.diffusion.sampler import SamplerConfig
from corrstore.training.forecasts.forecast import ConditionedTime, ForecastSampler
from corrstore.training.forecasts.settings import SamplingSettings, sampled_levels, tile_overlap, tile_size
from corrstore.training.learning.checkpoint import load_checkpoint

Coordinates = OrderedDict[str, NDArray[Any]]

_DIMENSIONS = ("variable", "lat", "lon")
_THEIR_UNITS = {"tp": 1e-3, "tcc": 1e-2}
"""The factors to the units of earth2studio's lexicon, where they are not ours: m of water, and shares of 1."""


class CorrDiffDiagnostic:
    """A run as a diagnostic model: a coarse input in physical units becomes an ensemble on the target grid.

    `store` has the grids and static fields: the one that the run was trained on, or one built `like` it. `members` are
    drawn of each input, 0: the regression's mean alone, as the one sample. Steps and tiles are those of
    `corrstore sample`.
    Raises BadInput, a ValueError, where run and store do not fit, and for members of a regression.
    """

    def __init__(
        self,
        store: str,
        checkpoint: str | Path,
        members: int = 1,
        steps: int | None = None,
        seed: int = 0,
        tile: tuple[int, int] | None = None,
        overlap: int | None = None,
        batch: int = 4,
    ) -> None:
        self.store, self.checkpoint, self.seed = open_store(store), checkpoint, seed
        trained = load_checkpoint(checkpoint, self.store)
        sides = tile_size(trained, tile)
        config = SamplerConfig.over(sampled_levels(trained), steps)
        self.sampling = SamplingSettings(members, sides, tile_overlap(sides, overlap), batch, seed, config)
        self.sampler = ForecastSampler(trained, self.store, np.empty(0, np.int64), self.sampling)

    def to(self, device: torch.device | str) -> CorrDiffDiagnostic:
        """Move the model to the device; returns the model."""
        trained = load_checkpoint(self.checkpoint, self.store, device)
        self.sampler = ForecastSampler(trained, self.store, np.empty(0, np.int64), self.sampling)
        return self

    def input_coords(self) -> Coordinates:
        """Return the coordinates of the input: batch (empty: any), variable, lat, lon (degrees east, from 0 to 360)."""
        return OrderedDict(batch=np.empty(0), **self._fields("input"))

    def output_coords(self, input_coords: Coordinates) -> Coordinates:
        """Return the coordinates of the output: those before `variable`, then sample, variable, lat, lon.

        Raises BadInput, a ValueError, where variable, lat and lon are not the last three, or not those of the input.
        """
        leading = list(input_coords)[:-3]
        if tuple(input_coords)[-3:] != _DIMENSIONS:
            raise BadInput(f"coordinates must end with {', '.join(_DIMENSIONS)}, not {', '.join(input_coords)}")
        for name, wanted in self._fields("input").items():
            found = np.asarray(input_coords[name])
            if found.shape != wanted.shape or not np.array_equal(found, wanted):
                raise BadInput(
                    f"coordinate {name} must be that of {self.store.folder.url}, {_shown(wanted)}, not {_shown(found)}"
                )
        samples = {"sample": np.arange(max(1, self.sampling.members))}
        return OrderedDict(**{name: input_coords[name] for name in leading}, **samples, **self._fields("target"))

    def __call__(self, x: Tensor, coords: Coordinates) -> tuple[Tensor, Coordinates]:
        """Return fields (..., sample, variable, lat, lon) in physical units, and their coordinates.

        x is (..., variable, lat, lon), a missing pixel NaN. The noise of a sample is a function of the seed, the valid
        time that `time` and `lead_time` give, and the sample's number; inputs of one valid time, such as members of
        `ensemble`, have noise of their own, and so have those without a time, by their position.
        """
        found = self.output_coords(coords)
        shape, seen = x.shape[:-3], Counter[np.datetime64]()
        units = torch.tensor(self._units("input"), device=self.device)[:, None, None]
        drawn: list[NDArray[np.float32]] = []
        for fields, time in zip(x.to(self.device).flatten(0, -4), _valid_times(coords, shape), strict=True):
            drawn += self._drawn(fields / units, time, seen[time])
            seen[time] += 1
        answer = torch.from_numpy(np.stack(drawn)).to(self.device)
        answer *= torch.tensor(self._units("target"), device=self.device)[:, None, None]
        return answer.reshape(*shape, *(len(found[name]) for name in ("sample", *_DIMENSIONS))), found

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        return self.sampler.trained.features.device

    def _drawn(self, fields: Tensor, time: np.datetime64, place: int) -> list[NDArray[np.float32]]:
        """The samples of one input in physical units, the one at this place among those of one valid time."""
        features, count = self.sampler.trained.features, self.sampling.members
        stored = features.input_conversion.encode(fields[None].to(torch.float32))[0]
        conditioned = ConditionedTime.of_input(self.sampler, stored)
        if not count:
            return [self.sampler.physical(conditioned.prediction.mean, f"{time}")]
        keys = [member_key(time, place * count + number, self.seed) for number in range(count)]
        return [self.sampler.physical(conditioned.member([Innovation(key, 1.0)]), f"{time}") for key in keys]

    def _fields(self, role: StoredRole) -> dict[str, NDArray[Any]]:
        grid = self.store.grid(role)
        names = np.array([_their_name(channel) for channel in self._channels(role)])
        return {"variable": names, "lat": grid.lat.copy(), "lon": np.mod(grid.lon, 360)}

    def _units(self, role: StoredRole) -> list[float]:
        return [_THEIR_UNITS.get(channel.variable.name, 1.0) for channel in self._channels(role)]

    def _channels(self, role: StoredRole) -> Sequence[Channel]:
        features, recipe = self.sampler.trained.features, self.store.recipe
        return [recipe.channel(name) for name in (features.input_names if role == "input" else features.target_names)]


def _their_name(channel: Channel) -> str:
    """The name in earth2studio's lexicon: t2m, z500."""
    return channel.variable.name + ("" if channel.level is None else str(channel.level))


def _valid_times(coords: Coordinates, shape: Sequence[int]) -> NDArray[np.datetime64]:
    """The valid time of each input: the sum of what the dimensions time and lead_time have, flattened."""
    seconds = np.zeros(shape, np.int64)
    for axis, (name, values) in enumerate(list(coords.items())[: len(shape)]):
        if name in ("time", "lead_time"):
            kind = "datetime64[s]" if name == "time" else "timedelta64[s]"
            seconds += np.asarray(values).astype(kind).astype(np.int64).reshape(-1, *[1] * (len(shape) - axis - 1))
    return seconds.ravel().astype("datetime64[s]")


def _shown(values: NDArray[Any]) -> str:
    return str(values) if values.size < 9 else f"{values.size} from {values.flat[0]} to {values.flat[-1]}"
