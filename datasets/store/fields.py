"""The fields of a store as CF variables in physical units, read lazily, one sample at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from corrstore.datasets.recipe.parts import StoredRole
from corrstore.datasets.recipe.recipe import Recipe
from corrstore.datasets.recipe.sample_axes import SampleAxes
from corrstore.datasets.store.layout import StorePlan
from corrstore.datasets.variables.channels import Channel
from corrstore.datasets.variables.normalisation import Normalisation

Read = Callable[[int], NDArray[Any]]
"""A function that returns the stored values [channel, lat, lon] of one sample, or raises."""


def physical_dataset(plan: StorePlan, role: StoredRole, names: Sequence[str], read: Read) -> xr.Dataset:
    """Return the named channels of `input` or `target` (*axes, lat, lon), float32, each sample a chunk of dask's.

    A sample that is not due is NaN.
    """
    grid, axes = plan.grid(role), plan.axes
    coordinates = {
        **_sample_coordinates(axes),
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
            axes=axes,
            shape=grid.shape,
            position=position,
            normalisation=plan.normalisations[role][position],
            chunks=(*((1,) * size for size in axes.shape), *((size,) for size in grid.shape)),
            dtype=np.float32,
            meta=np.empty((0,) * (len(axes.shape) + 2), np.float32),
        )
        attributes = channel_attributes(plan.recipe, plan.channels(role)[position])
        fields[name] = xr.DataArray(values, dims=(*axes.names, "lat", "lon"), attrs=attributes)
    return xr.Dataset(fields, coordinates, {"Conventions": "CF-1.11", "title": plan.recipe.title})


def _sample_coordinates(axes: SampleAxes) -> dict[str, Any]:
    times = axes.valid_times.astype("datetime64[ns]")
    if axes.inits is None or axes.leads is None:
        return {"time": ("time", times, {"standard_name": "time"})}
    inits, leads = axes.inits.astype("datetime64[ns]"), axes.leads.astype("timedelta64[ns]")
    return {
        "init_time": ("init_time", inits, {"standard_name": "forecast_reference_time"}),
        "lead_time": ("lead_time", leads, {"standard_name": "forecast_period"}),
        "valid_time": (axes.names, times.reshape(axes.shape), {"standard_name": "time"}),
    }


def _sample(
    read: Read,
    axes: SampleAxes,
    shape: tuple[int, int],
    position: int,
    normalisation: Normalisation,
    block_info: dict[Any, Any] | None = None,
) -> NDArray[np.float32]:
    """Return one sample of one channel [1, lat, lon] or [1, 1, lat, lon] in physical units."""
    assert block_info is not None
    place = block_info[None]["chunk-location"][:-2]
    index = int(np.ravel_multi_index(place, axes.shape))
    if not axes.due[index]:
        return np.full((1,) * len(place) + shape, np.nan, np.float32)
    return normalisation.decode_float32(read(index)[position]).reshape((1,) * len(place) + shape)


def channel_attributes(recipe: Recipe, channel: Channel) -> dict[str, Any]:
    """Return the CF attributes of a channel's fields in physical units."""
    variable = channel.variable
    found: dict[str, Any] = {
        "standard_name": variable.standard_name,
        "long_name": variable.long_name,
        "units": variable.units,
    }
    if channel.level is not None:
        found["pressure_level_hPa"] = channel.level
    if variable.method:
        found["cell_methods"] = f"time: {variable.method} (interval: {recipe.accumulation_window})"
    return found
