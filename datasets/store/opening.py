"""An open training store: its normalised and physical values, and the tables of its ledger."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property, partial
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorstore as ts
import zarr
from numpy.typing import NDArray

from corrstore.datasets.errors import BadInput, DamagedData
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.recipe.parts import ROLES, StoredRole
from corrstore.datasets.recipe.periods import Times
from corrstore.datasets.recipe.recipe import Recipe, recipe_from
from corrstore.datasets.recipe.sample_axes import SampleAxes
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.storage.key_values import key_value_spec
from corrstore.datasets.store.layout import LAYOUT_VERSION, StorePlan, fingerprint_of, stored_normalisation
from corrstore.datasets.store.ledger import (
    LEDGER,
    METADATA,
    SHARDS,
    UNFINISHED,
    check_objects,
    damaged,
    parsed_table,
    read_own,
)

if TYPE_CHECKING:
    import xarray as xr

_FIELDS = "fingerprint_fields"


@dataclass(frozen=True, repr=False)
class Store:
    """A finished training store, as its group metadata describes it."""

    folder: Folder
    attributes: dict[str, Any]

    def __repr__(self) -> str:
        recipe = self.recipe
        facts = {
            "path": self.folder.path(),
            "period": f"{recipe.interval}, every {recipe.frequency}",
            "samples": f"{len(self.axes.due_samples)}, {np.count_nonzero(self.valid)} of them valid",
        }
        for role in self.roles:
            names = [channel.name for channel in self.plan.channels(role)]
            facts[f"{role} grid"] = str(self.grid(role))
            facts[f"{role} channels"] = f"{len(names)}: {', '.join(names)}"
        facts |= {"dtype": recipe.store.dtype, "fingerprint": self.fingerprint}
        lines = (fill(f"  {name:<16}{fact}", 120, subsequent_indent=" " * 18) for name, fact in facts.items())
        return "\n".join([f"Training store: {recipe.title or recipe.name}", *lines])

    @cached_property
    def group(self) -> zarr.Group:
        """The Zarr group, opened by its consolidated metadata."""
        options = self.folder.storage_options or None
        return zarr.open_consolidated(self.folder.path(), mode="r", zarr_format=3, storage_options=options)

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe that the store was built from."""
        return recipe_from(self.attributes["recipe"], self.folder.path("zarr.json"))

    @cached_property
    def plan(self) -> StorePlan:
        """The plan of the store: recipe, constants, grids and channels."""
        constants = self.attributes[_FIELDS]
        return StorePlan(
            self.recipe,
            {role: [stored_normalisation(*each) for each in constants[role]["normalisation"]] for role in self.roles},
        )

    @property
    def roles(self) -> tuple[StoredRole, ...]:
        """The roles that the store has: input, target or both."""
        return self.recipe.roles

    @property
    def axes(self) -> SampleAxes:
        """The axes of the samples."""
        return self.plan.axes

    @property
    def fingerprint(self) -> str:
        """The fingerprint, which a checkpoint keeps of the store that it was trained on."""
        return str(self.attributes["fingerprint"])

    @cached_property
    def times(self) -> Times:
        """The valid time of each sample."""
        name = "time" if self.axes.inits is None else "valid_time"
        return self._coordinate(name).ravel().astype("datetime64[s]")

    @cached_property
    def valid(self) -> NDArray[np.bool_]:
        """True for each sample that is complete and inside its physical ranges."""
        return self._coordinate("valid").ravel()

    def grid(self, role: StoredRole) -> RectilinearGrid:
        """Return the grid of `input` or `target`, also of a target that only the store `like` has."""
        if role not in ROLES:
            raise BadInput(f"role: got {role!r}, expected one of {', '.join(ROLES)}")
        return self.plan.grid(role)

    @cached_property
    def arrays(self) -> dict[str, ts.TensorStore]:
        """The tensorstore arrays of the roles [*axes, channel, lat, lon]; raises BadInput as `key_value_spec`.

        Raises DamagedData where their metadata is not what was written.
        """
        check_objects(self.folder, lambda key: key in {f"{role}/{METADATA}" for role in self.roles})
        specs = {role: {"driver": "zarr3", "kvstore": key_value_spec(self.folder, role)} for role in self.roles}
        return {role: ts.open(spec, open=True, read=True).result() for role, spec in specs.items()}

    @cached_property
    def static(self) -> NDArray[np.float32]:
        """The static channels [channel, lat, lon] in physical units."""
        return self._coordinate("static")

    def stored(self, role: StoredRole, index: int, allow_invalid: bool = False) -> NDArray[Any]:
        """Return one sample's normalised values [channel, lat, lon].

        Raises BadInput for an unknown role, and where the sample is not valid unless `allow_invalid`; DamagedData as
        `check_shard`, and where a checksum in the shard is wrong.
        """
        self._check_role(role)
        if not self.axes.due[index]:
            raise BadInput(f"sample {index} ({self.axes.label(index)}) of {self.folder.url} is not due by its schedule")
        if not (allow_invalid or self.valid[index]):
            raise BadInput(
                f"sample {index} ({self.axes.label(index)}) of {self.folder.url} is not valid; skip it, or read it with"
                " allow_invalid=True"
            )
        self.check_shard(role, index)
        try:
            return np.asarray(self.group[role][self.axes.position(index)])  # type: ignore[index]
        except ValueError as error:
            raise self._damaged(role, index, f"cannot be read ({str(error).splitlines()[0]})") from None

    def check_shard(self, role: StoredRole, index: int) -> None:
        """Raise DamagedData where a sample's shard is no file, or has another size than was written.

        So another sample's shard in its place is found, whose own checksums are right. While a build is at work, the
        sizes are not compared.
        """
        found = self.folder.size(self.plan.shard_key(role, index))
        if found is None:
            raise self._damaged(role, index, "is not there, or is no file")
        if found == self._shard_sizes[role].get(index, found) or self.folder.exists(UNFINISHED):
            return
        self.__dict__.pop("_shard_sizes", None)  # a build may have ended since they were read
        if found != (stated := self._shard_sizes[role].get(index, found)):
            raise self._damaged(role, index, f"has {found:,} bytes, not the {stated:,} that were written")

    @cached_property
    def _shard_sizes(self) -> dict[str, dict[int, int]]:
        """The bytes of each shard, by role and index; none where the ledger has no table of them."""
        columns = ["index", "role", "bytes"]
        if not self.folder.exists(SHARDS):
            return {role: {} for role in self.roles}
        rows = read_own(self.folder, SHARDS, lambda content: parsed_table(content, columns))
        return {
            role: dict(zip(*(part[name].to_pylist() for name in ("index", "bytes")), strict=True))
            for role in self.roles
            for part in [rows.filter(pc.equal(rows["role"], role))]
        }

    def physical(self, role: StoredRole, index: int, allow_invalid: bool = False) -> NDArray[np.float64]:
        """Return one sample in physical units [channel, lat, lon], float64: the values that the statistics describe.

        Raises BadInput and DamagedData as `stored`.
        """
        stored = self.stored(role, index, allow_invalid)
        return np.stack(
            [each.decode(field) for each, field in zip(self.plan.normalisations[role], stored, strict=True)]
        )

    def dataset(self, role: StoredRole, channels: Sequence[str] | None = None) -> xr.Dataset:
        """Return the fields of `input` or `target` as CF variables in physical units, read lazily.

        They are (time, lat, lon) or, of forecasts, (init_time, lead_time, lat, lon).

        `channels` names the fields to return, all of them by default. Raises BadInput for an unknown role or channel.
        """
        self._check_role(role)
        names = [channel.name for channel in self.plan.channels(role)]
        wanted = names if channels is None else channels
        for name in wanted:
            if name not in names:
                nearest = sorted(names, key=lambda known: -SequenceMatcher(None, known, name).ratio())
                raise BadInput(f"channel: got {name!r}, expected a {role} channel of the store: {', '.join(nearest)}")
        from corrstore.datasets.store.fields import physical_dataset  # xarray and dask, which opening a store needs not

        return physical_dataset(self.plan, role, list(wanted), partial(self.stored, role, allow_invalid=True))

    def _coordinate(self, name: str) -> NDArray[Any]:
        """Return an array whose chunks have no checksum, held against the manifest; raises DamagedData."""
        check_objects(self.folder, lambda key: key.startswith(f"{name}/"))
        return np.asarray(self.group[name][...])  # type: ignore[index]

    def _damaged(self, role: StoredRole, index: int, how: str) -> DamagedData:
        key = self.plan.shard_key(role, index)
        return DamagedData(
            f"{self.folder.path(key)}, the shard of sample {index} ({self.axes.label(index)}), {how}; run"
            f" `corrstore verify {self.folder.url}`, then build with --repair"
        )

    def _check_role(self, role: str) -> None:
        if role not in self.roles:
            raise BadInput(f"role: got {role!r}, expected one of {', '.join(self.roles)}, which {self.folder.url} has")

    def table(self, key: str) -> pa.Table:
        """Return a table of the ledger by its key, see `datasets.store.ledger`; raises DamagedData where it is none."""
        content = read_own(self.folder, key, bytes)
        check_objects(self.folder, lambda each: each == key, {key: content})
        return read_own(self.folder, key, lambda _: parsed_table(content))


