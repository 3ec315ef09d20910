"""The parts of a recipe: pydantic models that refuse what they do not know."""

from __future__ import annotations

from collections import Counter
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
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.recipe.grids import GridSpec, grid_of
from corrstore.datasets.recipe.part import Part

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
    least_std: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict,
        description="channel: least standard deviation, of transformed numbers; in place of the variable's",
    )


class StoreSpec(Part):
    """The storage of the numbers: type, chunks and compression."""

    dtype: Literal["float16", "float32"] = "float16"
    chunk: Annotated[
        int, Field(ge=8, le=100_000, description="height and width of an inner chunk of the target, in pixels")
    ] = 80
    codec: Literal["lz4", "zstd"] = "lz4"
