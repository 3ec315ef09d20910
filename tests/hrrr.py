"""HRRR's Lambert grid as its GRIB messages describe it."""

from __future__ import annotations

from pathlib import Path

import eccodes
import numpy as np
from pyproj import Proj

from corrstore.datasets.grids.projected import ProjectedGrid

HRRR_CRS = "+proj=lcc +lat_1=38.5 +lat_2=38.5 +lat_0=38.5 +lon_0=262.5 +R=6371229 +units=m"


def hrrr_grid(path: Path) -> tuple[ProjectedGrid, np.ndarray, np.ndarray]:
    """The grid of a file's first message from its keys, and latitudes and longitudes from ecCodes itself."""
    with path.open("rb") as file:
        message = eccodes.codes_grib_new_from_file(file)
    try:
        first = [eccodes.codes_get(message, f"{axis}OfFirstGridPointInDegrees") for axis in ("longitude", "latitude")]
        columns, rows = eccodes.codes_get(message, "Nx"), eccodes.codes_get(message, "Ny")
        lat, lon = (
            eccodes.codes_get_array(message, name).reshape(rows, columns) for name in ("latitudes", "longitudes")
        )
    finally:
        eccodes.codes_release(message)
    x, y = Proj(HRRR_CRS)(*first)
    return ProjectedGrid(HRRR_CRS, x + 3000.0 * np.arange(columns), y + 3000.0 * np.arange(rows)), lat, lon
