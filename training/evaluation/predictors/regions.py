"""Regions: parts of the domain that are scored beside the whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from corrstore.datasets.errors import BadInput
from corrstore.datasets.storage.validation import validated
from corrstore.datasets.storage.yaml_text import parsed_mapping, read_text


class Region(BaseModel):
    """Part of the domain: a `box` [west, south, east, north], and bounds of a `static` channel; both may be given."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    box: tuple[float, float, float, float] | None = None
    static: str | None = None
    at_least: float = -np.inf
    below: float = np.inf


def read_regions(path: Path) -> dict[str, Region]:
    """Return the regions of a YAML file by name; raises BadInput, which names file and key, for what is none."""
    content = parsed_mapping(read_text(path), str(path))
    keys = f"there are {', '.join(Region.model_fields)}"
    regions = {str(name): validated(Region, value, f"{path}: region {name}", keys) for name, value in content.items()}
    if "all" in regions:
        raise BadInput(f"{path}: 'all' is the whole domain; give the region another name")
    return regions
