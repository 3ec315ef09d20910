"""NetCDF and Zarr archives: slices of their variables as references, and the values of one slice."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Iterable
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xarray as xr
from numpy.typing import NDArray

from corrstore.datasets.archives.references import REFERENCE_SCHEMA, FieldReference
from corrstore.datasets.archives.table import SourceTable
from corrstore.datasets.errors import BadInput, DamagedData
from corrstore.datasets.grids.axes import regular_axis
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.recipe.periods import Interval
from corrstore.datasets.variables.channels import Channel

_AXES = {
    "lat": ("latitude", "lat"),
    "lon": ("longitude", "lon"),
    "time": ("valid_time", "time"),
    "level": ("pressure_level", "level", "isobaricInhPa", "plev"),
    "expver": ("expver",),
    "member": ("number",),
}


def references(
    path: str,
    format: str,
    table: SourceTable,
    channels: Iterable[Channel],
    period: Interval,
    options: dict[str, Any],
) -> pa.Table:
    """List the slices of a NetCDF file or Zarr group that hold the channels at times in the period."""
    rows: list[dict[str, Any]] = []
    for inside in _files_inside(path) if format == "netcdf" else [""]:
        dataset = _open(path, inside, format, json.dumps(options))
        for channel in channels:
            rule = table.fields.get(channel.variable.name)
            for name in (name for name in (rule.names if rule else []) if name in dataset):
                if rule and _fits(dataset, name, channel):
                    common = {
                        "channel": channel.name,
                        "format": format,
                        "path": path,
                        "inside": inside,
                        "name": name,
                        "offset": 0,
                        "length": 0,
                        "part": 0,
                        "lead_time": 0,
                        "grid_hash": _grid(dataset).hash,
                        "scale": rule.scale,
                        "add_offset": rule.offset,
                        "grid_relative": False,
                    }
                    rows += [{**common, **row} for row in _slices(dataset, name, channel, rule.accumulates, period)]
    return pa.Table.from_pylist(rows, schema=REFERENCE_SCHEMA)


def read(reference: FieldReference, options: dict[str, Any]) -> tuple[np.ndarray, RectilinearGrid]:
    """Return the referenced slice as float32 [lat, lon] in the file's units and order, and its grid."""
    dataset = _open(reference.path, reference.inside, reference.format, json.dumps(options))
    field = dataset[reference.name].isel(json.loads(reference.indexers))
    field = field.transpose(_axis(dataset, "lat"), _axis(dataset, "lon"))
    return np.asarray(field.values, dtype=np.float32), _grid(dataset)


def _slices(
    dataset: xr.Dataset, name: str, channel: Channel, accumulates: str | None, period: Interval
) -> Iterable[dict[str, Any]]:
    dimensions = dataset[name].dims
    time, level, expver = (_axis(dataset, axis) or "" for axis in ("time", "level", "expver"))
    times = np.atleast_1d(dataset[time].values).astype("datetime64[s]") if time else np.array(["NaT"], "M8[s]")
    wanted = [int(i) for i in np.flatnonzero(period.mask(times) | channel.variable.static)]
    fixed: dict[str, int] = {}
    if channel.level is not None and level in dimensions:
        levels = np.atleast_1d(dataset[level].values).astype(float)
        here = np.flatnonzero(np.isclose(levels, channel.level))
        if len(here) == 0:
            return
        fixed[level] = int(here[0])
    experiments = np.atleast_1d(dataset[expver].values) if expver else np.array([""])
    each_experiment = range(len(experiments)) if expver in dimensions else [None]
    for i, experiment in product(wanted, each_experiment):
        indexers = dict(fixed)
        if time in dimensions:
            indexers[time] = i
        if experiment is not None:
            indexers[expver] = experiment
        for dimension in set(dimensions) - {*indexers, _axis(dataset, "lat"), _axis(dataset, "lon")}:
            if dataset.sizes[dimension] != 1:
                raise BadInput(
                    f"variable {name} has dimension {dimension} of {dataset.sizes[dimension]}:"
                    " corrstore reads one member; select it first"
                )
            indexers[str(dimension)] = 0
        if experiment is not None and bool(dataset[name].isel(indexers).isnull().all()):
            continue  # the file pads an experiment with NaN where it has no data
        which = experiment if experiment is not None else min(i, len(experiments) - 1)
        yield {
            "valid_time": times[i],
            "window_start": _window_start(times[i], accumulates),
            "expver": str(experiments[which]).zfill(4) if expver else "",
            "indexers": json.dumps(indexers),
        }


