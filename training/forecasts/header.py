"""The header of a forecast: its parts, and their CF description."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from corrstore.datasets.grids.grid import grid_from_dict
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.recipe.periods import Times, parse_time
from corrstore.datasets.recipe.sample_axes import NO_RUN, sample_key

Format = Literal["zarr", "netcdf"]
_OF_AXIS = {
    "time": {"standard_name": "time", "axis": "T"},
    "init_time": {"standard_name": "forecast_reference_time", "axis": "T"},
    "lead_time": {"standard_name": "forecast_period"},
    "realization": {"standard_name": "realization", "units": "1"},
    "lat": {"standard_name": "latitude", "units": "degrees_north", "axis": "Y"},
    "lon": {"standard_name": "longitude", "units": "degrees_east", "axis": "X"},
}
"""The CF attributes of the coordinates."""


class Part(NamedTuple):
    """The unit of work of a forecast: all channels at one time of one member, or of the regression's mean (None).

    `time` is the position among the forecast's times.
    """

    time: int
    member: int | None


def variable_name(channel: str, part: Part) -> str:
    """Return the channel's variable: the channel's name in the members, `t2m_regression` in the regression's mean."""
    return f"{channel}_regression" if part.member is None else channel


@dataclass(frozen=True)
class Header:
    """The header of a forecast, JSON-able: a valid time for each sample and, of runs, the init time beside it.

    `settings` are the sampler's, `channels` the CF attributes by channel, `lineage` what the numbers were made of.
    """

    title: str
    format: Format
    times: list[str]
    members: int
    grid: dict[str, Any]
    channels: dict[str, dict[str, Any]]
    settings: dict[str, Any]
    inits: list[str] = field(default_factory=list)
    lineage: dict[str, str] = field(default_factory=dict)

    @cached_property
    def valid_times(self) -> Times:
        """The valid time of each sample."""
        return np.array([parse_time(time) for time in self.times])

    @cached_property
    def init_times(self) -> Times:
        """The init time of each sample; NaT everywhere where the samples are not of runs."""
        if not self.inits:
            return np.full(len(self.times), NO_RUN)
        return np.array([parse_time(time) for time in self.inits])

    @cached_property
    def axes(self) -> dict[str, NDArray[Any]]:
        """The coordinates of the samples: `time`, or `init_time` and `lead_time`, ascending."""
        if not self.inits:
            return {"time": self.valid_times}
        return {"init_time": np.unique(self.init_times), "lead_time": np.unique(self.valid_times - self.init_times)}

    def place(self, part: Part) -> tuple[int, ...]:
        """Return the index of a part in its variables."""
        init, valid = self.init_times[part.time], self.valid_times[part.time]
        values = [init, valid - init] if self.inits else [valid]
        place = [int(np.searchsorted(axis, value)) for axis, value in zip(self.axes.values(), values, strict=True)]
        return (*place, *([] if part.member is None else [part.member]))

    def name(self, part: Part) -> str:
        """Return the part's name in file names: 20200602T1500_000 or, of a run, 20200602T1200_003h00_000."""
        member = "regression" if part.member is None else f"{part.member:03d}"
        return f"{sample_key(self.valid_times[part.time], self.init_times[part.time])}_{member}"

    @cached_property
    def target_grid(self) -> RectilinearGrid:
        """The grid of the fields."""
        grid = grid_from_dict(self.grid)
        assert isinstance(grid, RectilinearGrid)
        return grid

    @property
    def parts(self) -> list[Part]:
        """All the parts, time by time."""
        return [Part(time, member) for time in range(len(self.times)) for member in (None, *range(self.members))]

    def dataset(self, part: Part, fields: Iterable[Any], whole: bool = False) -> xr.Dataset:
        """Return the fields of every channel of this part, or of the `whole` variables, with CF attributes."""
        sizes = [len(axis) for axis in self.axes.values()]
        members = np.arange(self.members, dtype=np.int32)
        place = [slice(None)] * (len(sizes) + 1) if whole else [slice(each, each + 1) for each in self.place(part)]
        coordinates: dict[str, Any] = {
            name: (name, axis[at], _OF_AXIS[name]) for (name, axis), at in zip(self.axes.items(), place, strict=False)
        }
        if part.member is not None:
            coordinates["realization"] = ("realization", members[place[-1]], _OF_AXIS["realization"])
        coordinates["lat"] = ("lat", self.target_grid.lat, _OF_AXIS["lat"])
        coordinates["lon"] = ("lon", self.target_grid.lon, _OF_AXIS["lon"])
        variables = {
            variable_name(channel, part): (tuple(coordinates), field, attributes)
            for (channel, attributes), field in zip(self.channels.items(), fields, strict=True)
        }
        if self.inits:
            valid_times = coordinates["init_time"][1][:, np.newaxis] + coordinates["lead_time"][1]
            coordinates["valid_time"] = (("init_time", "lead_time"), valid_times, {"standard_name": "time"})
        made_of = {f"corrstore_{key}": str(value) for key, value in (self.settings | self.lineage).items()}
        return xr.Dataset(variables, coordinates, {"Conventions": "CF-1.11", "title": self.title, **made_of})

    @property
    def content(self) -> dict[str, Any]:
        """The header as JSON content."""
        return json.loads(json.dumps(asdict(self)))
