"""The layout of a training store: its grids, channels, shards and fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.recipe.parts import StoredRole
from corrstore.datasets.recipe.recipe import Recipe
from corrstore.datasets.recipe.sample_axes import SampleAxes
from corrstore.datasets.store.shard import ShardLayout
from corrstore.datasets.variables.channels import Channel
from corrstore.datasets.variables.normalisation import Normalisation
from corrstore.datasets.variables.transforms import transform_named

LAYOUT_VERSION = 3
_FINGERPRINT_VERSION = 2
"""The version of the fields of a fingerprint; a layout that gives a model the same numbers does not change it."""
Normalisations = dict[StoredRole, list[Normalisation]]
_INPUT_CHUNK = 32
"""Largest inner chunk of the input, on its coarse grid: it holds 256 target pixels at 0.25 to 0.03 degree."""


def role_normalisations(fields: Mapping[str, Any], role: StoredRole) -> list[Normalisation]:
    """Return the normalisations of a role's channels from the fields of a fingerprint; floors and caps are exact."""
    channels = zip(fields[role]["channels"], fields[role]["normalisation"], strict=True)
    floors, caps, dtype = fields["floors"], fields.get("caps", {}), fields["dtype"]
    return [stored_normalisation(*each).keeping(dtype, floors.get(name), caps.get(name)) for name, each in channels]


def stored_normalisation(transform: str, mean: float, std: float) -> Normalisation:
    """Return the normalisation that a store keeps as the name of its transform, mean and standard deviation."""
    return Normalisation(transform_named(transform), mean, std)


@dataclass(frozen=True)
class StorePlan:
    """The recipe and the constants: beside the archives, all that the bytes of a store's samples depend on.

    Its `normalisations` keep the recipe's floors and caps exactly.
    """

    recipe: Recipe
    normalisations: Normalisations

    def __post_init__(self) -> None:
        recipe = self.recipe
        kept: Normalisations = {
            role: [
                each.keeping(recipe.store.dtype, recipe.floors.get(channel.name), recipe.caps.get(channel.name))
                for channel, each in zip(self.channels(role), constants, strict=True)
            ]
            for role, constants in self.normalisations.items()
        }
        object.__setattr__(self, "normalisations", kept)

    @property
    def roles(self) -> tuple[StoredRole, ...]:
        """The roles that the store has."""
        return self.recipe.roles

    @cached_property
    def axes(self) -> SampleAxes:
        """The axes of the samples."""
        return self.recipe.axes

    def grid(self, role: StoredRole) -> RectilinearGrid:
        """Return the grid of `input` or `target`; the static fields are on the target's, also without a target."""
        return self.recipe.target_grid if role == "target" else self.recipe.specs[role].store_grid

    def channels(self, role: StoredRole) -> list[Channel]:
        """Return the channels of `input` or `target`."""
        return self.recipe.channels[role]

    def shard_layout(self, role: StoredRole) -> ShardLayout:
        """Return the layout of a shard of `input` or `target`."""
        store = self.recipe.store
        chunk = min(store.chunk, _INPUT_CHUNK) if role == "input" else store.chunk
        return ShardLayout((len(self.channels(role)), *self.grid(role).shape), store.dtype, chunk, store.codec)

    def shard_key(self, role: StoredRole, index: int) -> str:
        """Return the key of a sample's shard."""
        return "/".join([role, "c", *map(str, self.axes.position(index)), "0", "0", "0"])

    def fingerprint_fields(self) -> dict[str, Any]:
        """Return what a model trained on this store relies on; samples and splits are not part of it.

        Of a target that only the store `like` has, it has the grid.
        """
        recipe = self.recipe
        other = (
            {} if "target" in self.roles or recipe.like is None else {"target": {"grid": self.grid("target").to_dict()}}
        )
        return {
            "layout_version": _FINGERPRINT_VERSION,
            "dtype": recipe.store.dtype,
            "window": recipe.accumulation_window,
            "static": [static.variable for static in recipe.static],
            "floors": recipe.floors,
            **({"caps": recipe.caps} if recipe.caps else {}),
            **{
                role: {
                    "grid": self.grid(role).to_dict(),
                    "channels": [channel.name for channel in self.channels(role)],
                    "normalisation": [[each.transform.name, each.mean, each.std] for each in self.normalisations[role]],
                    **self._other_methods(role),
                }
                for role in self.roles
            },
            **other,
        }

    def _other_methods(self, role: StoredRole) -> dict[str, Any]:
        """Return which channels hold over a window though their variables are instantaneous elsewhere."""
        known = self.recipe.known_variables
        methods = {
            channel.name: channel.variable.method
            for channel in self.channels(role)
            if channel.variable.method != known[channel.variable.name].method
        }
        return {"cell_methods": methods} if methods else {}

    @property
    def fingerprint(self) -> str:
        """The first 16 hex digits of the SHA-256 of `fingerprint_fields`."""
        return fingerprint_of(self.fingerprint_fields())


def fingerprint_of(fields: dict[str, Any]) -> str:
    """Return the first 16 hex digits of the SHA-256 of the fields of a fingerprint."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]
