"""The axes of a NetCDF file or Zarr group: the names it gives them, and the times that they state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from corrstore.datasets.archives.table import Dimensions
from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.periods import Interval, Times

_SECONDS = {
    **{"nanosecond": 1e-9, "second": 1, "sec": 1, "s": 1, "minute": 60, "min": 60},
    **{"hour": 3600, "hr": 3600, "h": 3600, "day": 86400, "d": 86400},
}
"""The seconds of the units of time, without the s of their plural."""
_CALENDARS = ("standard", "gregorian", "proleptic_gregorian")
_NEVER = xr.Variable((), np.datetime64("NaT", "s"))


class UnknownLayout(BadInput):
    """The axes of a file are not what the source's table says; the text has the line to write."""


@dataclass(frozen=True)
class Moments:
    """The moments of a variable in a period: valid time, run (NaT where there is none) and position by dimension."""

    valid_time: Times
    init_time: Times
    positions: dict[str, list[int]]
    every_lead: NDArray[np.timedelta64]
    """The leads of all the variable's moments, NaT where there is no run."""

    def leads_before(self) -> Times:
        """Return the valid time of the lead before in each one's run, NaT where it is not known.

        That of the first lead is the start of the run, if it is as far from it as from the second. Raises
        UnknownLayout where the file holds one lead alone.
        """
        steps = np.unique(self.every_lead[~np.isnat(self.every_lead)])
        if len(steps) < 2:
            raise UnknownLayout(
                "the window since the lead before is not known where a file holds one lead alone;"
                " write in the source's table accumulates: 6h, the length of the window"
            )
        first = np.timedelta64(0 if 2 * steps[0] == steps[1] else "NaT", "s")
        earlier = np.concatenate([[first], steps[:-1]])
        return self.init_time + earlier[np.searchsorted(steps, self.valid_time - self.init_time)]


