"""The parts of a recipe: pydantic models that refuse what they do not know."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from corrstore.datasets.errors import BadInput
from corrstore.datasets.grids.grid import PRESETS, preset
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.recipe.part import Duration, Part, PositiveDuration, Time
from corrstore.datasets.recipe.periods import Interval, format_time, parse_duration, parse_time

StoredRole = Literal["input", "target"]
ROLES: tuple[StoredRole, ...] = ("input", "target")


def expanded_channels(entries: list[object]) -> list[object]:
    """Return the names in a list of channels, in which `{z: [500, 850]}` stands for z_500 and z_850."""
    names: list[object] = []
    for entry in entries:
        if isinstance(entry, dict):
            for variable, levels in entry.items():
                names += [f"{variable}_{level}" for level in (levels if isinstance(levels, list) else [levels])]
        else:
            names.append(entry)
    return names


def _named_once(names: list[str]) -> list[str]:
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        raise BadInput(f"channels are named twice: {', '.join(repeated)}")
    return names


WrittenChannels = list[str | dict[str, int | list[int]]]
"""A list of channels as it may be written: names, and variables with their levels."""
ChannelNames = Annotated[
    list[str],
    BeforeValidator(
        lambda value: expanded_channels(value) if isinstance(value, list) else value,
        json_schema_input_type=WrittenChannels,
    ),
    AfterValidator(_named_once),
    Field(min_length=1, max_length=1000),
]


class IntervalSpec(Part):
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


MOST_SAMPLES = 1_000_000


class PeriodSpec(IntervalSpec):
    """The valid times of the store: from start on, before end, every `frequency`."""

    frequency: PositiveDuration = "3h"

    @model_validator(mode="after")
    def _has_samples(self) -> Self:
        samples = (self.interval.end - self.interval.start) / parse_duration(self.frequency)
        if not 1 <= samples <= MOST_SAMPLES:
            raise BadInput(
                f"frequency {self.frequency} gives {samples:,.2g} samples in {self.interval}; expected 1 to"
                f" {MOST_SAMPLES:,}: give the time between two samples, such as 3h"
            )
        return self


def refuse_many(samples: int, key: str) -> None:
    """Raise BadInput where there are more samples than a store may have."""
    if samples > MOST_SAMPLES:
        raise BadInput(
            f"{key}: gives {samples:,} samples, expected at most {MOST_SAMPLES:,}; make it shorter or coarser"
        )


class SplitsSpec(Part):
    """The parts of the period for train, validation and test; at least `embargo` lies between train and the others.

    Only a store whose constants come from another one may lack `train`.
    """

    train: IntervalSpec | None = None
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


_MOST_POINTS = 100_000  # on a side of a grid
_MOST_POINTS_IN_ALL = 1_000_000_000


Degrees = Annotated[float, Field(gt=0)]


class StepsSpec(Part):
    """The steps of a grid whose latitudes are spaced otherwise than its longitudes."""

    lat: Degrees
    lon: Degrees


class BoxSpec(Part):
    """A rectilinear grid by its outermost points and its step, or its two steps, in degrees."""

    north: float
    south: float
    west: float
    east: float
    step: Annotated[
        Annotated[Degrees, Tag("one")] | Annotated[StepsSpec, Tag("two")],
        Discriminator(lambda step: "two" if isinstance(step, dict | StepsSpec) else "one"),
    ]

    @property
    def steps(self) -> tuple[float, float]:
        """The step of the latitudes and that of the longitudes."""
        return (self.step.lat, self.step.lon) if isinstance(self.step, StepsSpec) else (self.step, self.step)

    @property
    def grid(self) -> RectilinearGrid:
        """The grid of the box."""
        return RectilinearGrid.from_box(self.north, self.south, self.west, self.east, *self.steps)

    @model_validator(mode="after")
    def _is_a_grid(self) -> Self:
        lat, lon = self.steps
        written = f"{lat:g}" if lat == lon else f"{lat:g} and {lon:g}"
        points = [(self.north - self.south) / lat + 1, (self.east - self.west) / lon + 1]
        if max(points) > _MOST_POINTS:
            raise BadInput(
                f"a step of {written} degrees gives {points[0]:.3g} x {points[1]:.3g} points, expected at most"
                f" {_MOST_POINTS:,} on a side; correct step"
            )
        if points[0] * points[1] > _MOST_POINTS_IN_ALL:
            raise BadInput(
                f"a step of {written} degrees gives {points[0]:.0f} x {points[1]:.0f} points, expected at most"
                f" {_MOST_POINTS_IN_ALL:,}; correct step or the box"
            )
        _ = self.grid
        return self


def _known_preset(name: object) -> str:
    if not isinstance(name, str):
        raise BadInput(f"expected a box (north, south, west, east, step) or one of {', '.join(PRESETS)}, got {name!r}")
    preset(name)
    return name


def _kind_of_grid(grid: object) -> str:
    return "box" if isinstance(grid, dict | BoxSpec) else "preset"


PresetName = Annotated[str, BeforeValidator(_known_preset), Field(examples=sorted(PRESETS))]
GridSpec = Annotated[
    Annotated[BoxSpec, Tag("box")] | Annotated[PresetName, Tag("preset")], Discriminator(_kind_of_grid)
]


def grid_of(spec: BoxSpec | str) -> RectilinearGrid:
    """Return the grid of a box or of a preset's name."""
    if isinstance(spec, str):
        return preset(spec)
    return spec.grid


