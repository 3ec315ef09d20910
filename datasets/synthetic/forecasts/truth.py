"""The true fields of a valid time, on the fine grid of the synthetic weather."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from corrstore.datasets.grids.fields import FieldArray
from corrstore.datasets.synthetic.domain import domain_of
from corrstore.datasets.synthetic.spec import SyntheticSpec
from corrstore.datasets.synthetic.weather.weather import Weather

_HOUR = np.timedelta64(1, "h")


@lru_cache(maxsize=1)
def weather_of(spec: SyntheticSpec) -> Weather:
    """Return the weather of an archive."""
    return Weather(spec.seed, domain_of(spec))


@lru_cache(maxsize=4)
def truth_at(spec: SyntheticSpec, valid_time: np.datetime64, interval: int) -> dict[str, FieldArray]:
    """Return the fields at a valid time by channel, such as z_500, and those that CMA's files hold beside them.

    `tp` is the amount in kg m-2 over the `interval` hours that end there; `refc_max` the maximum over them.
    """
    weather = weather_of(spec)
    moment = weather.at(valid_time)
    amount, peak = np.zeros_like(moment.rate), moment.rate
    for hour in range(interval):
        of_hour, highest = weather.rain_over_hour(valid_time - hour * _HOUR)
        amount, peak = amount + of_hour, np.maximum(peak, highest)
    aloft = {f"{name}_{level}": field for level in spec.levels for name, field in moment.on_level(level).items()}
    return {**moment.surface(), "tp": amount, "refc_max": moment.reflectivity_of(peak), **aloft}
