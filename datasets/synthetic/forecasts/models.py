"""One run of one model: its fields at each lead, on the model's own grid, with its own error."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from corrstore.datasets.grids.fields import FieldArray
from corrstore.datasets.synthetic.domain import MicrodegreeGrid, SyntheticDomain
from corrstore.datasets.synthetic.forecasts.errors import FORECAST_ERRORS
from corrstore.datasets.synthetic.forecasts.spec import ForecastSpec
from corrstore.datasets.synthetic.forecasts.truth import truth_at, weather_of


@dataclass
class ModelRun:
    """A run of `model`; its leads are asked in ascending order, because its rain is summed from the start.

    CMA-MESO is on the points of the fine archive, SFF on those of ERA5, CMA-GFS half a cell off them in latitude.
    """

    spec: ForecastSpec
    model: str
    init_time: np.datetime64
    stream: str = ""
    total: FieldArray | None = field(default=None, init=False)

    @property
    def grid(self) -> MicrodegreeGrid:
        """The model's grid."""
        domain = self._domain
        if self.model == "cma_gfs":
            return domain.half_cell_grid(round(self.spec.gfs_step * 1e6))
        return domain.window if self.model == "cma_meso" else domain.coarse

    def fields(self, lead: np.timedelta64) -> dict[str, FieldArray]:
        """Return the fields at that lead by channel, and `rain`, the run's total in kg m-2."""
        valid_time = self.init_time + lead
        truth = truth_at(self.spec.archive, valid_time, self.spec.interval)
        on_grid = {name: self.on_grid(fine) for name, fine in truth.items()}
        seed, error = self.spec.archive.seed, FORECAST_ERRORS[self.model]
        made = error.forecast(on_grid, self.grid, seed, self.init_time, lead, self.stream)
        self.total = made["tp"] if self.total is None else self.total + made["tp"]
        return {**made, "rain": self.total}

    def invariants(self) -> dict[str, FieldArray]:
        """Return the terrain height in m and the share of land."""
        land = weather_of(self.spec.archive).land
        return {"orog": self.on_grid(land.height), "lsm": self.on_grid(land.land_mask).clip(0, 1)}

    def on_grid(self, fine: FieldArray) -> FieldArray:
        """Return a field on the model's grid: the points themselves, or the mean over the box around each."""
        return self._domain.crop(fine) if self.model == "cma_meso" else self._domain.box_mean(fine, self.grid)

    @property
    def _domain(self) -> SyntheticDomain:
        return weather_of(self.spec.archive).domain
