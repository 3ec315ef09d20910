"""The script that a user would write without corrstore: cfgrib, xarray, dask, `to_zarr`."""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import cfgrib
import numpy as np
import xarray as xr

_UNKNOWN = {"tp": (0, 1, 8, "accum"), "refc": (0, 16, 224, "instant")}


def build_by_hand(files: list[Path], output: Path, levels: list[int]) -> float:
    """Build a float32 Zarr of 24 normalised fields of each file, and return the seconds it took."""
    warnings.simplefilter("ignore")
    started = time.perf_counter()
    stack = xr.concat([_one_time(file, levels) for file in files], "time", join="override")
    mean = stack.mean(["time", "latitude", "longitude"])
    std = stack.std(["time", "latitude", "longitude"])
    normalised = ((stack - mean) / std).astype("float32").chunk({"time": 1, "latitude": 256, "longitude": 256})
    normalised.drop_encoding().to_zarr(output, mode="w", zarr_format=3, consolidated=False)
    return time.perf_counter() - started


def _one_time(file: Path, levels: list[int]) -> xr.Dataset:
    fields: dict[str, xr.DataArray] = {}
    for part in cfgrib.open_datasets(str(file), backend_kwargs={"indexpath": ""}, chunks={}):
        for name in {"t2m", "d2m", "u10", "v10"} & set(part):
            fields[name] = part[name]
        if "isobaricInhPa" in part.dims:
            for name in {"t", "u", "v"} & set(part):
                for level in levels:
                    fields[f"{name}{level}"] = part[name].sel(isobaricInhPa=level)
    for name, (discipline, category, number, step) in _UNKNOWN.items():
        keys = {"discipline": discipline, "parameterCategory": category, "parameterNumber": number, "stepType": step}
        part = xr.open_dataset(
            file, engine="cfgrib", backend_kwargs={"indexpath": "", "filter_by_keys": keys}, chunks={}
        )
        fields[name] = next(iter(part.data_vars.values()))
    box = {"latitude": slice(60.11, 12.12), "longitude": slice(69.99, 141.98)}
    cut = {name: field.sel(box).drop_vars(_scalars(field)) for name, field in fields.items()}
    return xr.Dataset(cut).expand_dims(time=[np.datetime64(_valid_time(next(iter(fields.values()))), "ns")])


def _valid_time(field: xr.DataArray) -> np.datetime64:
    return np.datetime64(field.valid_time.values)


def _scalars(field: xr.DataArray) -> list[str]:
    return [str(name) for name, coordinate in field.coords.items() if coordinate.ndim == 0]
