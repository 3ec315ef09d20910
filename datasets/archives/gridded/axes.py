"""The axes of a NetCDF file or Zarr group: the names it gives them, and the times that they state."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from corrstore.datasets.archives.table import Dimensions
from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.periods import Interval, Times
from corrstore.datasets.variables.units import conversion, is_stated

_SECONDS = {
    **{"nanosecond": 1e-9, "second": 1, "sec": 1, "s": 1, "minute": 60, "min": 60},
    **{"hour": 3600, "hr": 3600, "h": 3600, "day": 86400, "d": 86400},
}
"""The seconds of the units of time, without the s of their plural."""
_CALENDARS = ("standard", "gregorian", "proleptic_gregorian")
_STANDARD_NAMES = {
    **{"latitude": "lat", "longitude": "lon", "air_pressure": "level", "time": "time", "realization": "member"},
    **{"forecast_reference_time": "init", "forecast_period": "lead"},
}
_UNITS = {
    **dict.fromkeys(("degrees_north", "degree_north", "degree_N", "degrees_N", "degreeN", "degreesN"), "lat"),
    **dict.fromkeys(("degrees_east", "degree_east", "degree_E", "degrees_E", "degreeE", "degreesE"), "lon"),
}
"""The axes that the CF conventions (chapter 4) tell by standard names, and by units."""
_MOST_PRESSURE = 1100.0  # hPa
_NO_PRESSURE = re.compile(r"model|hybrid|sigma|\beta\b|height|depth|altitude|temperature|theta|isentrop", re.IGNORECASE)
"""The words in the names of vertical coordinates, some without units, that are no pressures."""
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
        """Return the dataset's name of an axis: of the table's names, or as the CF conventions tell it; else None."""
        held = {*self.dataset.variables, *self.dataset.dims}
        return next((name for name in getattr(self.names, axis) if name in held), self._by_convention.get(axis))

    def unnamed(self, variable: str) -> dict[str, int]:
        """Return the sizes of a variable's dimensions of several positions, but for the table's axes in time and up."""
        names = [self.name(axis) for axis in ("level", "time", "init", "lead", "member", "expver")]
        named = {str(each) for name in names if name in self.dataset.variables for each in self.dataset[name].dims}
        sizes = self.dataset[variable].sizes
        return {str(each): size for each, size in sizes.items() if size > 1 and str(each) not in {*names, *named}}

    def missing_times(self) -> str:
        """Return where the times along a dimension have no value, in words; nothing where all have one."""
        said = []
        for name in dict.fromkeys(self.name(axis) for axis in ("time", "init", "lead")):
            if name is not None and self.dataset[name].ndim == 1:
                lost = np.flatnonzero(self.dataset[name].isnull())
                if len(lost):
                    others = f", nor have {len(lost) - 1} others" if len(lost) > 1 else ""
                    said.append(f"{name}[{lost[0]}] of 0 to {self.dataset.sizes[name] - 1} has no value{others}")
        return "; ".join(said)

    @cached_property
    def _by_convention(self) -> dict[str, str]:
        """The coordinates that state what they are, by axis; of several, the first."""
        found: dict[str, str] = {}
        for name, variable in self.dataset.coords.items():
            attributes = {**variable.encoding, **variable.attrs}
            units = str(attributes.get("units", ""))
            axis = _STANDARD_NAMES.get(str(attributes.get("standard_name"))) or _UNITS.get(units)
            if axis is None and variable.ndim == 1 and conversion(units, "Pa") is not None:
                axis = "level"
            if axis is not None:
                found.setdefault(axis, str(name))
        return found

    def pressures(self) -> NDArray[np.float64] | None:
        """Return the levels in hPa. Where they state no units, they are in hPa, or in Pa if air has no such pressure.

        None where they state another quantity, and where they are the numbers of a model's levels: by their name, or
        because three and more whole numbers follow one another.
        """
        level = self.dataset[self.name("level")]
        values = np.atleast_1d(level.values)
        if values.dtype.kind not in "iuf":
            return None
        units = level.attrs.get("units")
        to_pascal = conversion(str(units), "Pa") if is_stated(units) else None
        named = " ".join(str(level.attrs.get(key, "")) for key in ("standard_name", "long_name"))
        is_counted = len(values) > 2 and bool((np.abs(np.diff(values)) == 1).all())
        if to_pascal is None and (is_stated(units) or is_counted or _NO_PRESSURE.search(named)):
            return None
        if to_pascal is None:
            to_pascal = (1.0 if np.nanmax(values) > _MOST_PRESSURE else 100.0, 0.0)
        return values.astype(np.float64) * (to_pascal[0] / 100)

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
        calendar = str(coordinate.encoding.get("calendar", "standard")).lower()
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
        return (coordinate + np.timedelta64(500, "ms")).astype("M8[s]")  # days in fractions are a little off

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