def _window_start(time: np.datetime64, accumulates: str | None) -> np.datetime64 | None:
    if accumulates is None:
        return None
    if accumulates == "day":
        return (time - np.timedelta64(1, "s")).astype("M8[D]").astype("M8[s]")
    return time - np.timedelta64(1, "h")


def _axis(dataset: xr.Dataset, axis: str) -> str | None:
    names = {*dataset.variables, *dataset.dims}
    return next((name for name in _AXES[axis] if name in names), None)


def _fits(dataset: xr.Dataset, name: str, channel: Channel) -> bool:
    """Return whether the variable has levels exactly if the channel has one, and one time if the channel is static.

    A file of one level alone may not state that level.
    """
    level, time = _axis(dataset, "level"), _axis(dataset, "time")
    on_levels = level in dataset[name].dims or level in dataset[name].coords
    once = time not in dataset[name].dims or dataset.sizes[time] == 1
    return on_levels == (channel.level is not None) and (once or not channel.variable.static)


@lru_cache(maxsize=8)
def _open(path: str, inside: str, format: str, options: str) -> xr.Dataset:
    if format == "zarr":
        try:
            return xr.open_zarr(path, chunks=None, storage_options=json.loads(options) or None)
        except (OSError, ValueError, ImportError) as error:
            raise BadInput(f"{path} cannot be read as Zarr: {error}; correct the path or storage_options") from None
    try:
        return xr.open_dataset(_unzipped(path, inside), engine="netcdf4")
    except OSError as error:
        raise DamagedData(f"{path} cannot be read as NetCDF: {error.strerror or error}; fetch it again") from None


@lru_cache(maxsize=8)
def _grid_of(lat: bytes, lon: bytes) -> RectilinearGrid:
    return RectilinearGrid(_regular(np.frombuffer(lat)), _regular(np.frombuffer(lon)))


def _regular(axis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a regular axis made from its rounded ends: files keep it in float32, and the errors would add up."""
    if len(axis) < 2:
        return axis
    exact = regular_axis(round(float(axis[0]), 4), round(float(axis[-1]), 4), len(axis))
    return exact if np.allclose(exact, axis, rtol=0, atol=1e-4) else axis


def _grid(dataset: xr.Dataset) -> RectilinearGrid:
    lat_name, lon_name = _axis(dataset, "lat"), _axis(dataset, "lon")
    if lat_name is None or lon_name is None:
        raise BadInput(f"no latitude and longitude among {', '.join(map(str, dataset.variables))}")
    lat = np.asarray(dataset[lat_name].values, dtype=np.float64)
    lon = np.asarray(dataset[lon_name].values, dtype=np.float64)
    return _grid_of(lat.tobytes(), lon.tobytes())


def _files_inside(path: str) -> list[str]:
    """Return the names of the files in a ZIP archive, whatever its suffix; one empty name for any other file."""
    if not zipfile.is_zipfile(path):
        return [""]
    with zipfile.ZipFile(path) as archive:
        return [name for name in sorted(archive.namelist()) if not name.endswith("/")]


def _unzipped(path: str, inside: str) -> str:
    return str(Path(_extracted(path).name) / inside) if inside else path


@lru_cache(maxsize=64)
def _extracted(archive: str) -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory(prefix="corrstore-")
    with zipfile.ZipFile(archive) as content:
        content.extractall(folder.name)
    return folder
