"""The files of a forecast: one CF Zarr, or a folder of CF NetCDF files, filled one part at a time."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from functools import cached_property
from textwrap import shorten
from typing import Any

import dask.array
import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.storage import MemoryStore

from corrstore.datasets.errors import BadInput, DamagedData, fault_of_file, writing
from corrstore.datasets.storage.folder import Folder
from corrstore.training.forecasts.header import Header, Part, variable_name

HEADER = "forecast.json"
_TIME = {"units": "seconds since 1970-01-01", "calendar": "standard", "dtype": "int64"}
_OF_COORDINATES = {
    **dict.fromkeys(("time", "init_time", "valid_time"), _TIME),
    "lead_time": {"units": "seconds", "dtype": "int64"},
}


@dataclass(frozen=True)
class Forecast:
    """A forecast in its folder. In the Zarr v3 group, whose chunks are fields, what is not drawn yet is NaN.

    `20200602T1500_000.nc` is a member's NetCDF file, `20200602T1500_regression.nc` the mean's, and of a run
    `20200602T1200_003h00_000.nc`. A field of the Zarr and a NetCDF file are written whole or not at all; a part is
    there when its last field is.
    """

    folder: Folder
    header: Header

    def create(self) -> None:
        """Write the metadata and coordinates. Several processes may do it at the same time: their bytes are the same.

        Raises BadInput, which names what differs, where another forecast is there.
        """
        if self.folder.exists(HEADER):
            self._check_same(open_forecast(self.folder.path()).header)
            return
        for key, content in self._zarr_objects().items() if self.header.format == "zarr" else ():
            self.folder.write(key, content)
        self.folder.write(HEADER, json.dumps(self.header.content, indent=1).encode())

    def has(self, part: Part) -> bool:
        """Return True where the part is there."""
        if self.header.format == "netcdf":
            return self.folder.exists(self._file(part))
        last = variable_name(list(self.header.channels)[-1], part)
        return self.folder.exists("/".join([last, "c", *map(str, self.header.place(part)), "0", "0"]))

    def write(self, part: Part, fields: NDArray[np.float32]) -> None:
        """Write a part: fields (channel, lat, lon) in physical units."""
        if self.header.format == "zarr":
            with writing(self.folder.path()):
                for channel, field in zip(self.header.channels, fields, strict=True):
                    self._array(variable_name(channel, part))[self.header.place(part)] = field
            return
        leading = (None,) * len(self.header.place(part))
        content = self.header.dataset(part, (field[leading] for field in fields))
        packed = {"zlib": True, "complevel": 1, "shuffle": True, "fletcher32": True}
        encoding: dict[Any, Any] = {**dict.fromkeys(content.data_vars, packed), **_coordinates(content)}
        self.folder.write(self._file(part), bytes(content.to_netcdf(engine="netcdf4", encoding=encoding)))

    def read(self, part: Part, channel: str) -> NDArray[np.float32]:
        """Return a channel's field (lat, lon); raises DamagedData where its checksum is wrong."""
        name = variable_name(channel, part)
        try:
            if self.header.format == "zarr":
                return np.asarray(self._array(name)[self.header.place(part)])
            with xr.open_dataset(self.folder.read(self._file(part)), engine="netcdf4") as content:
                return np.asarray(content[name]).reshape(self.header.target_grid.shape)
        except (ValueError, RuntimeError, OSError) as error:
            raise DamagedData(
                f"{self.folder.path()}: {name} of {self.header.name(part)} is damaged ({fault_of_file(error)}); draw"
                " the forecast again into another folder"
            ) from None

    def _array(self, name: str) -> zarr.Array[Any]:
        array = self._group[name]
        assert isinstance(array, zarr.Array)
        return array

    @cached_property
    def _group(self) -> zarr.Group:
        options = self.folder.storage_options or None
        return zarr.open_group(self.folder.path(), mode="r+", zarr_format=3, storage_options=options)

    def _file(self, part: Part) -> str:
        return f"{self.header.name(part)}.nc"

    def _zarr_objects(self) -> dict[str, bytes]:
        """The objects of the group without fields, its zarr.json last."""
        content: dict[str, Any] = {}
        compressor = BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle")
        sizes = (*(len(axis) for axis in self.header.axes.values()), self.header.members)
        for part in (Part(0, None), *([Part(0, 0)] if self.header.members else [])):
            count = len(self.header.place(part))
            chunk = (1,) * count + self.header.target_grid.shape
            empty = dask.array.empty(sizes[:count] + chunk[count:], chunks=chunk, dtype="float32")
            template = self.header.dataset(part, [empty] * len(self.header.channels), whole=True)
            field = {"chunks": chunk, "compressors": [compressor, Crc32cCodec()], "fill_value": np.float32(np.nan)}
            encoding: dict[Any, Any] = dict.fromkeys(template.data_vars, field)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Consolidated metadata")
                template.to_zarr(
                    MemoryStore(content),
                    mode="a",
                    compute=False,
                    zarr_format=3,
                    encoding={**encoding, **_coordinates(template)} if part.member is None else encoding,
                )
        objects = {key: buffer.to_bytes() for key, buffer in content.items()}
        return {key: objects[key] for key in sorted(objects, key=lambda key: (key == "zarr.json", key))}

    def _check_same(self, there: Header) -> None:
        ours, theirs = ({**each, **each["settings"]} for each in (self.header.content, there.content))
        differing = "\n".join(
            f"  {key}: there {_short(theirs.get(key))}, asked for {_short(ours.get(key))}"
            for key in sorted({*ours, *theirs} - {"settings", "lineage"})
            if ours.get(key) != theirs.get(key)
        )
        if differing:
            raise BadInput(
                f"{self.folder.url} holds another forecast; give another output. Different are:\n{differing}"
            )


def open_forecast(url: str) -> Forecast:
    """Return the forecast in a folder; raise BadInput where there is none, DamagedData where its header is none."""
    folder = Folder(url)
    if not folder.exists(HEADER):
        raise BadInput(f"no forecast at {url}: it has no {HEADER}; `corrstore sample` makes one")
    try:
        header = Header(**json.loads(folder.read(HEADER)))
    except (ValueError, TypeError):
        raise DamagedData(f"{folder.path(HEADER)} is damaged; draw the forecast again into another folder") from None
    return Forecast(folder, header)


def _coordinates(content: xr.Dataset) -> dict[Any, Any]:
    return {name: encoding for name, encoding in _OF_COORDINATES.items() if name in content.coords}


def _short(value: Any) -> str:
    return shorten(str(value), 100, placeholder=" ...")
