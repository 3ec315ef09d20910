"""A recipe: the YAML text that says which archives become which training store."""

from __future__ import annotations

import json
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BeforeValidator,
    Field,
    model_validator,
)

from corrstore.datasets.errors import BadInput
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.recipe.grids import grid_of
from corrstore.datasets.recipe.part import PositiveDuration
from corrstore.datasets.recipe.parts import (
    ROLES,
    InputSpec,
    LikeSpec,
    NormalisationSpec,
    StaticSpec,
    StoredRole,
    StoreSpec,
    TargetSpec,
)
from corrstore.datasets.recipe.periods import parse_duration
from corrstore.datasets.recipe.samples import SamplesSpec
from corrstore.datasets.recipe.source import LeadRule, SourceSpec
from corrstore.datasets.storage.validation import validated
from corrstore.datasets.variables.channels import Channel, channel_named
from corrstore.datasets.variables.derivations import Derivation, derivation_of
from corrstore.datasets.variables.table import VARIABLES, Variables
from corrstore.datasets.variables.transforms import transform_named
from corrstore.datasets.variables.variable import Definition


def _no_truth_value(value: Any) -> Any:
    if isinstance(value, bool):  # which equals 1 in Python
        raise BadInput(f"expected 1, got {str(value).lower()}")
    return value