@dataclass(frozen=True)
class Axes:
    """A dataset, and the names that its axes may have."""

    dataset: xr.Dataset
    names: Dimensions

    def name(self, axis: str) -> str | None:
        """Return the dataset's name of an axis; None where it has none of the table's names."""
        held = {*self.dataset.variables, *self.dataset.dims}
        return next((name for name in getattr(self.names, axis) if name in held), None)

    @property
    def plane(self) -> tuple[str, ...]:
        """The dimensions of a slice: latitude and longitude, or those that two-dimensional ones or points have.

        Raises BadInput where there are no latitudes and longitudes.
        """
        lat, lon = self.name("lat"), self.name("lon")
        if lat is None or lon is None:
            raise BadInput(f"no latitude and longitude among {', '.join(map(str, self.dataset.variables))}")
        along_lat, along_lon = (self.space(name).dims for name in (lat, lon))
        if len(along_lat) == 1 and len(along_lon) == 1 and along_lat != along_lon:
            return str(along_lat[0]), str(along_lon[0])
        if along_lat != along_lon or len(along_lat) not in (1, 2):
            raise BadInput(f"{lat} has the dimensions {along_lat} and {lon} {along_lon}, expected one or two, the same")
        return tuple(map(str, along_lat))

    def space(self, name: str) -> xr.Variable:
        """Return a coordinate in space in degrees; of one that has a time too, as WRF's, that of the first time."""
        coordinate = self.dataset[name].variable
        if len(coordinate.dims) == 3:
            coordinate = coordinate[0]
        in_radians = str(coordinate.attrs.get("units", "")).startswith("radian")
        return coordinate.copy(data=np.rad2deg(coordinate.values)) if in_radians else coordinate

    def is_on(self, variable: str, axis: str, longer_than: int = 0) -> bool:
        """Return whether the variable has that axis as a dimension of more than so many positions."""
        name = self.name(axis)
        return name in self.dataset[variable].dims and self.dataset.sizes[name] > longer_than

    def moments(self, variable: str, period: Interval, whole: bool) -> Moments:
        """Return the moments of the variable at valid times in the period, or all of them.

        The run is the init of the file. The valid time is init + lead, or the file's own time where the variable has
        that as a dimension or the file has no lead. Only these coordinates are read. Raises UnknownLayout where one of
        init and lead is there and the other is not.
        """
        init, time = self._init(variable), self._coordinate(variable, "time")
        lead = self._lead(variable) if init is not None or self.is_on(variable, "lead") else None
        has_time = time is not None and self.name("time") != self.name("init") and not self.is_on(variable, "lead")
        if time is not None and has_time and (lead is None or self.is_on(variable, "time")):
            valid = self._as_times(time, "time")
        elif init is not None and lead is not None:
            valid = init + lead
        elif whole or (init is None and lead is None):
            valid = _NEVER
        else:
            axis, other = ("lead", "init") if init is None else ("init", "lead")
            raise UnknownLayout(
                f"variable {variable} has the {axis} {self.name(axis)} and no {other}"
                f" ({', '.join(getattr(self.names, other))}); write in the source's table dims: {{{other}: NAME}}"
            )
        moments, run = xr.broadcast(xr.DataArray(valid), xr.DataArray(_NEVER if init is None else init))
        runs = run.values.astype("M8[s]").ravel()
        times = moments.values.astype("M8[s]").ravel()
        kept = np.flatnonzero(period.mask(times) | whole)
        places = np.unravel_index(kept, moments.shape) if moments.dims else ()
        positions = {str(each): place.tolist() for each, place in zip(moments.dims, places, strict=True)}
        return Moments(times[kept], runs[kept], positions, times - runs)

    def _coordinate(self, variable: str, axis: str) -> xr.Variable | None:
        """Return the coordinate of that axis where the variable has its dimensions."""
        name = self.name(axis)
        if name is None or not set(self.dataset[name].dims) <= set(self.dataset[variable].dims):
            return None
        return self.dataset[name].variable

    def _init(self, variable: str) -> xr.Variable | None:
        coordinate = self._coordinate(variable, "init")
        if coordinate is not None:
            return self._as_times(coordinate, "init")
        stated = next((self.dataset.attrs[name] for name in self.names.init if name in self.dataset.attrs), None)
        if stated is None:
            return None
        try:
            return xr.Variable((), np.datetime64(str(stated).removesuffix("Z").replace(" ", "T"), "s"))
        except ValueError:
            raise UnknownLayout(f"the init of the file, {stated!r}, is no time such as 2020-06-01T00:00") from None

    def _as_times(self, coordinate: xr.Variable, axis: str) -> xr.Variable:
        calendar = coordinate.encoding.get("calendar", "standard")
        if calendar not in _CALENDARS:
            raise UnknownLayout(
                f"{self.name(axis)} has the calendar {calendar}, which has other days than the world's; bring the file"
                " to the standard calendar first, as with `cdo setcalendar,standard IN OUT` where no day is made up"
            )
        if coordinate.dtype.kind != "M":
            raise UnknownLayout(
                f"{self.name(axis)} holds no times (its units are {coordinate.attrs.get('units', 'not stated')});"
                f" write in the source's table dims: {{{axis}: NAME}}, the name of what holds them"
            )
        return coordinate.astype("M8[s]")

    def _lead(self, variable: str) -> xr.Variable | None:
        """Return the leads as timedelta64, converted from the units that the file states, or else the table."""
        lead = self._coordinate(variable, "lead")
        if lead is None or lead.dtype.kind == "m":
            return lead
        stated = lead.attrs.get("units")
        for units in (stated, self.names.lead_units):
            seconds = _SECONDS.get(str(units).lower().removesuffix("s") or "s")
            if seconds is not None:
                return xr.Variable(lead.dims, np.round(lead.values * seconds).astype("m8[s]"))
        raise UnknownLayout(
            f"the lead {self.name('lead')} has {f'the units {stated!r}, which are no time' if stated else 'no units'};"
            " write in the source's table dims: {lead_units: hours}, or seconds, minutes, days"
        )
