"""The fine archive, with the header of CMA's GRIB2 files: one file per valid time, on a 0.03 degree grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from corrstore.datasets.grids.fields import FieldArray
from corrstore.datasets.synthetic.domain import MicrodegreeGrid, SyntheticDomain
from corrstore.datasets.synthetic.grib import SYNTHETIC_PROCESS, Key, SyntheticMessage, Template
from corrstore.datasets.synthetic.spec import RUN_HOURS
from corrstore.datasets.synthetic.weather.land import Land
from corrstore.datasets.synthetic.weather.synoptic import GRAVITY

_HOUR = np.timedelta64(1, "h")
_ACCUMULATION, _MAXIMUM = 1, 2


def init_time_of(valid_time: np.datetime64) -> np.datetime64:
    """Return the last start of a run, at 00 or 12 UTC, before the valid time."""
    before = valid_time - _HOUR
    return before - (before - np.datetime64("2000-01-01")) % (RUN_HOURS * _HOUR)


def file_name(valid_time: np.datetime64) -> str:
    """Return the path of a valid time's file below the archive's folder."""
    digits = str(valid_time.astype("datetime64[h]")).replace("-", "").replace("T", "")
    return f"{digits[:8]}/Z_NAFP_C_BABJ_{digits}0000_P_CMA-RRA_SYNTHETIC-3KM.grib2"


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
class _FieldKeys:
    """The keys of one field: its name in this archive, its GRIB numbers, its level, and its statistic over a window."""

    name: str
    parameter: tuple[int, int, int]
    level: Mapping[str, Key]
    statistic: int | None = None


_SURFACE_FIELDS = (
    _FieldKeys("t2m", (0, 0, 0), _height(2)),
    _FieldKeys("d2m", (0, 0, 6), _height(2)),
    _FieldKeys("q2m", (0, 1, 0), _height(2)),
    _FieldKeys("u10m", (0, 2, 2), _height(10)),
    _FieldKeys("v10m", (0, 2, 3), _height(10)),
    _FieldKeys("u10m_max", (0, 2, 2), _height(10), _MAXIMUM),
    _FieldKeys("v10m_max", (0, 2, 3), _height(10), _MAXIMUM),
    _FieldKeys("sp", (0, 3, 0), _SURFACE),
    _FieldKeys("msl", (0, 3, 1), _MEAN_SEA),
    _FieldKeys("rain", (0, 1, 8), _SURFACE, _ACCUMULATION),
    _FieldKeys("refc", (0, 16, 224), _SURFACE),
    _FieldKeys("refc_max", (0, 16, 224), _SURFACE, _MAXIMUM),
    _FieldKeys("soil", (0, 0, 0), _SOIL),
)
_ON_LEVELS = {"z": (0, 3, 5), "t": (0, 0, 0), "u": (0, 2, 2), "v": (0, 2, 3), "q": (0, 1, 0)}


@dataclass(frozen=True)
class CmaRra:
    """The encoder of the fine archive; `frequency` in hours is also the interval of its maxima.

    As at CMA, interval maxima share the instantaneous fields' parameter numbers, soil temperature is coded as
    temperature, and rain is the total since the run's start. The land-sea mask is this archive's own: CMA's
    inventories list none.
    """

    domain: SyntheticDomain
    frequency: int
    packing: str

    def on_surface(self, fields: Mapping[str, FieldArray], time: np.datetime64) -> list[SyntheticMessage]:
        """Return the messages near the ground; `fields` holds `rain`, `refc_max` and those of `surface_fields`."""
        return [self._message(record, fields[record.name], time) for record in _SURFACE_FIELDS]

    def on_level(self, fields: Mapping[str, FieldArray], level: int, time: np.datetime64) -> list[SyntheticMessage]:
        """Return the messages of geopotential height in gpm, t, u, v and q on a pressure level in hPa."""
        in_cma_units = {**fields, "z": fields["z"] / np.float32(GRAVITY)}
        return [
            self._message(_FieldKeys(f"{name}_{level}", parameter, _pressure(level)), in_cma_units[name], time)
            for name, parameter in _ON_LEVELS.items()
        ]

    def invariants(self, land: Land, time: np.datetime64) -> list[SyntheticMessage]:
        """Return the messages of terrain height in gpm and the land-sea mask."""
        return [
            self._message(_FieldKeys("orog", (0, 3, 5), _SURFACE), land.height, time),
            self._message(_FieldKeys("lsm", (2, 0, 0), _SURFACE), land.land_mask, time),
        ]

    def _message(self, record: _FieldKeys, field: FieldArray, time: np.datetime64) -> SyntheticMessage:
        parameter = dict(zip(("discipline", "parameterCategory", "parameterNumber"), record.parameter, strict=True))
        keys = {**self._steps(record.statistic, time), **parameter, **record.level}
        return self._template.message(record.name, keys, self.domain.crop(field))

    def _steps(self, statistic: int | None, time: np.datetime64) -> dict[str, Key]:
        init_time = init_time_of(time)
        lead = int((time - init_time) / _HOUR)
        date, clock = str(init_time.astype("datetime64[m]")).split("T")
        run: dict[str, Key] = {"dataDate": int(date.replace("-", "")), "dataTime": int(clock.replace(":", ""))}
        if statistic is None:
            return {**run, "productDefinitionTemplateNumber": 0, "forecastTime": lead}
        start = 0 if statistic == _ACCUMULATION else lead - self.frequency
        window: dict[str, Key] = {"typeOfStatisticalProcessing": statistic, "stepRange": f"{start}-{lead}"}
        return {**run, "productDefinitionTemplateNumber": 8, **window}

    @cached_property
    def _template(self) -> Template:
        keys = {**_HEADER, **_grid_keys(self.domain.window), "packingType": self.packing}
        return Template("regular_ll_sfc_grib2", keys)


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
