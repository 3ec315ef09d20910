"""Times that CF does not have: CDO's absolute ones, `day as %Y%m%d.%f`, and WRF's text, `2015-03-02_06:00:00`.

The first are a date as a number, and the fraction of its day behind the point.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import xarray as xr

from corrstore.datasets.errors import BadInput

_DAY = "day as %Y%m%d"
_TEXT = re.compile(rb"\d{4}-\d\d-\d\d_\d\d:\d\d:\d\d")
_SECONDS = 86400
_MISSING = np.iinfo(np.int64).min
_OTHER = "write its times since a date, as with `cdo -r copy IN OUT`"


def with_relative_times(raw: xr.Dataset) -> xr.Dataset:
    """Return the dataset, not yet decoded, with absolute times as seconds since 1970, rounded to whole ones.

    In float64 such a time is good to a millisecond; in float32 the day itself is lost. Raises BadInput for those, for
    absolute times by month or year, and for dates that do not exist. Times that are text, as WRF's, become
    such numbers.
    """
    raw = _with_texts_as_numbers(raw)
    found = {name: each for name, each in raw.variables.items() if " as %Y" in str(each.attrs.get("units", ""))}
    for name, variable in found.items():
        units, numbers = str(variable.attrs["units"]), np.asarray(variable.values)
        if not units.startswith(_DAY) or numbers.dtype.itemsize < (8 if numbers.dtype.kind == "f" else 4):
            raise BadInput(f"{name} holds {units!r} in {numbers.dtype}, in which times are not exact; {_OTHER}")
        missing = ~np.isfinite(numbers) | (numbers == variable.attrs.get("_FillValue"))
        numbers = np.where(missing, 19700101, numbers)
        days = np.floor(numbers).astype(np.int64)
        dates = pd.to_datetime(pd.Series(days.ravel().astype(str)), format="%Y%m%d", errors="coerce")
        if dates.isna().any():
            raise BadInput(f"{name} holds {days.ravel()[dates.isna()][0]}, which is no date ({units!r}); {_OTHER}")
        midnight = dates.to_numpy().astype("M8[s]").astype(np.int64).reshape(days.shape)
        seconds = np.where(missing, _MISSING, midnight + np.round((numbers - days) * _SECONDS).astype(np.int64))
        attributes = {**variable.attrs, "units": "seconds since 1970-01-01", "_FillValue": _MISSING}
        raw = raw.assign({name: (variable.dims, seconds, attributes)})
    return raw


def _with_texts_as_numbers(raw: xr.Dataset) -> xr.Dataset:
    """Return the dataset with the variables of characters that are times, one a row, as seconds since 1970."""
    for name in [name for name, each in raw.variables.items() if each.dtype == "S1" and each.ndim == 2]:
        variable = raw.variables[name]
        texts = [b"".join(row).rstrip(b"\0 ") for row in variable.values]
        if not texts or not all(map(_TEXT.fullmatch, texts)):
            continue
        try:
            times = np.array([text.decode().replace("_", "T") for text in texts], "M8[s]").astype(np.int64)
        except ValueError as error:
            raise BadInput(f"{name} holds a time that does not exist ({error}); correct it") from None
        raw = raw.assign({name: (variable.dims[:1], times, {"units": "seconds since 1970-01-01"})})
    return raw
