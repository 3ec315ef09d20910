"""A recipe: the YAML text that says which archives become which training store."""

from __future__ import annotations

import json
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from datasets.channels import Channel, channel_named
from datasets.errors import BadInput
from datasets.grids import PRESETS, RectilinearGrid, preset
from datasets.periods import Interval, Times, format_time, parse_duration, parse_time
from datasets.transforms import transform_named
from datasets.variables import variable_named


class _Part(BaseModel):
    """A part of a recipe: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _checked_time(value: object) -> str:
    return format_time(parse_time(str(value)))


def _checked_duration(value: str) -> str:
    parse_duration(value)
    return value


def _expanded_channels(value: object) -> object:
    """`{z: [500, 850]}` in a list of channels stands for z_500 and z_850."""
    if not isinstance(value, list):
        return value
    names: list[object] = []
    for entry in value:
        if isinstance(entry, dict):
            names += [f"{variable}_{level}" for variable, levels in entry.items() for level in levels]
        else:
            names.append(entry)
    return names


def _known_channels(names: list[str]) -> list[str]:
    for name in names:
        channel_named(name)
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise BadInput(f"channels are named twice: {', '.join(repeated)}")
    return names


Time = Annotated[str, BeforeValidator(_checked_time), Field(examples=["2018-01-01T00:00Z"])]
Duration = Annotated[str, AfterValidator(_checked_duration), Field(examples=["3h"])]
ChannelNames = Annotated[
    list[str], BeforeValidator(_expanded_channels), AfterValidator(_known_channels), Field(min_length=1)
]


class IntervalSpec(_Part):
    """A half-open interval of UTC times."""

    start: Time
    end: Time

    @property
    def interval(self) -> Interval:
        """The interval [start, end)."""
        return Interval(parse_time(self.start), parse_time(self.end))

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        _ = self.interval
        return self


class PeriodSpec(IntervalSpec):
    """The valid times of the store: from start on, before end, every `frequency`."""

    frequency: Duration = "3h"


class SplitsSpec(_Part):
    """Which part of the period is for what; at least `embargo` lies between train and the other two."""

    train: IntervalSpec
    validation: IntervalSpec | None = None
    test: IntervalSpec | None = None
    embargo: Duration = "0h"

    @property
    def intervals(self) -> dict[str, Interval]:
        """The splits that there are, by name."""
        named = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: spec.interval for name, spec in named.items() if spec is not None}

    @model_validator(mode="after")
    def _apart(self) -> Self:
        gap = parse_duration(self.embargo)
        ordered = sorted(self.intervals.items(), key=lambda item: item[1].start)
        for (name, one), (later, two) in pairwise(ordered):
            if two.start < one.end + gap:
                raise BadInput(
                    f"splits {name} {one} and {later} {two} must lie at least the embargo of {self.embargo} apart;"
                    f" start {later} at {format_time(one.end + gap)} or later"
                )
        return self


class SourceSpec(_Part):
    """An archive: the type says how its fields are coded, the path where it is.

    `type` is a shipped table's name or the path of a YAML file of the user's; `coarsened` makes the input from
    the source named in `of` by conservative averaging.
    """

    type: str
    path: str | None = None
    files: list[str] | None = Field(None, description="glob patterns below path, in place of the table's")
    of: str | None = None
    storage_options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.type == "coarsened" and self.of is None:
            raise BadInput("a coarsened source needs `of`, the name of the source that it averages")
        if isinstance(self.storage_options.get("token"), dict) or "secret" in self.storage_options:
            raise BadInput(
                "storage_options hold a secret, and a store keeps its recipe; name a key file, or use the environment"
                " (GOOGLE_APPLICATION_CREDENTIALS)"
            )
        if self.type != "coarsened" and self.path is None:
            raise BadInput(f"a source of type {self.type} needs `path`, the folder that its files are in")
        return self


class BoxSpec(_Part):
    """A rectilinear grid by its outermost points and its step, in degrees."""

    north: float
    south: float
    west: float
    east: float
    step: float = Field(gt=0)


def _known_preset(name: str) -> str:
    preset(name)
    return name


GridSpec = BoxSpec | Annotated[str, AfterValidator(_known_preset), Field(examples=sorted(PRESETS))]


def _grid(spec: BoxSpec | str) -> RectilinearGrid:
    if isinstance(spec, str):
        return preset(spec)
    return RectilinearGrid.from_box(spec.north, spec.south, spec.west, spec.east, spec.step)


class InputSpec(_Part):
    """The coarse fields, on their own grid: the box and `halo` cells more on each side."""

    source: str
    grid: GridSpec
    halo: int = Field(4, ge=0)
    channels: ChannelNames
    regrid: Literal["bilinear", "conservative", "nearest"] = "bilinear"

    @property
    def store_grid(self) -> RectilinearGrid:
        """The grid of the store's `input`: the box with its halo."""
        return _grid(self.grid).expanded(self.halo)


class TargetSpec(_Part):
    """The fine fields."""

    source: str
    grid: GridSpec
    channels: ChannelNames
    regrid: Literal["bilinear", "nearest"] = "bilinear"

    @property
    def store_grid(self) -> RectilinearGrid:
        """The grid of the store's `target`."""
        return _grid(self.grid)


