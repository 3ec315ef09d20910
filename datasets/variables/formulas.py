"""Formulas that make one physical quantity from others, on whole fields and in SI units.

Each takes arrays of one shape, or a number in place of an array, and returns float64 of that shape; NaN stays NaN.
Relative humidity is in percent; humidity is over water at every temperature. Dew points differ from those of the IFS
(documentation Cy47r1, part IV, equation 7.5), and so of ERA5, by at most 0.02 K at 0 to 30 degrees C and 0.11 K down to
-40. Constants: CODATA 2018 (the gas constant), IAPWS (the molar mass of water), CIPM-2007 (that of dry air).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STANDARD_GRAVITY = 9.80665  # m s-2

_GAS_CONSTANT = 8.314462618  # J mol-1 K-1
_WATER, _DRY_AIR = 18.015268e-3, 28.96546e-3  # kg mol-1
_RATIO = _WATER / _DRY_AIR

Field = NDArray[np.float64]
Numbers = NDArray[np.floating] | float


def saturation_vapour_pressure(temperature: Numbers) -> Field:
    """Return the vapour pressure over water in Pa at a temperature in K (Bolton 1980, equation 10)."""
    celsius = np.asarray(temperature, np.float64) - 273.15
    return 611.2 * np.exp(17.67 * celsius / (celsius + 243.5))


def dew_point(vapour_pressure: Numbers) -> Field:
    """Return the dew point in K of a vapour pressure in Pa (Bolton 1980, equation 11); NaN where there is no vapour."""
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.log(np.asarray(vapour_pressure, np.float64) / 611.2)
        return 273.15 + 243.5 * log / (17.67 - log)


def vapour_pressure(specific_humidity: Numbers, pressure: Numbers) -> Field:
    """Return the vapour pressure in Pa of specific humidity in kg kg-1 and pressure in Pa."""
    moist = np.asarray(specific_humidity, np.float64)
    return moist * pressure / (_RATIO + (1 - _RATIO) * moist)


def specific_humidity(vapour_pressure: Numbers, pressure: Numbers) -> Field:
    """Return the specific humidity in kg kg-1 of vapour pressure and pressure in Pa."""
    vapour = np.asarray(vapour_pressure, np.float64)
    return _RATIO * vapour / (pressure - (1 - _RATIO) * vapour)


def dew_point_from_specific_humidity(specific_humidity: Numbers, pressure: Numbers) -> Field:
    """Return the dew point in K; NaN where the specific humidity is not above zero."""
    return dew_point(vapour_pressure(specific_humidity, pressure))


def dew_point_from_relative_humidity(relative_humidity: Numbers, temperature: Numbers) -> Field:
    """Return the dew point in K; NaN where the relative humidity is not above zero."""
    return dew_point(np.asarray(relative_humidity, np.float64) / 100 * saturation_vapour_pressure(temperature))


def specific_humidity_from_dew_point(dew_point: Numbers, pressure: Numbers) -> Field:
    """Return the specific humidity in kg kg-1."""
    return specific_humidity(saturation_vapour_pressure(dew_point), pressure)


def specific_humidity_from_relative_humidity(
    relative_humidity: Numbers, temperature: Numbers, pressure: Numbers
) -> Field:
    """Return the specific humidity in kg kg-1."""
    vapour = np.asarray(relative_humidity, np.float64) / 100 * saturation_vapour_pressure(temperature)
    return specific_humidity(vapour, pressure)


def geopotential_from_geopotential_height(geopotential_height: Numbers) -> Field:
    """Return the geopotential in m2 s-2 of a height in geopotential metres."""
    return STANDARD_GRAVITY * np.asarray(geopotential_height, np.float64)


def eastward_wind_from_speed_and_direction(speed: Numbers, direction: Numbers) -> Field:
    """Return the eastward wind in m s-1; `direction` is where the wind comes from, in degrees from true north."""
    return -np.asarray(speed, np.float64) * np.sin(np.radians(np.asarray(direction, np.float64)))


def northward_wind_from_speed_and_direction(speed: Numbers, direction: Numbers) -> Field:
    """Return the northward wind in m s-1; `direction` is where the wind comes from, in degrees from true north."""
    return -np.asarray(speed, np.float64) * np.cos(np.radians(np.asarray(direction, np.float64)))


def pressure_velocity_from_upward_velocity(upward_velocity: Numbers, temperature: Numbers, pressure: Numbers) -> Field:
    """Return the vertical velocity in Pa s-1 of dry air in hydrostatic balance, -density x gravity x m s-1 upward."""
    density = np.asarray(pressure, np.float64) * _DRY_AIR / (_GAS_CONSTANT * np.asarray(temperature, np.float64))
    return -density * STANDARD_GRAVITY * np.asarray(upward_velocity, np.float64)