def open_store(url: str, storage_options: dict[str, Any] | None = None) -> Store:
    """Open a finished store.

    Raises BadInput where there is none, it is unfinished, or has another layout version, and DamagedData where its
    metadata is not what was written.
    """
    folder = Folder(str(url), storage_options or {})
    if not folder.exists(METADATA):
        state = "is an unfinished build; run the same `corrstore build` again" if folder.exists(LEDGER) else "has none"
        raise BadInput(f"no training store at {url}: a store has zarr.json, and this {state}")
    store = Store(folder, read_attributes(folder))
    _ = store.group  # read at once: a later extension of the store does not change this object
    return store


def read_attributes(folder: Folder) -> dict[str, Any]:
    """Return corrstore's attributes of a store's metadata; raises as `open_store`."""
    content = folder.read(METADATA)
    try:
        attributes = json.loads(content)["attributes"]["corrstore"]
        version, fingerprint, fields = (attributes[key] for key in ("layout_version", "fingerprint", _FIELDS))
    except (ValueError, KeyError, TypeError):
        if folder.exists(LEDGER):
            raise damaged(folder, METADATA, "it lacks corrstore's attributes") from None
        raise BadInput(f"{folder.url}/zarr.json is not the metadata of a corrstore training store") from None
    if version in range(1, LAYOUT_VERSION):
        raise BadInput(
            f"{folder.url} has layout version {version}, this corrstore reads {LAYOUT_VERSION};"
            f" `corrstore convert {folder.url} NEW` writes it anew, without its archives"
        )
    check_objects(folder, lambda key: key == METADATA, {METADATA: content})
    if version != LAYOUT_VERSION or fingerprint_of(fields) != fingerprint:
        raise damaged(folder, METADATA, "its constants have another fingerprint than it states")
    return attributes
