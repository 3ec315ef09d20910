"""Regions: parts of the domain that are scored beside the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from corrstore.datasets.errors import BadInput
from corrstore.datasets.storage.validation import validated
from corrstore.datasets.storage.yaml_text import parsed_mapping, read_text


def _no_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError(f"expected a number, got {value!r}")
    return value


Number = Annotated[float, BeforeValidator(_no_bool), Field(allow_inf_nan=False)]


class Region(BaseModel):
    """Part of the domain: a `box` [west, south, east, north], and bounds of a `static` channel; both may be given."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    box: tuple[Number, Number, Number, Number] | None = None
    static: str | None = None
    at_least: Number = -np.inf
    below: Number = np.inf

    @model_validator(mode="after")
    def _bounds(self) -> Region:
        """Raise ValueError for bounds that hold nothing, and for a region that is the whole domain."""
        if self.box is not None:
            west, south, east, north = self.box
            if west > east or south > north:
                raise ValueError(
                    f"box is [west, south, east, north], got west {west:g}, east {east:g}, south {south:g} and"
                    f" north {north:g}"
                )
        if self.at_least >= self.below:
            raise ValueError(f"at_least {self.at_least:g} is not lower than below {self.below:g}")
        if (self.static is None) != (self.at_least == -np.inf and self.below == np.inf):
            raise ValueError("a static channel and its bounds, at_least, below or both, are given together")
        if self.box is None and self.static is None:
            raise ValueError("give a box, or a static channel with its bounds")
        return self


def read_regions(path: Path) -> dict[str, Region]:
    """Return the regions of a YAML file by name; raises BadInput, which names file and key, for what is none."""
    content = parsed_mapping(read_text(path), str(path))
    keys = f"there are {', '.join(Region.model_fields)}"
    regions = {str(name): validated(Region, value, f"{path}: region {name}", keys) for name, value in content.items()}
    if "all" in regions:
        raise BadInput(f"{path}: 'all' is the whole domain; give the region another name")
    return regions
