"""The files of a forecast: one CF Zarr, or a folder of CF NetCDF files, filled one part at a time."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import dask.array
import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec
from zarr.storage import MemoryStore

from datasets.errors import BadInput
from datasets.grids import RectilinearGrid
from datasets.periods import Times, format_time, parse_time, time_key
from datasets.storage import Folder

Fields = NDArray[np.float32]
Format = Literal["zarr", "netcdf"]
_SETTINGS = "corrstore_forecast"
_ZSTD = BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle")


class Part(NamedTuple):
    """What is drawn and written at once: all channels of a member, or of the regression's mean (None), at a time.

    `time` is the position in the forecast's times.
    """

    time: int
    member: int | None


@dataclass(frozen=True)
class Header:
    """What a forecast holds: `settings` is how it was drawn, `attributes` the CF attributes of each channel."""

    title: str
    times: Times
    members: int
    grid: RectilinearGrid
    attributes: dict[str, dict[str, Any]]
    settings: dict[str, Any]

    @property
    def parts(self) -> list[Part]:
        """All the parts, time by time."""
        members = [None, *range(self.members)]
        return [Part(time, member) for time in range(len(self.times)) for member in members]

    def dataset(self, times: slice, realizations: slice | None, data: dict[str, Any]) -> xr.Dataset:
        """The data of the members `realizations`, or of the regression (None), at `times`, with all attributes."""
        dims = ("time", "lat", "lon") if realizations is None else ("time", "realization", "lat", "lon")
        variables = {name: (dims, field, self._attributes_of(name)) for name, field in data.items()}
        coordinates: dict[str, Any] = {
            "time": ("time", self.times[times], {"standard_name": "time", "axis": "T", "long_name": "valid time"}),
            "lat": ("lat", self.grid.lat, {"standard_name": "latitude", "units": "degrees_north", "axis": "Y"}),
            "lon": ("lon", self.grid.lon, {"standard_name": "longitude", "units": "degrees_east", "axis": "X"}),
        }
        if realizations is not None:
            numbers = np.arange(self.members, dtype=np.int32)[realizations]
            coordinates["realization"] = ("realization", numbers, {"standard_name": "realization", "units": "1"})
        settings = json.dumps(self.settings, sort_keys=True)
        attributes = {"Conventions": "CF-1.11", "title": self.title, "source": self.source, _SETTINGS: settings}
        return xr.Dataset(variables, coordinates, attributes)

    @property
    def source(self) -> str:
        """What drew the forecast."""
        return f"corrstore, checkpoint {self.settings['checkpoint']} on {self.settings['input']}"

    def _attributes_of(self, name: str) -> dict[str, Any]:
        channel = name.removesuffix(_REGRESSION)
        attributes = self.attributes[channel]
        if channel == name:
            return attributes
        return {**attributes, "long_name": f"{attributes['long_name']}, mean by the regression"}


_REGRESSION = "_regression"


def variable_name(channel: str, member: int | None) -> str:
    """The name of a channel's variable: its own in the members, `t2m_regression` in the regression's mean."""
    return channel if member is not None else channel + _REGRESSION


@dataclass(frozen=True)
class ZarrForecast:
    """A Zarr v3 group of variables (time, realization, lat, lon) and (time, lat, lon), a field a chunk.

    A chunk is written whole or not at all, and a part's mark in `drawn`, or in `regression_drawn`, after all of its
    fields. What is not drawn yet is NaN.
    """

    folder: Folder

    def create(self, header: Header) -> None:
        """Write all but the fields. Any process may do it, at the same time as others: the bytes are the same."""
        objects: dict[str, Any] = {}
        for each in self._templates(header):
            encoding: dict[str, Any] = {
                name: {"chunks": tuple(sizes[0] for sizes in variable.chunks), "fill_value": 0}
                if name.endswith("drawn")
                else {
                    "chunks": tuple(sizes[0] for sizes in variable.chunks),
                    "compressors": [_ZSTD],
                    "fill_value": np.float32(np.nan),
                }
                for name, variable in each.variables.items()
                if variable.chunks
            }
            encoding["time"] = {"units": "seconds since 1970-01-01", "calendar": "standard", "dtype": "int64"}
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Consolidated metadata")
                each.to_zarr(MemoryStore(objects), mode="a", compute=False, zarr_format=3, encoding=encoding)
        for key in sorted(objects, key=lambda key: (key == "zarr.json", key)):
            self.folder.write(key, objects[key].to_bytes())

    def settings(self) -> dict[str, Any] | None:
        """The settings of what is there, None where there is nothing."""
        return json.loads(str(self.group.attrs[_SETTINGS])) if self.folder.exists("zarr.json") else None

    def has(self, part: Part) -> bool:
        """Whether the part is there, whole."""
        name, index = self._mark(part)
        return bool(self._array(name)[index])

    def write(self, header: Header, part: Part, fields: Fields) -> None:
        """Write a part, fields (channel, lat, lon) in physical units; the mark last."""
        index = part.time if part.member is None else (part.time, part.member)
        for channel, field in zip(header.attributes, fields, strict=True):
            self._array(variable_name(channel, part.member))[index] = field
        name, index = self._mark(part)
        self._array(name)[index] = 1

    def read(self, part: Part, channel: str) -> Fields:
        """A part's field (lat, lon) of a channel."""
        index = part.time if part.member is None else (part.time, part.member)
        return np.asarray(self._array(variable_name(channel, part.member))[index])

    @cached_property
    def group(self) -> zarr.Group:
        """The Zarr group."""
        options = self.folder.storage_options or None
        return zarr.open_group(self.folder.path(), mode="r+", zarr_format=3, storage_options=options)

    def _array(self, name: str) -> zarr.Array[Any]:
        found = self.group[name]
        assert isinstance(found, zarr.Array)
        return found

    @staticmethod
    def _mark(part: Part) -> tuple[str, Any]:
        return ("regression_drawn", part.time) if part.member is None else ("drawn", (part.time, part.member))

    @staticmethod
    def _templates(header: Header) -> Iterator[xr.Dataset]:
        everything = slice(None)
        for members in (None, *([header.members] if header.members else [])):
            leading = (len(header.times),) if members is None else (len(header.times), members)
            ones = (1,) * len(leading)
            empty = dask.array.empty(leading + header.grid.shape, np.float32, chunks=ones + header.grid.shape)
            names = [variable_name(channel, members) for channel in header.attributes]
            template = header.dataset(everything, None if members is None else everything, dict.fromkeys(names, empty))
            marks = dask.array.empty(leading, np.int8, chunks=ones)
            attributes = {"long_name": "1 where the fields are complete", "units": "1"}
            dims = ("time", "realization")[: len(leading)]
            yield template.assign({"drawn" if members else "regression_drawn": (dims, marks, attributes)})