class WeightsSpec(Part):
    """The regridding by weights that xESMF or ESMF_RegridWeightGen wrote: NetCDF with row, col and S."""

    weights: str = Field(min_length=1, description="path of the file")


class XesmfSpec(Part):
    """The regridding by xESMF, which needs the ESMF library, of conda-forge."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    library: Literal["xesmf"] = Field(alias="with")
    method: Literal["bilinear", "conservative", "conservative_normed", "patch", "nearest_s2d"] = "bilinear"


def _kind_of_regridding(regrid: object) -> str:
    if isinstance(regrid, WeightsSpec) or (isinstance(regrid, dict) and "weights" in regrid):
        return "weights"
    return "xesmf" if isinstance(regrid, dict | XesmfSpec) else "word"


InputWord = Literal["bilinear", "conservative", "nearest", "by_resolution"]
TargetWord = Literal["bilinear", "nearest"]
ByWeights = Annotated[WeightsSpec, Tag("weights")] | Annotated[XesmfSpec, Tag("xesmf")]
Regridding = InputWord | TargetWord | WeightsSpec | XesmfSpec


class InputSpec(Part):
    """The coarse fields, on their own grid: the box and `halo` cells more on each side."""

    source: str
    grid: GridSpec
    halo: int = Field(4, ge=0, le=1000)
    channels: ChannelNames
    regrid: Annotated[Annotated[InputWord, Tag("word")] | ByWeights, Discriminator(_kind_of_regridding)] = Field(
        "bilinear",
        description="by_resolution: conservative where the archive's grid is finer than this one, else bilinear",
    )

    @property
    def store_grid(self) -> RectilinearGrid:
        """The grid of the store's `input`: the box with its halo."""
        return grid_of(self.grid).expanded(self.halo)

    @model_validator(mode="after")
    def _halo_fits(self) -> Self:
        try:
            _ = self.store_grid
        except BadInput as error:
            raise BadInput(f"halo {self.halo} leads beyond the globe ({error}); make it smaller") from None
        return self


class TargetSpec(Part):
    """The fine fields."""

    source: str
    grid: GridSpec
    channels: ChannelNames
    regrid: Annotated[Annotated[TargetWord, Tag("word")] | ByWeights, Discriminator(_kind_of_regridding)] = "bilinear"

    @property
    def store_grid(self) -> RectilinearGrid:
        """The grid of the store's `target`."""
        return grid_of(self.grid)


class StaticSpec(Part):
    """A field that does not change with time, on the target's grid; without a source it is that of the store `like`."""

    variable: str
    source: str | None = None


class LikeSpec(Part):
    """The training store whose model shall read this store, with its fingerprint and target grid when it was read."""

    store: str
    fingerprint: str
    target_grid: GridSpec


class NormalisationSpec(Part):
    """The origin of the constants of normalisation: the train split (all samples or every n-th), or another store."""

    every: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    constants_from: str | None = None


class StoreSpec(Part):
    """The storage of the numbers: type, chunks and compression."""

    dtype: Literal["float16", "float32"] = "float16"
    chunk: Annotated[
        int, Field(ge=8, le=100_000, description="height and width of an inner chunk of the target, in pixels")
    ] = 80
    codec: Literal["lz4", "zstd"] = "lz4"
