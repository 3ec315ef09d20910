"""The header of a forecast: its parts, and their CF description."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import xarray as xr

from corrstore.datasets.grids.grid import grid_from_dict
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.recipe.periods import Times, parse_time

Format = Literal["zarr", "netcdf"]


class Part(NamedTuple):
    """The unit of work of a forecast: all channels at one time of one member, or of the regression's mean (None).

    `time` is the position among the forecast's times.
    """

    time: int
    member: int | None

    @property
    def place(self) -> tuple[int, ...]:
        """The index of the part in its variables."""
        return (self.time,) if self.member is None else (self.time, self.member)


def variable_name(channel: str, part: Part) -> str:
    """Return the channel's variable: the channel's name in the members, `t2m_regression` in the regression's mean."""
    return f"{channel}_regression" if part.member is None else channel


@dataclass(frozen=True)
class Header:
    """The header of a forecast, JSON-able. `settings` are the sampler's, `channels` the CF attributes by channel."""

    title: str
    format: Format
    times: list[str]
    members: int
    grid: dict[str, Any]
    channels: dict[str, dict[str, Any]]
    settings: dict[str, Any]

    @property
    def valid_times(self) -> Times:
        """The times."""
        return np.array([parse_time(time) for time in self.times])

    @property
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
        times, members = self.valid_times, np.arange(self.members, dtype=np.int32)
        if not whole:
            times, members = times[part.time :][:1], members[part.member :][:1]
        coordinates: dict[str, Any] = {
            "time": ("time", times, {"standard_name": "time", "axis": "T"}),
            "realization": ("realization", members, {"standard_name": "realization", "units": "1"}),
            "lat": ("lat", self.target_grid.lat, {"standard_name": "latitude", "units": "degrees_north", "axis": "Y"}),
            "lon": ("lon", self.target_grid.lon, {"standard_name": "longitude", "units": "degrees_east", "axis": "X"}),
        }
        if part.member is None:
            del coordinates["realization"]
        variables = {
            variable_name(channel, part): (tuple(coordinates), field, attributes)
            for (channel, attributes), field in zip(self.channels.items(), fields, strict=True)
        }
        settings = {f"corrstore_{key}": str(value) for key, value in self.settings.items()}
        return xr.Dataset(variables, coordinates, {"Conventions": "CF-1.11", "title": self.title, **settings})

    @property
    def content(self) -> dict[str, Any]:
        """The header as JSON content."""
        return json.loads(json.dumps(vars(self)))
