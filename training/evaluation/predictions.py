"""The scored fields: a forecast's members, its regression and plain interpolation, and the truth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corrstore.datasets.errors import BadInput
from corrstore.datasets.grids.fields import FieldArray
from corrstore.datasets.grids.regrid import regridder
from corrstore.datasets.recipe.parts import StoredRole
from corrstore.datasets.recipe.periods import format_time
from corrstore.datasets.store.opening import Store
from corrstore.datasets.variables.channels import Channel
from corrstore.training.forecasts.files import Forecast
from corrstore.training.forecasts.header import Part

INTERPOLATION, REGRESSION, MEAN, ENSEMBLE = "interpolation", "regression", "CorrDiff mean", "CorrDiff ensemble"
PREDICTORS = (INTERPOLATION, REGRESSION, MEAN, ENSEMBLE)


@dataclass(frozen=True)
class ScoredSample:
    """A time of a forecast, by its position, and the store's sample of that time."""

    store: Store
    forecast: Forecast
    time: int

    def truth(self, channel: Channel) -> FieldArray:
        """Return the target (lat, lon) in physical units."""
        return self._decoded("target", channel)

    def predictions(self, channel: Channel) -> dict[str, FieldArray]:
        """Return the fields (member, lat, lon) of each predictor of the channel, in physical units.

        Interpolation is bilinear, of the input's physical numbers; what the input lacks has none.
        """
        found = {}
        if channel.name in self.store.recipe.channel_names("input"):
            upsample = regridder(self.store.grid("input"), self.store.grid("target"), "bilinear")
            found[INTERPOLATION] = upsample(self._decoded("input", channel))[None]
        found[REGRESSION] = self.forecast.read(Part(self.time, None), channel.name)[None]
        if members := self.forecast.header.members:
            ensemble = np.stack([self.forecast.read(Part(self.time, each), channel.name) for each in range(members)])
            found[MEAN] = ensemble.mean(axis=0, dtype=np.float64).astype(np.float32)[None]
            found[ENSEMBLE] = ensemble
        return found

    def _decoded(self, role: StoredRole, channel: Channel) -> FieldArray:
        position = self.store.plan.channels(role).index(channel)
        return self.store.plan.normalisations[role][position].decode_float32(self._stored[role][position])

    @cached_property
    def _stored(self) -> dict[StoredRole, NDArray[Any]]:
        return {role: self.store.stored(role, self._index) for role in ("input", "target")}

    @property
    def _index(self) -> int:
        valid_time = self.forecast.header.valid_times[self.time]
        found = np.flatnonzero(self.store.times == valid_time)
        if not found.size:
            raise BadInput(f"{self.store.folder.url} has no sample at {format_time(valid_time)}")
        return int(found[0])
