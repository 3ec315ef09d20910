"""The fine archive, in the GRIB2 of CMA's files: one file per valid time, on a 0.03 degree grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from corrstore.datasets.grids.fields import FieldArray
from corrstore.datasets.synthetic.cma import LAND_SEA_MASK, OROGRAPHY, SURFACE_FIELDS, CmaEncoder
from corrstore.datasets.synthetic.domain import SyntheticDomain
from corrstore.datasets.synthetic.grib import SyntheticMessage
from corrstore.datasets.synthetic.spec import RUN_HOURS
from corrstore.datasets.synthetic.weather.land import Land

_HOUR = np.timedelta64(1, "h")


def init_time_of(valid_time: np.datetime64) -> np.datetime64:
    """Return the last start of a run, at 00 or 12 UTC, before the valid time."""
    before = valid_time - _HOUR
    return before - (before - np.datetime64("2000-01-01")) % (RUN_HOURS * _HOUR)


def file_name(valid_time: np.datetime64) -> str:
    """Return the path of a valid time's file below the archive's folder."""
    digits = str(valid_time.astype("datetime64[h]")).replace("-", "").replace("T", "")
    return f"{digits[:8]}/Z_NAFP_C_BABJ_{digits}0000_P_CMA-RRA_SYNTHETIC-3KM.grib2"


@dataclass(frozen=True)
class CmaRra:
    """The encoder of the fine archive; `frequency` in hours is also the interval of its maxima.

    The land-sea mask is this archive's own: CMA's inventories list none.
    """

    domain: SyntheticDomain
    frequency: int
    packing: str

    def on_surface(self, fields: Mapping[str, FieldArray], time: np.datetime64) -> list[SyntheticMessage]:
        """Return the messages near the ground; `fields` holds `rain`, `refc_max` and those of `surface_fields`."""
        run = init_time_of(time)
        return [
            self._encoder.message(record, self.domain.crop(fields[record.name]), run, time) for record in SURFACE_FIELDS
        ]

    def on_level(self, fields: Mapping[str, FieldArray], level: int, time: np.datetime64) -> list[SyntheticMessage]:
        """Return the messages of geopotential height in gpm, t, u, v and q on a pressure level in hPa."""
        cropped = {name: self.domain.crop(field) for name, field in fields.items()}
        return self._encoder.on_level(cropped, level, init_time_of(time), time)

    def invariants(self, land: Land, time: np.datetime64) -> list[SyntheticMessage]:
        """Return the messages of terrain height in gpm and the land-sea mask."""
        return [
            self._encoder.message(record, self.domain.crop(field), init_time_of(time), time)
            for record, field in ((OROGRAPHY, land.height), (LAND_SEA_MASK, land.land_mask))
        ]

    @cached_property
    def _encoder(self) -> CmaEncoder:
        return CmaEncoder(self.domain.window, self.frequency, self.packing)
