"""The rotated pole: latitudes and longitudes of a sphere that is turned, as limited-area models use them."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_PROJ = re.compile(r"\+proj=ob_tran \+o_proj=longlat \+o_lat_p=(\S+) \+o_lon_p=0 \+lon_0=(\S+)")

Degrees = NDArray[np.float64]


@dataclass(frozen=True)
class RotatedPole:
    """A projection, called as `pyproj.Proj` is, whose x and y are rotated longitudes and latitudes in degrees.

    The southern pole of the turned sphere lies at `south_pole_lat`, `south_pole_lon` (WMO FM 92 GRIB2, template 3.1).
    PROJ's own `ob_tran` mixes radians and degrees through pyproj.
    """

    south_pole_lat: float
    south_pole_lon: float

    @classmethod
    def from_proj_string(cls, crs: str) -> RotatedPole | None:
        """Return the rotated pole of the PROJ string that `proj_string` gives; None for any other projection."""
        found = _PROJ.match(crs)
        return cls(-float(found[1]), float(found[2])) if found else None

    @property
    def proj_string(self) -> str:
        """The PROJ string of this projection."""
        return (
            f"+proj=ob_tran +o_proj=longlat +o_lat_p={-self.south_pole_lat:.9g} +o_lon_p=0"
            f" +lon_0={self.south_pole_lon:.9g}"
        )

    def __call__(self, lon: ArrayLike, lat: ArrayLike, inverse: bool = False) -> tuple[Degrees, Degrees]:
        """Return rotated longitudes and latitudes, or, `inverse`, the geographic ones of rotated ones; -180 .. 180."""
        x, y = np.asarray(lon, np.float64), np.deg2rad(np.asarray(lat, np.float64))
        x = np.deg2rad(x if inverse else x - self.south_pole_lon)
        tilt = np.deg2rad(self.south_pole_lat + 90.0) * (1 if inverse else -1)
        ahead, aside, up = np.cos(y) * np.cos(x), np.cos(y) * np.sin(x), np.sin(y)
        ahead, up = ahead * np.cos(tilt) - up * np.sin(tilt), ahead * np.sin(tilt) + up * np.cos(tilt)
        turned = np.rad2deg(np.arctan2(aside, ahead)) + (self.south_pole_lon if inverse else 0.0)
        return (turned + 180.0) % 360.0 - 180.0, np.rad2deg(np.arctan2(up, np.hypot(ahead, aside)))

    def convergence(self, lon: ArrayLike, lat: ArrayLike) -> Degrees:
        """Return the azimuth of the turned northern pole at each point: degrees clockwise from north."""
        north = np.deg2rad(np.asarray(lat, np.float64))
        away = np.deg2rad(self.south_pole_lon + 180.0 - np.asarray(lon, np.float64))
        pole = np.deg2rad(-self.south_pole_lat)
        across = np.sin(away) * np.cos(pole)
        return np.rad2deg(
            np.arctan2(across, np.cos(north) * np.sin(pole) - np.sin(north) * np.cos(pole) * np.cos(away))
        )
