"""The errors of the synthetic forecasts: bias and standard deviation are known functions of the lead.

A forecast is the truth at its valid time plus bias(lead) plus deviation(lead) x E, where E is a smooth random field of
mean 0 and expected variance 1 at every point. E is a function of the seed, the model, the run, the stream and the lead.
In one run the E of two leads correlate by `correlation` of the time between them; those of two runs are independent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from corrstore.datasets.grids.fields import FieldArray
from corrstore.datasets.synthetic.domain import MicrodegreeGrid
from corrstore.datasets.synthetic.weather.humidity import specific_humidity
from corrstore.datasets.synthetic.weather.noise import Waves

_TIMELESS = np.datetime64("2018-01-01T00:00:00")
_DAY = np.timedelta64(1, "D")
_FORGOTTEN = np.timedelta64(5, "D")
_SLOPE = 0.5  # amplitudes fall with the wavenumber k as k^-0.5


def correlation(between: np.timedelta64) -> float:
    """Return the correlation of the errors of two leads of a run, from the time between them: 0 after five days."""
    return float(np.cos(np.pi / 2 * (between / _FORGOTTEN)))


@dataclass(frozen=True)
class ErrorGrowth:
    """The error of one variable, in its units or, where `relative`, as a share of the truth; both grow by the day.

    Variables of the same `waves` share their E. A relative error multiplies the truth by a log-normal factor of mean
    1 + bias and that standard deviation, so that nothing falls below zero.
    """

    waves: str
    bias: float
    bias_per_day: float
    deviation: float
    deviation_per_day: float
    relative: bool = False

    def bias_at(self, lead: np.timedelta64) -> float:
        """Return the expected error at that lead."""
        return self.bias + self.bias_per_day * float(lead / _DAY)

    def deviation_at(self, lead: np.timedelta64) -> float:
        """Return the standard deviation of the error at that lead."""
        return self.deviation + self.deviation_per_day * float(lead / _DAY)


@dataclass(frozen=True)
class ForecastError:
    """The error of one model: the growth of each variable, and the wavelengths in km of its fields E."""

    model: str
    shortest: float
    longest: float
    growth: Mapping[str, ErrorGrowth]

    def growth_of(self, channel: str) -> ErrorGrowth | None:
        """Return the growth of a channel's error, that of its variable on all levels; None of a field without error."""
        return self.growth.get(channel.partition("_")[0])

    def forecast(
        self,
        truth: Mapping[str, FieldArray],
        grid: MicrodegreeGrid,
        seed: int,
        init_time: np.datetime64,
        lead: np.timedelta64,
        stream: str = "",
    ) -> dict[str, FieldArray]:
        """Return the fields of a run at a lead, from the truth at its valid time on the same grid.

        A field named like `refc_max` has the error of its instant. q2m follows from the forecast's d2m and sp. The
        `stream` tells two runs of one start apart.
        """
        run = f"{self.model} {init_time.astype('datetime64[h]')} {stream}"
        turn = np.pi / 2 * (lead / _FORGOTTEN)
        drawn = {}
        for name in {growth.waves for growth in self.growth.values()}:
            first, second = _independent(f"{run} {name}", seed, self.shortest, self.longest, grid)
            drawn[name] = np.float32(np.cos(turn)) * first + np.float32(np.sin(turn)) * second
        made = {}
        for name, field in truth.items():
            growth = self.growth_of(name)
            made[name] = field if growth is None else _with_error(field, growth, lead, drawn[growth.waves])
        return {**made, "q2m": specific_humidity(np.ones_like(made["sp"]), made["d2m"], made["sp"])}


@lru_cache(maxsize=40)
def _independent(name: str, seed: int, shortest: float, longest: float, grid: MicrodegreeGrid) -> list[FieldArray]:
    """Return two independent fields of mean 0 and expected variance 1; those of a few runs are cached."""
    waves = (Waves(seed, f"forecast error {name} {n}", shortest, longest, _SLOPE, flow=0) for n in (1, 2))
    return [each.on(grid, _TIMELESS) for each in waves]


