"""The grids of a recipe: a box by its outermost points and step, the axes themselves, or the name of a preset."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from corrstore.datasets.errors import BadInput
from corrstore.datasets.grids.axes import axis_from_json
from corrstore.datasets.grids.grid import PRESETS, preset
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.recipe.part import Part

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


class AxisSpec(Part):
    """An axis of evenly spaced points, by its ends."""

    first: float
    last: float
    count: int = Field(ge=1, le=_MOST_POINTS)


class AxesSpec(Part):
    """A rectilinear grid by its axes: each by its ends, or by all of its points."""

    lat: AxisSpec | Annotated[list[float], Field(min_length=1, max_length=_MOST_POINTS)]
    lon: AxisSpec | Annotated[list[float], Field(min_length=1, max_length=_MOST_POINTS)]

    @property
    def grid(self) -> RectilinearGrid:
        """The grid of the axes."""
        axes = (each.model_dump() if isinstance(each, AxisSpec) else each for each in (self.lat, self.lon))
        return RectilinearGrid(*map(axis_from_json, axes))

    @model_validator(mode="after")
    def _is_a_grid(self) -> Self:
        rows, columns = self.grid.shape
        if rows * columns > _MOST_POINTS_IN_ALL:
            raise BadInput(f"{rows} x {columns} points, expected at most {_MOST_POINTS_IN_ALL:,}; take fewer")
        return self


def _known_preset(name: object) -> str:
    if not isinstance(name, str):
        raise BadInput(f"expected a box (north, south, west, east, step) or one of {', '.join(PRESETS)}, got {name!r}")
    if name == "native":
        raise BadInput("native is the archive's grid, which `corrstore plan` and `build` find; it has none here")
    preset(name)
    return name


def _kind_of_grid(grid: object) -> str:
    if isinstance(grid, AxesSpec) or (isinstance(grid, dict) and "lat" in grid):
        return "axes"
    return "box" if isinstance(grid, dict | BoxSpec) else "preset"


PresetName = Annotated[str, BeforeValidator(_known_preset), Field(examples=[*sorted(PRESETS), "native"])]
GridSpec = Annotated[
    Annotated[BoxSpec, Tag("box")] | Annotated[AxesSpec, Tag("axes")] | Annotated[PresetName, Tag("preset")],
    Discriminator(_kind_of_grid),
]


def grid_of(spec: BoxSpec | AxesSpec | str) -> RectilinearGrid:
    """Return the grid of a box, of axes, or of a preset's name."""
    if isinstance(spec, str):
        return preset(spec)
    return spec.grid