class StaticSpec(_Part):
    """A field that does not change with time, on the target's grid."""

    variable: str
    source: str

    @model_validator(mode="after")
    def _is_static(self) -> Self:
        if not variable_named(self.variable).static:
            raise BadInput(f"static: {self.variable} changes with time; name it under target or input")
        return self


class NormalisationSpec(_Part):
    """Where the constants come from: the train split (all samples or every n-th), or another store."""

    every: Annotated[int, Field(ge=1)] = 1
    constants_from: str | None = None


class StoreSpec(_Part):
    """How the store keeps its numbers."""

    dtype: Literal["float16", "float32"] = "float16"
    chunk: Annotated[int, Field(ge=8, description="height and width of an inner chunk, in pixels")] = 160
    codec: Literal["lz4", "zstd"] = "lz4"


class Recipe(_Part):
    """What corrstore builds: two archives, a period, the channels, and how they are kept."""

    version: Literal[1] = 1
    name: str = Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    title: str = ""
    period: PeriodSpec
    splits: SplitsSpec
    sources: dict[str, SourceSpec]
    input: InputSpec
    target: TargetSpec
    static: list[StaticSpec] = []
    window: Duration | None = Field(None, description="of accumulations; the period's frequency by default")
    floors: dict[str, float] = Field(
        default_factory=dict, description="channel: lowest value; numbers below are raised to it and counted"
    )
    transforms: dict[str, str] = Field(default_factory=dict, description="channel: transform, in place of its own")
    may_be_missing: list[str] = Field(default_factory=list, description="channels in which missing pixels are expected")
    max_missing_share: float = Field(0.0, ge=0, le=1, description="of samples, before a build falls short")
    normalisation: NormalisationSpec = NormalisationSpec()
    store: StoreSpec = StoreSpec()

    @property
    def channels(self) -> dict[str, list[Channel]]:
        """The channels of `input` and `target`."""
        return {
            "input": [channel_named(name) for name in self.input.channels],
            "target": [channel_named(name) for name in self.target.channels],
        }

    @property
    def content(self) -> dict[str, Any]:
        """The recipe as plain values, its keys in one order however they were written."""
        return json.loads(json.dumps(self.model_dump(mode="json"), sort_keys=True))

    @property
    def times(self) -> Times:
        """The valid times of the store."""
        return self.period.interval.times(parse_duration(self.period.frequency))

    @property
    def window_length(self) -> np.timedelta64:
        """The length of the window of accumulated fields."""
        return parse_duration(self.window or self.period.frequency)

    def transform_name(self, channel: Channel) -> str:
        """The transform of a channel: the recipe's, else the variable's."""
        return self.transforms.get(channel.name, channel.variable.transform)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
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


def shipped_recipes() -> list[str]:
    """The names of the recipes that come with corrstore."""
    folder = resources.files("datasets") / "recipes"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_recipe(name_or_path: str, overrides: list[str] | None = None) -> Recipe:
    """The shipped recipe of that name, or the one in that YAML file, with `path.to.key=value` overrides.

    Raises BadInput, one line a mistake, that names the file, the key, the value and what is expected.
    """
    path = Path(name_or_path)
    if name_or_path in shipped_recipes() and not path.suffix:
        text = (resources.files("datasets") / "recipes" / f"{name_or_path}.yaml").read_text(encoding="utf-8")
    elif path.is_file():
        text = path.read_text(encoding="utf-8")
    else:
        raise BadInput(
            f"no recipe {name_or_path!r}: no such file, and the shipped ones are {', '.join(shipped_recipes())}"
        )
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadInput(f"{name_or_path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise BadInput(f"{name_or_path} must hold a mapping of keys, not {type(content).__name__}")
    for override in overrides or []:
        _override(content, override)
    return recipe_from(content, name_or_path)


def recipe_from(content: dict[str, Any], where: str = "recipe") -> Recipe:
    """The recipe with this content; BadInput, one line a mistake."""
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        mistakes = "\n".join(_sentence(mistake) for mistake in error.errors())
        raise BadInput(f"{where} is not a valid recipe:\n{mistakes}") from None


def recipe_schema() -> str:
    """The JSON Schema of a recipe."""
    return json.dumps(Recipe.model_json_schema(), indent=2)


def _sentence(mistake: Any) -> str:
    key = ".".join(str(part) for part in mistake["loc"]) or "recipe"
    if mistake["type"] == "extra_forbidden":
        return f"  {key}: no such key; remove it or correct its spelling (`corrstore schema` lists the keys)"
    if mistake["type"] == "missing":
        return f"  {key}: is missing"
    got = mistake["input"]
    shown = "" if isinstance(got, dict | list) or mistake["type"] == "value_error" else f", got {got!r}"
    return f"  {key}: {mistake['msg'].removeprefix('Value error, ')}{shown}"


def _override(content: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    if not equals or not path:
        raise BadInput(f"--set {override!r} is not of the form path.to.key=value")
    *parents, last = path.split(".")
    place = content
    for parent in parents:
        place = place.setdefault(parent, {})
        if not isinstance(place, dict):
            raise BadInput(f"--set {override!r}: {parent} holds a value, not keys")
    place[last] = yaml.safe_load(text)
