"""`grid: native`: the grid of a recipe's archive, or the part of it in a box, as axes in the recipe."""

from __future__ import annotations

from typing import Any

import numpy as np

from corrstore.datasets.archives.inventory import take_inventory
from corrstore.datasets.archives.one_grid import read_grid
from corrstore.datasets.archives.references import FieldReference
from corrstore.datasets.errors import BadInput
from corrstore.datasets.grids.axes import SAME_POINT, axis_to_json
from corrstore.datasets.grids.grid import Grid
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.recipe.parts import ROLES, expanded_channels
from corrstore.datasets.recipe.periods import Interval, parse_time
from corrstore.datasets.recipe.source import SourceSpec
from corrstore.datasets.storage.validation import validated
from corrstore.datasets.variables.channels import channel_named
from corrstore.datasets.variables.derivations import derivation_of
from corrstore.datasets.variables.table import VARIABLES
from corrstore.datasets.variables.variable import Definition

_EVER = {"start": "1800-01-01", "end": "2200-01-01"}
_SIDES = ("north", "south", "west", "east")


def add_native_grids(content: dict[str, Any]) -> None:
    """Write the axes of the archive's grid into a recipe's content where a role says `grid: native`.

    With north, south, west and east beside `native: true`, the archive's points between these. Raises BadInput where
    the archive has no field of the role's first channel, or lies on another kind of grid.
    """
    for role in ROLES:
        part, sources = content.get(role), content.get("sources")
        asked = part.get("grid") if isinstance(part, dict) else None
        is_native = asked == "native" or (isinstance(asked, dict) and "native" in asked)
        if not (is_native and isinstance(part, dict) and isinstance(sources, dict)):
            continue  # what else is wrong with a recipe is told where it is read
        sides = {key: value for key, value in asked.items() if key != "native"} if isinstance(asked, dict) else {}
        if sides and sorted(sides) != sorted(_SIDES):
            raise BadInput(f"{role}.grid: native goes alone, or with {', '.join(_SIDES)}; got {', '.join(sides)}")
        source = str(part.get("source"))
        spec = validated(SourceSpec, sources.get(source), f"sources.{source} is not valid")
        grid = _grid_of_archive(content, role, source, spec, expanded_channels(part.get("channels") or []))
        if not isinstance(grid, RectilinearGrid):
            raise BadInput(
                f"{role}.grid: native needs an archive of latitudes by longitudes; that of sources.{source} is on"
                f" {grid}; write a box, to which it is interpolated"
            )
        part["grid"] = _axes(role, grid, **{key: float(value) for key, value in sides.items()})


def _grid_of_archive(content: dict[str, Any], role: str, source: str, spec: SourceSpec, channels: list[object]) -> Grid:
    if spec.type == "coarsened" or not channels:
        raise BadInput(f"{role}.grid: native is the grid of an archive's first channel, and there is none; write a box")
    defined = content.get("variables") or {}
    definitions = {name: validated(Definition, each, f"variables.{name}") for name, each in defined.items()}
    known, name = VARIABLES.extended(definitions), str(channels[0])
    channel = channel_named(name, known)
    made = derivation_of(channel, spec.derive[name]) if name in spec.derive else None
    read = list(made.ingredients.values()) if made else [channel]
    for period in ({**_EVER, **(content.get("period") or {})}, _EVER):  # a wrong period is told where it is read
        interval = Interval(parse_time(str(period["start"])), parse_time(str(period["end"])))
        references = take_inventory(source, spec, read, interval, known).references
        if len(references):
            return read_grid(FieldReference.from_row(references.slice(0, 1).to_pylist()[0]), spec.opening)
    selected = f" of select {spec.select}" if spec.select else ""
    raise BadInput(
        f"{role}.grid: native: sources.{source}.path {spec.path} holds no {' or '.join(each.name for each in read)}"
        f"{selected}; correct them (corrstore archive {spec.path} lists what is there), or write a box"
    )


def _axes(
    role: str, grid: RectilinearGrid, north: float = 90.0, south: float = -90.0, west: float = 0.0, east: float = 360.0
) -> dict[str, Any]:
    """Return the axes of the grid's points between four sides, north first and from the west on."""
    lat = np.sort(grid.lat)[::-1]
    lat = lat[(lat <= north + SAME_POINT) & (lat >= south - SAME_POINT)]
    lon = grid.lon
    if east - west < 360.0:
        lon = np.sort((grid.lon - west + SAME_POINT) % 360.0 + west - SAME_POINT)
        lon = lon[lon <= east + SAME_POINT].round(9)
    if not lat.size or not lon.size:
        raise BadInput(f"{role}.grid: native: the archive has no point in the box, only {grid}")
    return {"lat": axis_to_json(lat), "lon": axis_to_json(lon)}
