"""The files of a forecast: one CF Zarr, or a folder of CF NetCDF files, filled one part at a time."""

from __future__ import annotations

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

from corrstore.datasets.errors import BadInput, CorrstoreError, DamagedData, fault_of_file, writing
from corrstore.datasets.storage.folder import Folder, checksum
from corrstore.datasets.store.ledger import METADATA, damaged, read_json, read_own, sealed_json
from corrstore.training.forecasts.header import Header, Part, variable_name

HEADER = "forecast.json"
_OBJECTS = "objects"
"""The key of the header's file that holds the SHA-256 of metadata and coordinates."""
_AGAIN = "give the same `corrstore sample` again, which writes it anew"
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
        """Write the header, which claims the folder, then the metadata and coordinates that are not there or damaged.

        Several processes may do it at the same time: their bytes are the same. Raises BadInput, which names what
        differs, where another forecast is there.
        """
        objects = self._zarr_objects() if self.header.format == "zarr" else {}
        stated = {key: checksum(content) for key, content in objects.items()}
        if not self.folder.exists(HEADER):
            self._refuse_parts_of_another(objects)
        if not self.folder.create(HEADER, sealed_json({**self.header.content, _OBJECTS: stated})):
            self._check_same(open_forecast(self.folder.path()).header)
            stated = _read_header(self.folder).get(_OBJECTS, {})
        for key, content in objects.items():
            if not self.folder.exists(key) or (stated.get(key) == checksum(content) != checksum(self.folder.read(key))):
                self.folder.write(key, content)

    def _refuse_parts_of_another(self, objects: dict[str, bytes]) -> None:
        """Raise BadInput where a folder that has lost its header holds parts with other settings than these."""
        same = True
        if self.header.format == "zarr":
            same = not self.folder.exists(METADATA) or self.folder.read(METADATA) == objects[METADATA]
        else:
            for part in (part for part in self.header.parts if self.has(part)):
                with xr.open_dataset(self.folder.read(self._file(part)), engine="netcdf4") as content:
                    same = same and content.attrs == self.header.dataset(part, [], whole=True).attrs
        if not same:
            raise BadInput(f"{self.folder.url} holds parts of another forecast; give another output")

    def has(self, part: Part) -> bool:
        """Return True where the part is there."""
        if self.header.format == "netcdf":
            return self.folder.has_object(self._file(part))
        return self.folder.has_object(self._chunk(part, list(self.header.channels)[-1]))

    def write(self, part: Part, fields: NDArray[np.float32]) -> None:
        """Write a part: fields (channel, lat, lon) in physical units."""
        if self.header.format == "zarr":
            for channel, field in zip(self.header.channels, fields, strict=True):
                with writing(self.folder.path(self._chunk(part, channel))):
                    self._array(variable_name(channel, part))[self.header.place(part)] = field
            return
        leading = (None,) * len(self.header.place(part))
        content = self.header.dataset(part, (field[leading] for field in fields))
        packed = {"zlib": True, "complevel": 1, "shuffle": True, "fletcher32": True}
        encoding: dict[Any, Any] = {**dict.fromkeys(content.data_vars, packed), **_coordinates(content)}
        self.folder.write(self._file(part), bytes(content.to_netcdf(engine="netcdf4", encoding=encoding)))

    def read(self, part: Part, channel: str) -> NDArray[np.float32]:
        """Return a channel's field (lat, lon); raises DamagedData where it is not there, or its checksum is wrong."""
        name = variable_name(channel, part)
        try:
            if self.header.format == "zarr":
                if not self.folder.has_object(chunk := self._chunk(part, channel)):
                    other = self.folder.exists(chunk)
                    raise ValueError(f"{chunk} is no file: remove it too" if other else "its chunk is not there")
                return np.asarray(self._array(name)[self.header.place(part)])
            with xr.open_dataset(self.folder.read(self._file(part)), engine="netcdf4") as content:
                return np.asarray(content[name]).reshape(self.header.target_grid.shape)
        except CorrstoreError:
            raise
        except Exception as error:
            last = f"its last channel's {self._chunk(part, list(self.header.channels)[-1])}"
            file = self._file(part) if self.header.format == "netcdf" else last
            raise DamagedData(
                f"{self.folder.path()}: {name} of {self.header.name(part)} is damaged ({fault_of_file(error)}); remove"
                f" {file}, and give the same `corrstore sample` again, which draws this part anew"
            ) from None

    def _chunk(self, part: Part, channel: str) -> str:
        return "/".join([variable_name(channel, part), "c", *map(str, self.header.place(part)), "0", "0"])

    def _array(self, name: str) -> zarr.Array[Any]:
        array = self._group[name]
        assert isinstance(array, zarr.Array)
        return array

    @cached_property
    def _group(self) -> zarr.Group:
        stated = _read_header(self.folder).get(_OBJECTS, {}).get(METADATA)
        if stated is not None and checksum(read_own(self.folder, METADATA, bytes, _AGAIN)) != stated:
            raise damaged(self.folder, METADATA, "it has another SHA-256 than the header states", _AGAIN)
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
    if not folder.exists(HEADER) and HEADER not in folder.names(""):
        raise BadInput(f"no forecast at {url}: it has no {HEADER}; `corrstore sample` makes one")
    try:
        content = _read_header(folder)
        return Forecast(folder, Header(**{key: value for key, value in content.items() if key != _OBJECTS}))
    except (TypeError, AttributeError) as error:
        raise damaged(folder, HEADER, str(error), f"remove it, and {_AGAIN}") from None


def _read_header(folder: Folder) -> dict[str, Any]:
    found: dict[str, Any] = read_json(folder, HEADER, f"remove it, and {_AGAIN}")
    return found


def _coordinates(content: xr.Dataset) -> dict[Any, Any]:
    return {name: encoding for name, encoding in _OF_COORDINATES.items() if name in content.coords}


def _short(value: Any) -> str:
    return shorten(str(value), 100, placeholder=" ...")
