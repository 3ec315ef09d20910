"""A recipe: the YAML text that says which archives become which training store."""

from __future__ import annotations

import json
from typing import Any, Literal, Self

import numpy as np
from pydantic import (
    Field,
    model_validator,
)

from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.part import Part, PositiveDuration
from corrstore.datasets.recipe.parts import (
    InputSpec,
    NormalisationSpec,
    PeriodSpec,
    SplitsSpec,
    StaticSpec,
    StoreSpec,
    TargetSpec,
)
from corrstore.datasets.recipe.periods import Times, parse_duration
from corrstore.datasets.recipe.source import SourceSpec
from corrstore.datasets.storage.validation import validated
from corrstore.datasets.variables.channels import Channel, channel_named
from corrstore.datasets.variables.derivations import Derivation, derivation_of
from corrstore.datasets.variables.table import VARIABLES, Variables
from corrstore.datasets.variables.transforms import transform_named
from corrstore.datasets.variables.variable import Definition


class Recipe(Part):
    """The recipe of a training store: two archives, a period, the channels, and how they are kept."""

    version: Literal[1] = 1
    name: str = Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    title: str = ""
    period: PeriodSpec
    splits: SplitsSpec
    sources: dict[str, SourceSpec]
    input: InputSpec
    target: TargetSpec
    static: list[StaticSpec] = Field(default_factory=list)
    window: PositiveDuration | None = Field(
        None, description="length of the window of accumulations; the period's frequency by default"
    )
    floors: dict[str, float] = Field(
        default_factory=dict, description="channel: lowest value; numbers below are raised to it and counted"
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
    def channels(self) -> dict[str, list[Channel]]:
        """The channels of `input` and `target`."""
        return {
            "input": [self.channel(name) for name in self.input.channels],
            "target": [self.channel(name) for name in self.target.channels],
        }

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
        content = self.model_dump(mode="json", by_alias=True, exclude=None if self.variables else {"variables"})
        return json.loads(json.dumps(content, sort_keys=True))

    @property
    def times(self) -> Times:
        """The valid times of the store."""
        return self.period.interval.times(parse_duration(self.period.frequency))

    @property
    def window_length(self) -> np.timedelta64:
        """The length of the window of accumulated fields."""
        return parse_duration(self.window or self.period.frequency)

    def derivation(self, source: str, channel: Channel) -> Derivation | None:
        """Return the derivation by which a source's channel is made; None where it is read from the archive."""
        name = self.sources[source].derive.get(channel.name)
        return None if name is None else derivation_of(channel, name)

    def transform_name(self, channel: Channel) -> str:
        """The transform of a channel: the recipe's, else the variable's."""
        return self.transforms.get(channel.name, channel.variable.transform)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self._check_names()
        for where, name in (
            ("input.source", self.input.source),
            ("target.source", self.target.source),
            *((f"static.{spec.variable}.source", spec.source) for spec in self.static),
            *((f"sources.{name}.of", spec.of) for name, spec in self.sources.items() if spec.of),
        ):
            if name not in self.sources:
                raise BadInput(f"{where} is {name!r}, but sources has {', '.join(self.sources) or 'nothing'}")
        if self.sources[self.target.source].type == "coarsened":
            raise BadInput(f"target.source {self.target.source!r} is coarsened; only the input can be")
        self._check_derivations()
        every_name = {*self.input.channels, *self.target.channels}
        for where, names in (
            ("floors", self.floors),
            ("transforms", self.transforms),
            ("may_be_missing", self.may_be_missing),
        ):
            for name in names:
                if name not in every_name:
                    raise BadInput(f"{where}.{name} is not a channel of input or target")
        for name in self.transforms.values():
            transform_named(name)
        if not self.input.store_grid.covers(self.target.store_grid):
            raise BadInput(
                f"target.grid {self.target.store_grid} is not covered by input.grid {self.input.store_grid}"
                f" with its halo of {self.input.halo}; enlarge input.grid or input.halo"
            )
        period = self.period.interval
        for name, split in self.splits.intervals.items():
            if not period.holds(split):
                raise BadInput(f"splits.{name} {split} is not inside the period {period}")
        return self

    def _check_names(self) -> None:
        variables = self.known_variables
        for where, names in (("input.channels", self.input.channels), ("target.channels", self.target.channels)):
            for name in names:
                try:
                    channel_named(name, variables)
                except BadInput as error:
                    raise BadInput(f"{where}: {error}") from None
        for spec in self.static:
            if not variables.named(spec.variable).static:
                raise BadInput(f"static: {spec.variable} changes with time; name it under target or input")

    def _check_derivations(self) -> None:
        read: dict[str, set[str]] = {name: set() for name in self.sources}
        for spec in (self.input, self.target):
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
    """The JSON Schema of a recipe."""
    return json.dumps(Recipe.model_json_schema(), indent=2)
