"""Opening a training store: its numbers, normalised or physical, and what its ledger says."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorstore as ts
import xarray as xr
import zarr
from numpy.typing import NDArray

from corrstore.datasets.errors import BadInput
from corrstore.datasets.grids.grid import RectilinearGrid
from corrstore.datasets.recipe.periods import Times
from corrstore.datasets.recipe.recipe import Recipe, recipe_from
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.constants import Constants, stored_normalisation
from corrstore.datasets.store.layout import LAYOUT_VERSION, ROLES, Normalisations, StoredRole, StorePlan


@dataclass(frozen=True)
class Store:
    """A finished training store, as its group metadata describes it."""

    folder: Folder
    attributes: dict[str, Any]

    @cached_property
    def group(self) -> zarr.Group:
        """The Zarr group, read by its consolidated metadata."""
        options = self.folder.storage_options or None
        return zarr.open_consolidated(self.folder.path(), mode="r", zarr_format=3, storage_options=options)

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe that it was built by."""
        return recipe_from(self.attributes["recipe"], self.folder.path("zarr.json"))

    @cached_property
    def plan(self) -> StorePlan:
        """Recipe, constants, grids and channels."""
        constants = self.attributes["fingerprint_fields"]
        return StorePlan(
            self.recipe,
            {role: [stored_normalisation(*each) for each in constants[role]["normalisation"]] for role in ROLES},
        )

    @property
    def fingerprint(self) -> str:
        """What a checkpoint remembers of the store that it was trained on."""
        return str(self.attributes["fingerprint"])

    @cached_property
    def times(self) -> Times:
        """The valid times of the samples."""
        return np.asarray(self.group["time"][:]).astype("datetime64[s]")  # type: ignore[index]

    @cached_property
    def valid(self) -> NDArray[np.bool_]:
        """Which samples are complete and inside their physical ranges."""
        return np.asarray(self.group["valid"][:])  # type: ignore[index]

    def grid(self, role: StoredRole) -> RectilinearGrid:
        """The grid of `input` or `target`."""
        return self.plan.grid(role)

    @cached_property
    def arrays(self) -> dict[str, ts.TensorStore]:
        """`input` and `target` as tensorstore arrays [time, channel, lat, lon] (stores on a mounted folder)."""
        if not self.folder.is_local:
            raise BadInput(f"{self.folder.url}: arrays of a remote store are read through `group`")
        return {
            role: ts.open(
                {"driver": "zarr3", "kvstore": {"driver": "file", "path": self.folder.path(f"{role}/")}},
                open=True,
                read=True,
            ).result()
            for role in ROLES
        }

    @cached_property
    def static(self) -> NDArray[np.float32]:
        """The static channels [channel, lat, lon] in physical units."""
        return np.asarray(self.group["static"][...])  # type: ignore[index]

    def stored(self, role: StoredRole, index: int, allow_invalid: bool = False) -> NDArray[Any]:
        """One sample's normalised numbers [channel, lat, lon]; BadInput where it is not valid, unless allowed."""
        if not (allow_invalid or self.valid[index]):
            raise BadInput(
                f"sample {index} ({self.times[index]}) of {self.folder.url} is not valid; skip it, or read it with"
                " allow_invalid=True"
            )
        return np.asarray(self.group[role][index])  # type: ignore[index]

    def physical(self, role: StoredRole, index: int, allow_invalid: bool = False) -> NDArray[np.float64]:
        """One sample in physical units [channel, lat, lon], float64: exactly what the statistics are of."""
        stored = self.stored(role, index, allow_invalid)
        return np.stack(
            [each.decode(field) for each, field in zip(self.plan.normalisations[role], stored, strict=True)]
        )

    def dataset(self, role: StoredRole) -> xr.Dataset:
        """The fields of `input` or `target` as named CF variables in physical units (time, lat, lon), read lazily."""
        options = self.folder.storage_options or None
        raw = xr.open_zarr(self.folder.path(), chunks=None, consolidated=True, storage_options=options)
        height, width = self.grid(role).shape
        stack = raw[role].chunk({"time": 1, f"{role}_channel": -1, raw[role].dims[2]: height, raw[role].dims[3]: width})
        names = {"input_lat": "lat", "input_lon": "lon"} if role == "input" else {}
        fields = {}
        for position, (channel, normalisation) in enumerate(
            zip(self.plan.channels(role), self.plan.normalisations[role], strict=True)
        ):
            field = stack.isel({f"{role}_channel": position}, drop=True).rename(names)
            decoded = xr.apply_ufunc(
                lambda stored, each=normalisation: each.decode_float32(stored),
                field,
                dask="parallelized",
                output_dtypes=[np.float32],
            )
            decoded.attrs = _attributes(self.recipe, channel)
            fields[channel.name] = decoded.reset_coords(drop=True)
        return xr.Dataset(fields, attrs={"Conventions": "CF-1.11", "title": self.recipe.title})

    def table(self, key: str) -> pa.Table:
        """A table of the ledger, by its key (datasets.store.ledger)."""
        return pq.read_table(pa.BufferReader(self.folder.read(key)))


def _attributes(recipe: Recipe, channel: Any) -> dict[str, Any]:
    variable = channel.variable
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


def open_store(url: str, storage_options: dict[str, Any] | None = None) -> Store:
    """Open a finished store; BadInput where there is none, it is unfinished, or its layout is another."""
    folder = Folder(str(url), storage_options or {})
    if not folder.exists("zarr.json"):
        state = (
            "is an unfinished build; run the same `corrstore build` again" if folder.exists("ledger") else "has none"
        )
        raise BadInput(f"no training store at {url}: a store has zarr.json, and this {state}")
    try:
        attributes = json.loads(folder.read("zarr.json"))["attributes"]["corrstore"]
    except (ValueError, KeyError):
        raise BadInput(f"{url}/zarr.json is not the metadata of a corrstore training store") from None
    if attributes["layout_version"] != LAYOUT_VERSION:
        raise BadInput(
            f"{url} has layout version {attributes['layout_version']}, this corrstore reads {LAYOUT_VERSION};"
            " install the corrstore that built it, or build it again"
        )
    store = Store(folder, attributes)
    _ = store.group  # read now: a store that grows later stays, for this reader, as it was opened
    return store


def constants_from_store(recipe: Recipe, url: str) -> Constants:
    """Another store's constants for the recipe's channels; BadInput where it lacks one or transforms it otherwise."""
    other = open_store(url).plan
    constants: Normalisations = {}
    for role in ROLES:
        known = dict(zip([channel.name for channel in other.channels(role)], other.normalisations[role], strict=True))
        for channel in recipe.channels[role]:
            theirs, wanted = known.get(channel.name), recipe.transform_name(channel)
            if theirs is None or theirs.transform.name != wanted:
                has = "does not have it" if theirs is None else f"transforms it by {theirs.transform.name}"
                raise BadInput(
                    f"normalisation.constants_from {url}: {role} {channel.name} ({wanted}): that store {has}"
                )
        constants[role] = [known[channel.name] for channel in recipe.channels[role]]
    return Constants(constants, {f"constants of normalisation taken from {url}": 1})
