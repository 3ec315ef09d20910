"""The fields of a store as CF variables in physical units, read lazily, one sample at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from corrstore.datasets.recipe.periods import Times
from corrstore.datasets.store.layout import StoredRole, StorePlan
from corrstore.datasets.variables.channels import Channel
from corrstore.datasets.variables.normalisation import Normalisation

Read = Callable[[int], NDArray[Any]]
"""A function that returns the stored values [channel, lat, lon] of one sample, or raises."""


def physical_dataset(plan: StorePlan, role: StoredRole, times: Times, names: Sequence[str], read: Read) -> xr.Dataset:
    """Return the named channels of `input` or `target` (time, lat, lon), float32, each sample a chunk of dask's."""
    grid = plan.grid(role)
    coordinates = {
        "time": ("time", times.astype("datetime64[ns]"), {"standard_name": "time"}),
        "lat": ("lat", grid.lat, {"standard_name": "latitude", "units": "degrees_north"}),
        "lon": ("lon", grid.lon, {"standard_name": "longitude", "units": "degrees_east"}),
    }
    held = {channel.name: position for position, channel in enumerate(plan.channels(role))}
    fields = {}
    for name in names:
        position = held[name]
        values = da.map_blocks(
            _sample,
            read=read,
            position=position,
            normalisation=plan.normalisations[role][position],
            chunks=((1,) * len(times), *((size,) for size in grid.shape)),
            dtype=np.float32,
            meta=np.empty((0, 0, 0), np.float32),
        )
        attributes = _attributes(plan, plan.channels(role)[position])
        fields[name] = xr.DataArray(values, dims=("time", "lat", "lon"), attrs=attributes)
    return xr.Dataset(fields, coordinates, {"Conventions": "CF-1.11", "title": plan.recipe.title})


def _sample(
    read: Read, position: int, normalisation: Normalisation, block_info: dict[Any, Any] | None = None
) -> NDArray[np.float32]:
    """Return one sample of one channel [1, lat, lon] in physical units."""
    assert block_info is not None
    index = block_info[None]["chunk-location"][0]
    return normalisation.decode_float32(read(index)[position])[np.newaxis]


def _attributes(plan: StorePlan, channel: Channel) -> dict[str, Any]:
    variable, recipe = channel.variable, plan.recipe
    found: dict[str, Any] = {
        "standard_name": variable.standard_name,
        "long_name": variable.long_name,
        "units": variable.units,
    }
    if channel.level is not None:
        found["pressure_level_hPa"] = channel.level
    if variable.windowed:
        found["cell_methods"] = f"time: sum (interval: {recipe.window or recipe.period.frequency})"
    return found
