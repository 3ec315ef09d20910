"""A variable: one physical quantity, its units and range, and how a number of it is normalised, drawn and scored."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from corrstore.datasets.errors import BadInput
from corrstore.datasets.variables.transforms import transform_named

WindowMethod = Literal["sum", "mean", "maximum", "minimum"]
"""What a number is of a window that ends at its valid time, as the CF conventions' `cell_methods` call it."""
LevelKind = Literal["surface", "height", "pressure", "column"]
Palette = Literal["plain", "temperature", "moisture", "terrain", "mask", "wind", "rain", "reflectivity"]


def _known_transform(name: str) -> str:
    return transform_named(name).name


class Definition(BaseModel):
    """The entry of one variable in a table of variables; the entry's key is the name."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    standard_name: str = Field(description="standard name of the CF conventions")
    long_name: str
    units: str = Field(min_length=1)
    level_kind: LevelKind = "surface"
    valid_range: tuple[FiniteFloat, FiniteFloat] = Field(
        description="what the atmosphere can do, in `units`; a number outside it is an error of the archive"
    )
    transform: Annotated[str, AfterValidator(_known_transform)] = "identity"
    least_std: Annotated[FiniteFloat, Field(gt=0)] | None = Field(
        None, description="least standard deviation of the transformed numbers to normalise by"
    )
    windowed: bool | WindowMethod = Field(
        False,
        description="what a value is of the window that ends at the valid time: sum (or true), mean, maximum, ...",
    )
    static: bool = False
    vector_partner: str | None = Field(None, description="the variable that is the wind's other component")
    wet_threshold: FiniteFloat | None = Field(None, description="the value from which a pixel counts as wet")
    thresholds: tuple[FiniteFloat, ...] = Field((), description="events for the fractions skill score")
    palette: Palette = Field("plain", description="colours of maps")
    residual_palette: Literal["plain", "moisture"] = Field("plain", description="colours of maps of the residual")

    @property
    def method(self) -> WindowMethod | None:
        """What a value is of its window; None where it is instantaneous."""
        return "sum" if self.windowed is True else self.windowed or None

    @model_validator(mode="after")
    def _range_ascends(self) -> Self:
        low, high = self.valid_range
        if not low < high:
            raise BadInput(f"valid_range must ascend, got [{low:g}, {high:g}]")
        return self


class Variable(Definition):
    """One physical quantity and its name."""

    name: str = Field(pattern=r"^[a-z][a-z0-9]*$")