class Recipe(SamplesSpec):
    """The recipe of a store: the archives, the samples, the channels, and how they are kept.

    The samples are the valid times of a `period`, or the runs and lead times of a `forecast`. A store of forecasts may
    have the `input` or the `target` alone.
    """

    version: Annotated[Literal[1], BeforeValidator(_no_truth_value)] = 1
    name: str = Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    title: str = ""
    like: Annotated[LikeSpec | None, BeforeValidator(lambda value: value, json_schema_input_type=str)] = Field(
        None,
        description="training store that gives grid, halo, channels, floors, caps, transforms, window, dtype, constants"
        " and static fields; written as its path",
    )
    sources: dict[str, SourceSpec]
    input: InputSpec | None = None
    target: TargetSpec | None = None
    static: list[StaticSpec] = Field(default_factory=list, max_length=100)
    window: PositiveDuration | None = Field(
        None, description="length of the window of accumulations; by default the frequency, or the step of the leads"
    )
    floors: dict[str, float] = Field(
        default_factory=dict, description="channel: lowest value; numbers below are raised to it and counted"
    )
    caps: dict[str, float] = Field(
        default_factory=dict, description="channel: highest value; numbers above are lowered to it and counted"
    )
    transforms: dict[str, str] = Field(default_factory=dict, description="channel: transform, in place of its own")
    may_be_missing: list[str] = Field(default_factory=list, description="channels in which missing pixels are expected")
    max_missing_share: float = Field(
        0.0, ge=0, le=1, description="largest share of samples that may lack something before a build falls short"
    )
    variables: dict[str, Definition] = Field(
        default_factory=dict, description="variables beside the shipped ones, also those of the source tables"
    )
    normalisation: NormalisationSpec = NormalisationSpec()
    store: StoreSpec = StoreSpec()

    @property
    def specs(self) -> dict[StoredRole, InputSpec | TargetSpec]:
        """The roles that the store has, and what the recipe says of each."""
        found: dict[StoredRole, InputSpec | TargetSpec] = {}
        if self.input is not None:
            found["input"] = self.input
        if self.target is not None:
            found["target"] = self.target
        return found

    @property
    def roles(self) -> tuple[StoredRole, ...]:
        """The roles that the store has."""
        return tuple(self.specs)

    def channel_names(self, role: StoredRole) -> list[str]:
        """Return the names of a role's channels; none where the store lacks the role."""
        return self.specs[role].channels if role in self.specs else []

    @property
    def target_grid(self) -> RectilinearGrid:
        """The grid of the target and of the static fields, also of a target that only the store `like` has.

        A store without either has the input's grid in its place.
        """
        if self.target is None and self.like is not None:
            return grid_of(self.like.target_grid)
        return (self.target or self.specs["input"]).store_grid

    @property
    def channels(self) -> dict[StoredRole, list[Channel]]:
        """The channels of each role that the store has."""
        return {
            role: [self.channel_of(spec.source, self.channel(name)) for name in spec.channels]
            for role, spec in self.specs.items()
        }

    def channel_of(self, source: str, channel: Channel) -> Channel:
        """Return a channel as the archive of a source holds it: over a window, or instantaneous."""
        archive = self.sources[source].of or source
        method = self.sources[archive].cell_methods.get(channel.variable.name)
        return channel if method is None else channel.over_window(method)

    @property
    def known_variables(self) -> Variables:
        """The shipped variables and those of the recipe."""
        return VARIABLES.extended(self.variables)

    def channel(self, name: str) -> Channel:
        """Return the channel of that name, of a shipped variable or of one of the recipe's."""
        return channel_named(name, self.known_variables)

    @property
    def content(self) -> dict[str, Any]:
        """The recipe as plain values, its keys in one order however they were written."""
        absent = {name for name in ("period", "forecast", "like", "input", "target") if getattr(self, name) is None}
        absent |= {name for name in ("variables", "caps") if not getattr(self, name)}
        content = self.model_dump(mode="json", by_alias=True, exclude=absent)
        if not self.normalisation.least_std:
            del content["normalisation"]["least_std"]
        for source in content["sources"].values():
            if source["engine"] is None:
                del source["engine"], source["engine_options"]
            if not source["cell_methods"]:
                del source["cell_methods"]
        return json.loads(json.dumps(content, sort_keys=True))

    @property
    def constants_from(self) -> str | None:
        """The path of the store that gives the constants of normalisation; None where the train split does."""
        return self.like.store if self.like else self.normalisation.constants_from

    @property
    def accumulation_window(self) -> str:
        """The window of accumulated fields, as it is written."""
        return self.window or self.frequency

    @property
    def window_length(self) -> np.timedelta64:
        """The length of the window of accumulated fields."""
        return parse_duration(self.accumulation_window)

    def derivation(self, source: str, channel: Channel) -> Derivation | None:
        """Return the derivation by which a source's channel is made; None where it is read from the archive."""
        name = self.sources[source].derive.get(channel.name)
        return None if name is None else derivation_of(channel, name)

    def limited(self, channel: str, values: NDArray[np.float32]) -> tuple[NDArray[np.float32], int, int]:
        """Return the values raised to the channel's floor and lowered to its cap, and how many were each."""
        floor, cap = self.floors.get(channel), self.caps.get(channel)
        floored = 0 if floor is None else int(np.count_nonzero(values < floor))
        capped = 0 if cap is None else int(np.count_nonzero(values > cap))
        if floored:
            values = np.maximum(values, np.float32(floor))
        if capped:
            values = np.minimum(values, np.float32(cap))
        return values, floored, capped

    def transform_name(self, channel: Channel) -> str:
        """The transform of a channel: the recipe's, else the variable's."""
        return self.transforms.get(channel.name, channel.variable.transform)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self._check_samples()
        self._check_names()
        for where, name in (
            *((f"{role}.source", spec.source) for role, spec in self.specs.items()),
            *((f"static.{spec.variable}.source", spec.source) for spec in self.static if spec.source or not self.like),
            *((f"sources.{name}.of", spec.of) for name, spec in self.sources.items() if spec.of),
        ):
            if name not in self.sources:
                raise BadInput(f"{where} is {name!r}, but sources has {', '.join(self.sources) or 'nothing'}")
        if self.target is not None and self.sources[self.target.source].type == "coarsened":
            raise BadInput(f"target.source {self.target.source!r} is coarsened; only the input can be")
        self._check_derivations()
        every_name = {*self.channel_names("input"), *self.channel_names("target")}
        for where, names in (
            ("floors", self.floors),
            ("caps", self.caps),
            ("transforms", self.transforms),
            ("may_be_missing", self.may_be_missing),
            ("normalisation.least_std", self.normalisation.least_std),
        ):
            for name in names:
                if name not in every_name and not self.like:  # a store `like` may have more channels
                    nearest = ", ".join(get_close_matches(str(name), every_name, cutoff=0))
                    raise BadInput(f"{where}.{name} is not a channel of input or target; the nearest are {nearest}")
        for name in self.transforms.values():
            transform_named(name)
        for name in self.floors.keys() & self.caps.keys():
            if self.floors[name] >= self.caps[name]:
                raise BadInput(f"floors.{name} is {self.floors[name]:g}, not below caps.{name}, {self.caps[name]:g}")
        if self.input is not None and not self.input.store_grid.covers(self.target_grid):
            raise BadInput(
                f"target.grid {self.target_grid} is not covered by input.grid {self.input.store_grid}"
                f" with its halo of {self.input.halo}; enlarge input.grid or input.halo"
            )
        return self

    def _check_samples(self) -> None:
        if not self.specs:
            raise BadInput("input and target are missing; write at least one")
        if self.forecast is None and len(self.specs) < len(ROLES):
            (role,) = (role for role in ROLES if role not in self.specs)
            raise BadInput(f"{role}: is missing; only a recipe with forecast may lack it")
        if self.splits.train is None and not self.constants_from:
            raise BadInput("splits.train: is missing; it gives the constants of normalisation")
        for name, source in self.sources.items():
            if self.forecast is not None and source.lead != LeadRule.model_validate({}):
                raise BadInput(f"sources.{name}.lead chooses runs for a period; forecast names the runs; remove it")

    def _check_names(self) -> None:
        variables = self.known_variables
        for role, spec in self.specs.items():
            for name in spec.channels:
                try:
                    channel_named(name, variables)
                except BadInput as error:
                    raise BadInput(f"{role}.channels: {error}") from None
        for static in self.static:
            if not variables.named(static.variable).static:
                raise BadInput(f"static: {static.variable} changes with time; name it under target or input")

    def _check_derivations(self) -> None:
        read: dict[str, set[str]] = {name: set() for name in self.sources}
        for spec in self.specs.values():
            read[self.sources[spec.source].of or spec.source] |= set(spec.channels)
        for source, derived in ((name, spec.derive) for name, spec in self.sources.items()):
            for name in derived:
                if name not in read[source]:
                    raise BadInput(f"sources.{source}.derive.{name} is not a channel that input or target reads there")
                partner = self.channel(name).vector_partner
                if partner and partner.name in read[source] and partner.name not in derived:
                    raise BadInput(f"sources.{source}.derive has {name}, one component of a wind; add {partner.name}")


def recipe_from(content: dict[str, Any], where: str = "recipe") -> Recipe:
    """Return the recipe with this content; raise BadInput, one line a mistake."""
    return validated(Recipe, content, f"{where} is not a valid recipe", "`corrstore schema` lists the keys")


def recipe_schema() -> str:
    """The JSON Schema of a recipe as it is written: what `like` gives need not be."""
    schema = Recipe.model_json_schema()
    for part in ("InputSpec", "TargetSpec"):
        schema["$defs"][part]["required"] = ["source"]
    return json.dumps(schema, indent=2)
