"""The synthetic truth: fields on the fine grid, each a function of the seed, the grid and the time alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from corrstore.datasets.grids.fields import FieldArray
from corrstore.datasets.synthetic.domain import SyntheticDomain
from corrstore.datasets.synthetic.weather.land import Land, land_of
from corrstore.datasets.synthetic.weather.noise import Redraw
from corrstore.datasets.synthetic.weather.rain import rain_rate, reflectivity
from corrstore.datasets.synthetic.weather.surface import surface_fields
from corrstore.datasets.synthetic.weather.synoptic import Synoptic
from corrstore.datasets.synthetic.weather.upper_air import level_fields

_SNAPSHOTS = 3


@dataclass(frozen=True)
class Moment:
    """The weather at one time."""

    synoptic: Synoptic
    land: Land

    @cached_property
    def rate(self) -> FieldArray:
        """Rain in kg m-2 per hour."""
        return rain_rate(self.synoptic, self.land)

    def surface(self) -> dict[str, FieldArray]:
        """Return the fields near the ground, named as by `surface_fields`."""
        return surface_fields(self.synoptic, self.land, self.rate)

    def on_level(self, level: int) -> dict[str, FieldArray]:
        """Return z, t, u, v and q on a pressure level in hPa."""
        return level_fields(self.synoptic, self.land, self.rate, level)

    def reflectivity_of(self, rate: FieldArray) -> FieldArray:
        """Return the composite reflectivity in dBZ of rain in kg m-2 per hour, with the drops of this moment."""
        return reflectivity(rate, self.synoptic)


@dataclass(frozen=True)
class Weather:
    """The weather of a seed on a domain, or with `redraw` another draw of its law."""

    seed: int
    domain: SyntheticDomain
    redraw: Redraw | None = None

    @cached_property
    def land(self) -> Land:
        """The land of the seed, the same for every time."""
        return land_of(self.seed, self.domain)

    def at(self, time: np.datetime64) -> Moment:
        """Return the weather at that time."""
        return Moment(Synoptic(self.seed, self.domain, time, self.redraw), self.land)

    def rain_over_hour(self, end: np.datetime64) -> tuple[FieldArray, FieldArray]:
        """Return the rain in kg m-2 over the hour up to `end`, from three midpoints, and its highest hourly rate."""
        part = np.timedelta64(3600 // _SNAPSHOTS, "s")
        rates = [self.at(end - part * n - part // 2).rate for n in reversed(range(_SNAPSHOTS))]
        amount, peak = rates[0].copy(), rates[0].copy()
        for rate in rates[1:]:
            amount += rate
            np.maximum(peak, rate, out=peak)
        return amount / np.float32(_SNAPSHOTS), peak
