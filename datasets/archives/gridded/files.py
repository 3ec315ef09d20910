"""NetCDF files and Zarr groups as datasets, with what is missing and which calendar as they state it."""

from __future__ import annotations

import json
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

import xarray as xr

from corrstore.datasets.archives.contents.files import ArchiveFile
from corrstore.datasets.archives.gridded.absolute_times import with_relative_times
from corrstore.datasets.errors import BadInput, DamagedData, fault_of_file
from corrstore.datasets.storage.cache import file_key
from corrstore.datasets.storage.containers import unpacked, unpacked_folder


def open_file(file: ArchiveFile, options: dict[str, Any]) -> xr.Dataset:
    """Return the dataset of a file, values unpacked and times decoded, leads as they are; the last ones are kept.

    In Zarr of version 2, a fill value of 0 in an array that is not packed counts as the number 0: Zarr writes it into
    every array by default. Raises BadInput for what cannot be read as Zarr, DamagedData for a damaged NetCDF file.
    """
    state = "" if "://" in file.path else file_key(Path(file.path))
    return _open(file, json.dumps(options), state)


def groups_of(file: ArchiveFile) -> list[str]:
    """Return the names of the groups in a NetCDF file, or in a Zarr group on a disk."""
    if file.engine is not None or "://" in file.path:
        return []
    if file.format == "zarr":
        import zarr  # only here: few files have groups alone

        return sorted(zarr.open_group(unpacked(file.path, file.inside), mode="r").group_keys())
    import netCDF4

    with netCDF4.Dataset(unpacked(file.path, file.inside)) as opened:
        return list(opened.groups)


@lru_cache(maxsize=8)
def _open(file: ArchiveFile, options: str, _state: str) -> xr.Dataset:
    path = file.path if not file.inside else str(unpacked(file.path, file.inside))
    if file.format == "netcdf" and "\\" in path:
        raise BadInput(f"{file}: the netCDF library opens no name with a backslash; rename it")
    if file.engine is not None:
        raw = _by_engine(file, file.engine, json.loads(options))
        return _decoded(file, raw)
    try:
        if file.format == "zarr":
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*consolidated metadata", category=RuntimeWarning)
                raw = xr.open_zarr(path, chunks=None, decode_cf=False, storage_options=json.loads(options) or None)
        else:
            raw = xr.open_dataset(path, engine="netcdf4", decode_cf=False)
    except (OSError, ValueError, ImportError, KeyError, TypeError) as error:
        if file.format == "zarr":
            raise BadInput(f"{file} cannot be read as Zarr: {error}; correct the path or storage_options") from None
        reason = getattr(error, "strerror", None) or error
        raise DamagedData(f"{file} cannot be read as NetCDF: {reason}; fetch it again") from None
    return _decoded(file, raw)


def refuse_unknown_engine(engine: str) -> None:
    """Raise BadInput, with those that are there, where xarray has no such engine."""
    if engine not in xr.backends.list_engines():
        raise BadInput(
            f"engine {engine} is not installed; install the package that has it, or write one of"
            f" {', '.join(xr.backends.list_engines())}"
        )


def _by_engine(file: ArchiveFile, engine: str, options: dict[str, Any]) -> xr.Dataset:
    """Return what an engine of xarray opens; cfgrib raises, instead of leaving out what does not fit the rest.

    rasterio's x and y state what they are only when they are asked to.
    """
    of_cfgrib = {"indexpath": "", "errors": "raise", "read_keys": ["uvRelativeToGrid"]}
    defaults: dict[str, Any] = of_cfgrib if engine == "cfgrib" else {}
    defaults |= {"decode_coords": "all"} if engine == "rasterio" else {"decode_cf": False}
    refuse_unknown_engine(engine)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*consolidated metadata", category=RuntimeWarning)
            opened = xr.open_dataset(file.path, engine=engine, **(defaults | options))
            return opened.rio.write_coordinate_system() if engine == "rasterio" else opened
    except Exception as error:
        advice = "; narrow engine_options, such as filter_by_keys: {typeOfLevel: surface}" if engine == "cfgrib" else ""
        raise BadInput(f"{file} cannot be opened by xarray's engine {engine}: {fault_of_file(error)}{advice}") from None


def _with_default_fill(raw: xr.Dataset) -> xr.Dataset:
    """Return a NetCDF dataset, not yet decoded, whose times that were never written state what stands for them."""
    from netCDF4 import default_fillvals

    for name, variable in raw.variables.items():
        fill = default_fillvals.get(variable.dtype.str[1:])
        stated = {"_FillValue", "missing_value"} & variable.attrs.keys()
        is_time = any(word in str(variable.attrs.get("units")) for word in (" since ", " as %Y"))
        if is_time and not stated and (variable.values == fill).any():
            raw[name].attrs["_FillValue"] = variable.dtype.type(fill)
    return raw


def _decoded(file: ArchiveFile, raw: xr.Dataset) -> xr.Dataset:
    if file.format == "zarr":
        for variable in raw.variables.values():
            if not variable.attrs.get("_FillValue", 1) and "scale_factor" not in variable.attrs:
                del variable.attrs["_FillValue"]
    if file.format == "netcdf":
        raw = _with_default_fill(raw)
    try:
        dataset = xr.decode_cf(with_relative_times(raw), decode_timedelta=False)
    except BadInput as error:
        raise BadInput(f"{file}: {error}") from None
    except (ValueError, OverflowError) as error:
        reason = str(error).partition(". Try opening")[0]
        raise BadInput(
            f"{file}: its times cannot be decoded: {reason}; write it with units such as `hours since 2020-01-01` and"
            " a calendar of CF, as with `cdo -r -setcalendar,standard IN OUT`"
        ) from None
    if file.inside:
        dataset.encoding["unpacked"] = unpacked_folder(file.path)  # the copy stays while the dataset is in use
    return dataset
