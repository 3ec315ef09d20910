"""The source of a recipe: an archive, and which of its runs and streams a sample may be made from."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.part import Duration, Part
from corrstore.datasets.recipe.parts import WrittenChannels, expanded_channels
from corrstore.datasets.recipe.periods import parse_duration
from corrstore.datasets.storage.credentials import refuse_secrets
from corrstore.datasets.storage.listing import refuse_pattern
from corrstore.datasets.variables.channels import channel_named
from corrstore.datasets.variables.derivations import derivation_of
from corrstore.datasets.variables.variable import WindowMethod

SELECTABLE = ("centre", "edition", "expver", "generating_process", "grid_hash", "member", "packing", "path")
"""The keys of `select`: columns of the index of an archive, and the path of a file as a glob pattern."""


class LeadRule(Part):
    """The runs that a sample may be made from: lead times `from` ... `to`, both included, and hours of the `runs`.

    Of the runs that it allows, a sample is made from the one of the shortest lead that lacks nothing.
    """

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    shortest_lead: Duration | None = Field(None, alias="from")
    longest_lead: Duration | None = Field(None, alias="to")
    runs: list[Annotated[int, Field(ge=0, le=23)]] | None = Field(None, description="hours of day, UTC", min_length=1)

    def allows(self, run: datetime, valid_time: datetime) -> bool:
        """Return whether the rule allows a field of that run at that valid time."""
        lead = (valid_time - run).total_seconds()
        return (
            (self.shortest_lead is None or lead >= parse_duration(self.shortest_lead).astype(int))
            and (self.longest_lead is None or lead <= parse_duration(self.longest_lead).astype(int))
            and (self.runs is None or (run.hour in self.runs and run.minute == 0))
        )

    def __str__(self) -> str:
        said = [
            f"from {self.shortest_lead}" if self.shortest_lead else "",
            f"to {self.longest_lead}" if self.longest_lead else "",
            f"runs of {', '.join(f'{hour:02d}' for hour in self.runs)} UTC" if self.runs else "",
        ]
        return " ".join(part for part in said if part) or "shortest"

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.shortest_lead and self.longest_lead:
            first, last = parse_duration(self.shortest_lead), parse_duration(self.longest_lead)
            if last < first:
                raise BadInput(f"lead.to {self.longest_lead} is shorter than lead.from {self.shortest_lead}")
        return self


def _lead_rule(value: object) -> object:
    """Return the rule that the word `shortest` stands for."""
    return {} if value == "shortest" else value


def _with_derivations(value: object) -> object:
    """Return the channels of a list, each with the derivation that it has by default."""
    if not isinstance(value, list):
        return value
    names = [str(name) for name in expanded_channels(value)]
    return {name: derivation_of(channel_named(name)).name for name in names}


_ENGINE_OPTIONS = {
    *("filter_by_keys", "read_keys", "extra_coords", "coords_as_attributes", "squeeze", "errors", "time_dims"),
    *("group", "phony_dims", "invalid_netcdf", "decode_vlen_strings", "format"),
    *("variable", "masked", "mask_and_scale", "band_as_variable", "default_name", "drop_variables"),
}
"""What `engine_options` may say: options of cfgrib, h5netcdf, netcdf4 and rasterio that hold no secret."""


Derived = Annotated[
    dict[str, str],
    BeforeValidator(_with_derivations, json_schema_input_type=dict[str, str] | WrittenChannels),
    Field(examples=[{"d2m": "dew_point_from_specific_humidity"}]),
]
"""The derivation of each channel; a list of channels stands for the derivations that they have by default."""


class SourceSpec(Part):
    """An archive: the type says how its fields are coded, the path where it is.

    `type` is a shipped table's name or the path of a YAML file of the user's; `coarsened` makes the input from
    the source named in `of` by conservative averaging. A channel under `derive` is made from other channels of the
    archive, before regridding.
    """

    type: str
    path: str | None = None
    files: list[str] | None = Field(
        None, max_length=1000, description="glob patterns below path, in place of the table's"
    )
    of: str | None = None
    lead: Annotated[LeadRule, BeforeValidator(_lead_rule)] = Field(default_factory=lambda: LeadRule.model_validate({}))
    select: dict[str, str | int] = Field(default_factory=dict, description="key of the index: the value to keep")
    derive: Derived = Field(default_factory=dict, description="channels made from others of the archive")
    storage_options: dict[str, Any] = Field(default_factory=dict)
    cell_methods: dict[str, WindowMethod] = Field(
        default_factory=dict,
        description="variable: what its values are of a window; a build takes it from the source's table",
    )
    engine: str | None = Field(
        None,
        pattern=r"^[a-z][a-z0-9_]*$",
        description="engine of xarray that opens the files, in place of corrstore's readers; the table goes by names",
    )
    engine_options: dict[str, Any] = Field(default_factory=dict, description="what the engine takes")

    @property
    def foreign_engine(self) -> str | None:
        """The engine of xarray that opens the files; None where corrstore's readers do, Zarr's among them."""
        return None if self.engine == "zarr" else self.engine

    @property
    def opening(self) -> dict[str, Any]:
        """What the readers of the files take: the options of the engine, else of the storage."""
        if self.foreign_engine is None:
            return self.storage_options
        return {**self.engine_options, **({"storage_options": self.storage_options} if self.storage_options else {})}

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.type == "coarsened" and self.of is None:
            raise BadInput("a coarsened source needs `of`, the name of the source that it averages")
        refuse_secrets(self.storage_options, self.path, self.type)
        if self.engine_options and self.engine is None:
            raise BadInput("engine_options need `engine`, the engine of xarray that takes them, such as engine: cfgrib")
        if self.engine_options and self.engine == "zarr":
            raise BadInput("engine: zarr takes no engine_options; give as path the group itself, such as PATH/GROUP")
        if others := sorted(set(self.engine_options) - _ENGINE_OPTIONS):
            raise BadInput(
                f"engine_options.{others[0]}: expected one of {', '.join(sorted(_ENGINE_OPTIONS))}; others may hold a"
                " secret, and a store keeps its recipe"
            )
        unknown = sorted(set(self.select) - set(SELECTABLE))
        if unknown:
            raise BadInput(f"select.{unknown[0]}: expected one of {', '.join(SELECTABLE)}")
        if self.type == "coarsened" and self.derive:
            raise BadInput(f"a coarsened source has no archive to derive from; write derive under sources.{self.of}")
        for name, derivation in self.derive.items():
            derivation_of(channel_named(name), derivation)
        if self.type != "coarsened" and self.path is None:
            raise BadInput(f"a source of type {self.type} needs `path`, the folder that its files are in")
        for pattern in self.files or []:
            refuse_pattern(pattern)
        return self