def _with_error(truth: FieldArray, growth: ErrorGrowth, lead: np.timedelta64, waves: FieldArray) -> FieldArray:
    bias, deviation = growth.bias_at(lead), growth.deviation_at(lead)
    if not growth.relative:
        return (truth + np.float32(bias) + np.float32(deviation) * waves).astype(np.float32)
    variance = np.log1p((deviation / (1 + bias)) ** 2)  # of the logarithm of the factor
    return (truth * np.float32(1 + bias) * np.exp(np.sqrt(variance) * waves - variance / 2)).astype(np.float32)


FORECAST_ERRORS = {
    "cma_gfs": ForecastError(
        "cma_gfs",
        120,
        600,
        {
            "t2m": ErrorGrowth("temperature", -0.4, -0.6, 0.6, 0.8),
            "d2m": ErrorGrowth("temperature", -0.4, -0.6, 0.6, 0.8),
            "u10m": ErrorGrowth("u", 0.3, 0.2, 0.7, 0.9),
            "v10m": ErrorGrowth("v", 0.0, -0.2, 0.7, 0.9),
            "sp": ErrorGrowth("pressure", 20, 40, 50, 110),
            "msl": ErrorGrowth("pressure", 20, 40, 50, 110),
            "tp": ErrorGrowth("rain", 0.1, 0.1, 0.25, 0.25, relative=True),
            "z": ErrorGrowth("height", -10, -20, 30, 90),
            "t": ErrorGrowth("temperature aloft", -0.2, -0.3, 0.4, 0.6),
            "u": ErrorGrowth("u aloft", 0.2, 0.3, 0.8, 1.1),
            "v": ErrorGrowth("v aloft", 0.0, 0.2, 0.8, 1.1),
            "q": ErrorGrowth("humidity", 0.03, 0.03, 0.06, 0.08, relative=True),
        },
    ),
    "cma_meso": ForecastError(
        "cma_meso",
        30,
        250,
        {
            "t2m": ErrorGrowth("temperature", 0.3, 0.4, 0.4, 0.5),
            "d2m": ErrorGrowth("temperature", 0.3, 0.4, 0.4, 0.5),
            "u10m": ErrorGrowth("u", 0.2, 0.1, 0.5, 0.6),
            "v10m": ErrorGrowth("v", 0.1, 0.1, 0.5, 0.6),
            "sp": ErrorGrowth("pressure", -10, -20, 25, 60),
            "msl": ErrorGrowth("pressure", -10, -20, 25, 60),
            "tp": ErrorGrowth("rain", 0.15, 0.05, 0.2, 0.2, relative=True),
            "refc": ErrorGrowth("reflectivity", 1.0, 0.5, 1.5, 1.5),
            "z": ErrorGrowth("height", 5, 10, 20, 50),
            "t": ErrorGrowth("temperature aloft", 0.1, 0.2, 0.3, 0.4),
            "u": ErrorGrowth("u aloft", 0.1, 0.2, 0.6, 0.7),
            "v": ErrorGrowth("v aloft", 0.1, 0.1, 0.6, 0.7),
            "q": ErrorGrowth("humidity", -0.02, -0.02, 0.05, 0.05, relative=True),
        },
    ),
    "sff": ForecastError(
        "sff",
        120,
        600,
        {
            "t2m": ErrorGrowth("temperature", 0.2, 0.1, 0.5, 0.5),
            "d2m": ErrorGrowth("temperature", 0.2, 0.1, 0.5, 0.5),
            "u10m": ErrorGrowth("u", -0.1, -0.1, 0.6, 0.6),
            "v10m": ErrorGrowth("v", -0.1, -0.1, 0.6, 0.6),
            "sp": ErrorGrowth("pressure", 10, 10, 40, 70),
            "msl": ErrorGrowth("pressure", 10, 10, 40, 70),
            "tp": ErrorGrowth("rain", -0.1, -0.1, 0.2, 0.2, relative=True),
            "z": ErrorGrowth("height", 5, 5, 25, 60),
            "t": ErrorGrowth("temperature aloft", 0.1, 0.1, 0.3, 0.4),
            "u": ErrorGrowth("u aloft", -0.1, -0.1, 0.7, 0.7),
            "v": ErrorGrowth("v aloft", -0.1, -0.1, 0.7, 0.7),
            "q": ErrorGrowth("humidity", 0.01, 0.01, 0.05, 0.06, relative=True),
        },
    ),
}
"""The errors of each model by variable: bias, bias per day, deviation, deviation per day.

Those of tp are of the amount since the lead before, relative to the true amount.
"""
