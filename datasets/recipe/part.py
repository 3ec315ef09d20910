"""The base of all parts of a recipe, and the times, durations and intervals that they hold."""

from __future__ import annotations

from typing import Annotated, Self

import numpy as np
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.periods import Interval, format_time, parse_duration, parse_time


class Part(BaseModel):
    """A part of a recipe: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _checked_time(value: object) -> str:
    return format_time(parse_time(str(value)))


def _with_unit(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise BadInput(f"{value} has no unit; write {value}h for hours, or another of min, d")
    return value


def _checked_duration(value: str) -> str:
    parse_duration(value)
    return value


def _checked_positive(value: str) -> str:
    if parse_duration(value) == np.timedelta64(0, "s"):
        raise BadInput(f"{value!r} must be longer than nothing")
    return value


Time = Annotated[str, BeforeValidator(_checked_time), Field(examples=["2018-01-01T00:00Z"])]
Duration = Annotated[str, BeforeValidator(_with_unit), AfterValidator(_checked_duration), Field(examples=["3h"])]
PositiveDuration = Annotated[Duration, AfterValidator(_checked_positive)]


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
