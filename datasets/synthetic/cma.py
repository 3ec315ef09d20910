"""The GRIB2 messages of CMA's models, as CMA-GFS, CMA-MESO and CMA-RRA write them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from corrstore.datasets.grids.fields import FieldArray
from corrstore.datasets.synthetic.domain import MicrodegreeGrid
from corrstore.datasets.synthetic.grib import SYNTHETIC_PROCESS, Key, SyntheticMessage, Template
from corrstore.datasets.synthetic.weather.synoptic import GRAVITY

_HOUR = np.timedelta64(1, "h")
_ACCUMULATION, _MAXIMUM = 1, 2

_HEADER: dict[str, Key] = {
    "centre": 38,
    "subCentre": 0,
    "tablesVersion": 4,
    "localTablesVersion": 1,
    "significanceOfReferenceTime": 1,
    "productionStatusOfProcessedData": 1,
    "typeOfProcessedData": 1,
    "typeOfGeneratingProcess": 2,
    "generatingProcessIdentifier": SYNTHETIC_PROCESS,
    "backgroundProcess": 0,
}
_SURFACE: dict[str, Key] = {
    "typeOfFirstFixedSurface": 1,
    "scaleFactorOfFirstFixedSurface": None,
    "scaledValueOfFirstFixedSurface": None,
}
_MEAN_SEA: dict[str, Key] = {**_SURFACE, "typeOfFirstFixedSurface": 101}
_SOIL: dict[str, Key] = {
    "typeOfFirstFixedSurface": 106,
    "scaleFactorOfFirstFixedSurface": 1,
    "scaledValueOfFirstFixedSurface": 0,
    "typeOfSecondFixedSurface": 106,
    "scaleFactorOfSecondFixedSurface": 1,
    "scaledValueOfSecondFixedSurface": 1,
}


def _height(metres: int) -> dict[str, Key]:
    return {
        "typeOfFirstFixedSurface": 103,
        "scaleFactorOfFirstFixedSurface": 0,
        "scaledValueOfFirstFixedSurface": metres,
    }


def _pressure(level: int) -> dict[str, Key]:
    return {
        "typeOfFirstFixedSurface": 100,
        "scaleFactorOfFirstFixedSurface": 0,
        "scaledValueOfFirstFixedSurface": 100 * level,
    }


@dataclass(frozen=True)
class FieldKeys:
    """The keys of one field: its name in the archive, its GRIB numbers, its level, and its statistic over a window."""

    name: str
    parameter: tuple[int, int, int]
    level: Mapping[str, Key]
    statistic: int | None = None


SURFACE_FIELDS = (
    FieldKeys("t2m", (0, 0, 0), _height(2)),
    FieldKeys("d2m", (0, 0, 6), _height(2)),
    FieldKeys("q2m", (0, 1, 0), _height(2)),
    FieldKeys("u10m", (0, 2, 2), _height(10)),
    FieldKeys("v10m", (0, 2, 3), _height(10)),
    FieldKeys("u10m_max", (0, 2, 2), _height(10), _MAXIMUM),
    FieldKeys("v10m_max", (0, 2, 3), _height(10), _MAXIMUM),
    FieldKeys("sp", (0, 3, 0), _SURFACE),
    FieldKeys("msl", (0, 3, 1), _MEAN_SEA),
    FieldKeys("rain", (0, 1, 8), _SURFACE, _ACCUMULATION),
    FieldKeys("refc", (0, 16, 224), _SURFACE),
    FieldKeys("refc_max", (0, 16, 224), _SURFACE, _MAXIMUM),
    FieldKeys("soil", (0, 0, 0), _SOIL),
)
"""The fields near the ground; `rain` is a run's total, and those named `_max` are maxima since the output before."""
OROGRAPHY = FieldKeys("orog", (0, 3, 5), _SURFACE)
LAND_SEA_MASK = FieldKeys("lsm", (2, 0, 0), _SURFACE)
_ON_LEVELS = {"z": (0, 3, 5), "t": (0, 0, 0), "u": (0, 2, 2), "v": (0, 2, 3), "q": (0, 1, 0)}


@dataclass(frozen=True)
class CmaEncoder:
    """The encoder of one model's files; `interval` in hours is that of its maxima.

    As at CMA, interval maxima share the instantaneous fields' parameter numbers, soil temperature is coded as
    temperature, and rain is the total since the run's start.
    """

    grid: MicrodegreeGrid
    interval: int
    packing: str
    process: int = SYNTHETIC_PROCESS

    def message(
        self, record: FieldKeys, field: FieldArray, init_time: np.datetime64, valid_time: np.datetime64
    ) -> SyntheticMessage:
        """Return the message of a field on the encoder's grid, in the units of the record."""
        parameter = dict(zip(("discipline", "parameterCategory", "parameterNumber"), record.parameter, strict=True))
        keys = {**self._steps(record.statistic, init_time, valid_time), **parameter, **record.level}
        return self._template.message(record.name, keys, field)

    def on_level(
        self, fields: Mapping[str, FieldArray], level: int, init_time: np.datetime64, valid_time: np.datetime64
    ) -> list[SyntheticMessage]:
        """Return the messages of geopotential height in gpm, t, u, v and q on a pressure level in hPa.

        `fields` holds z, the geopotential in m2 s-2.
        """
        in_cma_units = {**fields, "z": fields["z"] / np.float32(GRAVITY)}
        return [
            self.message(
                FieldKeys(f"{name}_{level}", parameter, _pressure(level)), in_cma_units[name], init_time, valid_time
            )
            for name, parameter in _ON_LEVELS.items()
        ]

    def _steps(self, statistic: int | None, init_time: np.datetime64, valid_time: np.datetime64) -> dict[str, Key]:
        lead = int((valid_time - init_time) / _HOUR)
        date, clock = str(init_time.astype("datetime64[m]")).split("T")
        run: dict[str, Key] = {"dataDate": int(date.replace("-", "")), "dataTime": int(clock.replace(":", ""))}
        if statistic is None:
            return {**run, "productDefinitionTemplateNumber": 0, "forecastTime": lead}
        start = 0 if statistic == _ACCUMULATION else lead - self.interval
        window: dict[str, Key] = {"typeOfStatisticalProcessing": statistic, "stepRange": f"{start}-{lead}"}
        return {**run, "productDefinitionTemplateNumber": 8, **window}

    @cached_property
    def _template(self) -> Template:
        header = {**_HEADER, "generatingProcessIdentifier": self.process}
        return Template("regular_ll_sfc_grib2", {**header, **_grid_keys(self.grid), "packingType": self.packing})


def _grid_keys(grid: MicrodegreeGrid) -> dict[str, Key]:
    return {
        "shapeOfTheEarth": 6,
        "Ni": grid.nx,
        "Nj": grid.ny,
        "latitudeOfFirstGridPoint": grid.north,
        "longitudeOfFirstGridPoint": grid.west,
        "resolutionAndComponentFlags": 48,
        "latitudeOfLastGridPoint": grid.south,
        "longitudeOfLastGridPoint": grid.east,
        "iDirectionIncrement": grid.step,
        "jDirectionIncrement": grid.step,
        "scanningMode": 0,
    }
