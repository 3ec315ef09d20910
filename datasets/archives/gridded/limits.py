"""The limits of its numbers that a NetCDF or Zarr variable states."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from corrstore.datasets.archives.gridded.units import scale_and_offset

Values = NDArray[np.float32]
_NUMBERS = {"valid_range": 2, "valid_min": 1, "valid_max": 1}


def within_stated_limits(values: Values, field: xr.DataArray) -> Values:
    """Return the values, NaN outside of what the file states as valid_range, valid_min and valid_max.

    Of packed numbers, limits in whole numbers are those of the packed ones (CF conventions, 2.5.1); others contradict
    the conventions, and are left aside.
    """
    stated = {key: np.atleast_1d(field.attrs[key]) for key in _NUMBERS if key in field.attrs}
    if not stated or any(each.dtype.kind not in "iuf" or each.size != _NUMBERS[key] for key, each in stated.items()):
        return values
    low, high = stated.get("valid_range", (*stated.get("valid_min", [-np.inf]), *stated.get("valid_max", [np.inf])))
    scale, offset = scale_and_offset(field)
    if (scale, offset) != (1, 0):
        if any(each.dtype.kind == "f" for each in stated.values()):
            return values
        low, high = sorted((float(low) * scale + offset, float(high) * scale + offset))
    margin = abs(scale) / 2 if (scale, offset) != (1, 0) else 0
    return np.where(
        (values < np.float32(low - margin)) | (values > np.float32(high + margin)), np.float32("nan"), values
    )