@dataclass(frozen=True)
class NetCDFForecast:
    """A folder of NetCDF files, one a part: `20200602T1500_000.nc` is a member, `..._regression.nc` the mean."""

    folder: Folder

    def create(self, header: Header) -> None:
        """Nothing: each file has all that it needs."""

    def settings(self) -> dict[str, Any] | None:
        """The settings of what is there, None where there is nothing."""
        names = [name for name in self.folder.names("") if name.endswith(".nc")]
        return json.loads(self._dataset(names[0]).attrs[_SETTINGS]) if names else None

    def has(self, part: Part) -> bool:
        """Whether the part is there, whole."""
        return self.folder.exists(self._name(part))

    def write(self, header: Header, part: Part, fields: Fields) -> None:
        """Write a part, fields (channel, lat, lon) in physical units."""
        member = part.member
        extra = (None,) if member is None else (None, None)
        names = [variable_name(channel, member) for channel in header.attributes]
        data = {name: field[extra] for name, field in zip(names, fields, strict=True)}
        realizations = None if member is None else slice(member, member + 1)
        content = header.dataset(slice(part.time, part.time + 1), realizations, data)
        encoding: dict[str, Any] = {name: {"zlib": True, "complevel": 1, "shuffle": True} for name in names}
        encoding["time"] = {"units": "seconds since 1970-01-01", "calendar": "standard", "dtype": "int64"}
        self.folder.write(self._name(part), bytes(content.to_netcdf(engine="h5netcdf", encoding=encoding)))
