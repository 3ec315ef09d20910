"""The large scale at one time: hydrostatic heights, geostrophic winds, a front, moisture and the sun."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from corrstore.datasets.grids.fields import FieldArray
from corrstore.datasets.synthetic.domain import SyntheticDomain
from corrstore.datasets.synthetic.weather.land import gradient
from corrstore.datasets.synthetic.weather.noise import Redraw, Texture, Waves

GRAVITY = 9.80665
DRY_GAS_CONSTANT = 287.05
LAPSE_RATE = 0.0065
_EARTH_ROTATION = 7.292e-5
_POLYTROPE = DRY_GAS_CONSTANT * LAPSE_RATE / GRAVITY


@dataclass(frozen=True)
class Synoptic:
    """The large-scale flow of a seed at a time; every field is on the fine grid. `redraw` is of all its textures."""

    seed: int
    domain: SyntheticDomain
    time: np.datetime64
    redraw: Redraw | None = None

    def texture(
        self,
        name: str,
        shortest: float,
        longest: float,
        slope: float,
        drift: tuple[float, float] = (0.0, 0.0),
        lifetime: float = 24.0,
    ) -> Texture:
        """Return the texture of that name; the numbers are Texture's."""
        return Texture(self.seed, name, self.domain, shortest, longest, slope, drift, lifetime, self.redraw)

    def height(self, level: float) -> FieldArray:
        """Return the geopotential height in gpm of a pressure level in hPa."""
        mean = 110 + self._mean_temperature(1000) / LAPSE_RATE * (1 - (level / 1000) ** _POLYTROPE)
        trough = -8 * (level / 1000) ** 2 * self._toward_pole * np.exp(-((self._front_wave / 0.2) ** 2))
        return (mean + self._height_waves(level) + trough).astype(np.float32)

    def temperature(self, level: float) -> FieldArray:
        """Return the temperature in K: the mean polytrope, the thickness of the waves, and the air mass."""
        thicker, ratio = self._height_waves(level / 1.05) - self._height_waves(level * 1.05), 2 * np.log(1.05)
        waves = GRAVITY / DRY_GAS_CONSTANT / ratio * thicker
        air_mass = 3.5 * level / 1000 * np.tanh(self.front / 0.15)
        return (self._mean_temperature(level) + waves + air_mass).astype(np.float32)

    def wind(self, level: float) -> tuple[FieldArray, FieldArray]:
        """Return the geostrophic wind (u, v) in m s-1 at a level in hPa, Coriolis parameter as at 15 N or more."""
        latitude = np.radians(np.maximum(self.domain.fine.lat, 15))[:, None]
        per_slope = (GRAVITY / (2 * _EARTH_ROTATION * np.sin(latitude))).astype(np.float32)
        north, east = gradient(self.height(level), self.domain)
        return -per_slope * north, per_slope * east

    @cached_property
    def low_wind(self) -> tuple[FieldArray, FieldArray]:
        """The wind at 850 hPa, which meets the terrain."""
        return self.wind(850)

    @cached_property
    def front(self) -> FieldArray:
        """The distance to the front: positive in warm air, negative in cold air, about 1 at 400 km."""
        meander = self.texture("front meander", 40, 350, 3.0, drift=(38, 0), lifetime=18)
        return self._front_wave + np.float32(0.09) * meander.at(self.time)

    @cached_property
    def front_band(self) -> FieldArray:
        """The band of ascent on the front's warm side, 0 to 1."""
        return np.exp(-(((self.front - 0.1) / 0.2) ** 2))

    @cached_property
    def moisture(self) -> FieldArray:
        """Large-scale moisture, of mean 0 and variance 1."""
        return Waves(self.seed, "moisture", 350, 3500, 1.2, 34).on(self.domain.fine, self.time)

    @cached_property
    def cloud(self) -> FieldArray:
        """The cloud cover, 0 (clear) to 1 (overcast)."""
        return (0.3 + 0.25 * self.moisture + 0.7 * self.front_band).clip(0, 1)

    @cached_property
    def warmth_of_day(self) -> FieldArray:
        """The daily cycle, -1 to 1, highest at half past two in the afternoon, local solar time; one row."""
        midnight = self.time.astype("datetime64[D]")
        solar_hour = (self.time - midnight) / np.timedelta64(3600, "s") + self.domain.fine.lon / 15
        return np.cos(2 * np.pi * (solar_hour - 14.5) / 24).astype(np.float32)[None, :]

    @cached_property
    def summer(self) -> float:
        """The yearly cycle, -1 in mid January to 1 in mid July."""
        day = (self.time - self.time.astype("datetime64[Y]")) / np.timedelta64(86400, "s")
        return float(np.cos(2 * np.pi * (day - 197) / 365.25))

    @cached_property
    def _front_wave(self) -> FieldArray:
        return Waves(self.seed, "front", 600, 4000, 1.3, 42).on(self.domain.fine, self.time)

    @cached_property
    def _toward_pole(self) -> FieldArray:
        """The strength of weather systems: small in the tropics, 1 at 50 N; one column."""
        return (1.3 * np.sin(np.radians(np.maximum(self.domain.fine.lat, 5)))).astype(np.float32)[:, None]

    def _height_waves(self, level: float) -> FieldArray:
        """Return the height waves, which grow with height and latitude and lean to the west (baroclinic waves)."""
        amplitude, west_km = 40 + 90 * (1 - level / 1000), 600 * (1 - level / 1000)
        waves = Waves(self.seed, "height", 700, 6000, 2.0, 65).on(self.domain.fine, self.time, west_km)
        return np.float32(amplitude) * self._toward_pole * waves

    def _mean_temperature(self, level: float) -> FieldArray:
        from_tropics = np.maximum(self.domain.fine.lat - 12, 0)[:, None] ** 1.5
        at_1000 = 299 + 2.5 * self.summer - (0.0775 - 0.0425 * self.summer) * from_tropics
        return at_1000 * (level / 1000) ** _POLYTROPE
