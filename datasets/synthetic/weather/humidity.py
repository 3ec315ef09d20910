"""Humidity of moist air (Bolton 1980)."""

from __future__ import annotations

import numpy as np

from corrstore.datasets.grids.fields import FieldArray

_RATIO = 0.622


def specific_humidity(relative: FieldArray, temperature: FieldArray, pressure: FieldArray | float) -> FieldArray:
    """Return specific humidity in kg kg-1 from relative humidity (0 to 1), temperature in K and pressure in Pa."""
    vapour = relative * 611.2 * np.exp(17.67 * (temperature - 273.15) / (temperature - 29.65))
    return (_RATIO * vapour / (pressure - (1 - _RATIO) * vapour)).astype(np.float32)


def dew_point(specific: FieldArray, pressure: FieldArray) -> FieldArray:
    """Return the dew point in K from specific humidity in kg kg-1 and pressure in Pa."""
    vapour = specific * pressure / (_RATIO + (1 - _RATIO) * specific)
    log = np.log(vapour / 611.2)
    return (273.15 + 243.5 * log / (17.67 - log)).astype(np.float32)
