"""The coarse archive, as the Copernicus data store delivers ERA5: GRIB1, table 128, 0.25 degrees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from corrstore.datasets.grids.fields import FieldArray
from corrstore.datasets.synthetic.domain import MicrodegreeGrid, SyntheticDomain
from corrstore.datasets.synthetic.grib import SYNTHETIC_PROCESS, Key, SyntheticMessage, Template
from corrstore.datasets.synthetic.weather.land import Land
from corrstore.datasets.synthetic.weather.noise import Waves
from corrstore.datasets.synthetic.weather.synoptic import GRAVITY

_HOUR = np.timedelta64(1, "h")
_PARAMETERS = {"t2m": 167, "d2m": 168, "u10m": 165, "v10m": 166, "sp": 134, "msl": 151}
_LEVEL_PARAMETERS = {"z": 129, "t": 130, "u": 131, "v": 132, "q": 133}
_TP, _SURFACE_GEOPOTENTIAL, _LAND_SEA_MASK = 228, 129, 172

ADDED_ERRORS = {
    "t2m": ("temperature", -0.3, 0.3),
    "d2m": ("temperature", -0.3, 0.3),
    "u10m": ("u", 0.0, 0.4),
    "v10m": ("v", 0.0, 0.4),
    "sp": ("pressure", 0.0, 25.0),
    "msl": ("pressure", 0.0, 25.0),
    "z": ("height", 0.0, 20.0),
    "t": ("temperature aloft", 0.0, 0.2),
    "u": ("u aloft", 0.0, 0.4),
    "v": ("v aloft", 0.0, 0.4),
}
MULTIPLIED_ERRORS = {"q": ("humidity", 0.02, 0.04), "tp": ("rain", 0.0, 0.12)}
"""The error of the coarse side, by variable: waves that two variables may share, offset, standard deviation.

They are in the variable's units, or shares of the truth where they are multiplied.
"""


def analysis_error(
    seed: int, name: str, grid: MicrodegreeGrid, time: np.datetime64
) -> tuple[FieldArray | np.float32, FieldArray | np.float32]:
    """Return the error of a variable's coarse analysis on a grid: what is added, and the factor before it.

    It is of 400 to 2500 km, and forgotten within a day or two.
    """

    def waves(name: str) -> FieldArray:
        return Waves(seed, f"coarse error {name}", 400, 2500, 1.0, 120).on(grid, time)

    if name in ADDED_ERRORS:
        shared, offset, deviation = ADDED_ERRORS[name]
        return np.float32(offset) + np.float32(deviation) * waves(shared), np.float32(1)
    shared, offset, deviation = MULTIPLIED_ERRORS[name]
    return np.float32(0), (1 + offset + deviation * waves(shared)).clip(0.5, 1.5)


@dataclass(frozen=True)
class Era5:
    """The encoder of the coarse archive."""

    seed: int
    domain: SyntheticDomain

    def on_surface(self, fields: Mapping[str, FieldArray], time: np.datetime64) -> list[SyntheticMessage]:
        """Return the messages of the instantaneous fields near the ground."""
        return [
            self._analysis(name, time, _surface(number), self._coarsened(name, fields[name], time))
            for name, number in _PARAMETERS.items()
        ]

    def on_level(self, fields: Mapping[str, FieldArray], level: int, time: np.datetime64) -> list[SyntheticMessage]:
        """Return the messages of z, t, u, v and q on a pressure level in hPa."""
        return [
            self._analysis(f"{name}_{level}", time, _on_level(number, level), self._coarsened(name, fields[name], time))
            for name, number in _LEVEL_PARAMETERS.items()
        ]

    def invariants(self, land: Land, time: np.datetime64) -> list[SyntheticMessage]:
        """Return the messages of the surface geopotential in m2 s-2 and the land fraction of each box."""
        geopotential = GRAVITY * self.domain.box_mean(land.height)
        share = self.domain.box_mean(land.land_mask).clip(0, 1)
        return [
            self._analysis("orog", time, _surface(_SURFACE_GEOPOTENTIAL), geopotential),
            self._analysis("lsm", time, _surface(_LAND_SEA_MASK), share),
        ]

    def precipitation(self, amount: FieldArray, valid_time: np.datetime64) -> SyntheticMessage:
        """Return the message of tp in metres over the hour that ends at `valid_time`.

        It is a step of the forecast that starts at 06 or 18 UTC before that hour.
        """
        init_time = valid_time - _HOUR - (valid_time - _HOUR - np.datetime64("2000-01-01T06")) % (12 * _HOUR)
        step = int((valid_time - init_time) / _HOUR)
        keys = {
            **_reference(init_time),
            "marsType": "fc",
            "timeRangeIndicator": 4,
            "P1": step - 1,
            "P2": step,
            **_surface(_TP),
        }
        return self._template.message("tp", keys, self._coarsened("tp", amount, valid_time) / 1000)

    def _coarsened(self, name: str, fine: FieldArray, time: np.datetime64) -> FieldArray:
        """Return a true field as the coarse model analyses it: the mean over each box, plus a smooth error."""
        mean = self.domain.box_mean(fine)
        added, factor = analysis_error(self.seed, name, self.domain.coarse, time)
        return mean * factor + added

    def _analysis(self, name: str, time: np.datetime64, keys: Mapping[str, Key], field: FieldArray) -> SyntheticMessage:
        analysed = {**_reference(time), "timeRangeIndicator": 0, "marsType": "an", **keys}
        return self._template.message(name, analysed, field)

    @cached_property
    def _template(self) -> Template:
        return Template("regular_ll_sfc_grib1", {**_HEADER, **_grid_keys(self.domain.coarse)})


_HEADER: dict[str, Key] = {
    "centre": "ecmf",
    "table2Version": 128,
    "generatingProcessIdentifier": SYNTHETIC_PROCESS,
    "setLocalDefinition": 1,
    "localDefinitionNumber": 1,
    "marsClass": "ea",
    "marsStream": "oper",
    "experimentVersionNumber": "0001",
    "decimalScaleFactor": 0,
}


def _surface(number: int) -> dict[str, Key]:
    return {"indicatorOfTypeOfLevel": 1, "level": 0, "indicatorOfParameter": number}


def _on_level(number: int, level: int) -> dict[str, Key]:
    return {"indicatorOfTypeOfLevel": 100, "level": level, "indicatorOfParameter": number}


def _reference(time: np.datetime64) -> dict[str, Key]:
    date, clock = str(time.astype("datetime64[m]")).split("T")
    return {"dataDate": int(date.replace("-", "")), "dataTime": int(clock.replace(":", "")), "unitOfTimeRange": 1}


def _grid_keys(grid: MicrodegreeGrid) -> dict[str, Key]:
    return {
        "Ni": grid.nx,
        "Nj": grid.ny,
        "latitudeOfFirstGridPoint": grid.north // 1000,
        "longitudeOfFirstGridPoint": grid.west // 1000,
        "latitudeOfLastGridPoint": grid.south // 1000,
        "longitudeOfLastGridPoint": grid.east // 1000,
        "ijDirectionIncrementGiven": 1,
        "iDirectionIncrement": grid.step // 1000,
        "jDirectionIncrement": grid.step // 1000,
        "scanningMode": 0,
    }
