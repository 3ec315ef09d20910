"""The variables that corrstore knows: names, units, physical ranges, and how a number of each is to be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from corrstore.datasets.errors import BadInput

LevelKind = Literal["surface", "height", "pressure", "column"]


@dataclass(frozen=True)
class Variable:
    """One physical quantity.

    `valid_range` is what the atmosphere can do, in `units`: outside it a number is an error of the archive.
    `windowed` says that a value holds over a window that ends at the valid time (an accumulation),
    `wet_threshold` the value from which a pixel counts as wet, `floor` the value below which a model's number
    means "nothing" and may be raised to it by a recipe.
    """

    name: str
    standard_name: str
    long_name: str
    units: str
    level_kind: LevelKind
    valid_range: tuple[float, float]
    transform: str = "identity"
    windowed: bool = False
    static: bool = False
    wet_threshold: float | None = None

    @property
    def vector_partner(self) -> str | None:
        """The other component of the vector that this variable is one of, else None."""
        return _PARTNERS.get(self.name)


_PARTNERS = {"u10m": "v10m", "v10m": "u10m", "u": "v", "v": "u"}

VARIABLES: dict[str, Variable] = {
    variable.name: variable
    for variable in (
        Variable("t2m", "air_temperature", "2 m temperature", "K", "height", (180.0, 340.0)),
        Variable("d2m", "dew_point_temperature", "2 m dew point", "K", "height", (150.0, 320.0)),
        Variable("q2m", "specific_humidity", "2 m specific humidity", "kg kg-1", "height", (0.0, 0.05)),
        Variable("r2m", "relative_humidity", "2 m relative humidity", "%", "height", (0.0, 120.0)),
        Variable("u10m", "eastward_wind", "10 m eastward wind", "m s-1", "height", (-100.0, 100.0)),
        Variable("v10m", "northward_wind", "10 m northward wind", "m s-1", "height", (-100.0, 100.0)),
        Variable("gust", "wind_speed_of_gust", "10 m wind gust", "m s-1", "height", (0.0, 150.0)),
        Variable("sp", "surface_air_pressure", "surface pressure", "Pa", "surface", (30000.0, 112000.0)),
        Variable(
            "msl",
            "air_pressure_at_mean_sea_level",
            "mean sea level pressure",
            "Pa",
            "surface",
            (86000.0, 110000.0),
        ),
        Variable("skt", "surface_temperature", "skin temperature", "K", "surface", (170.0, 360.0)),
        Variable("sst", "sea_surface_temperature", "sea surface temperature", "K", "surface", (265.0, 315.0)),
        Variable(
            "tp",
            "precipitation_amount",
            "total precipitation",
            "kg m-2",
            "surface",
            (0.0, 1000.0),
            transform="log1p",
            windowed=True,
            wet_threshold=0.1,
        ),
        Variable("refc", "equivalent_reflectivity_factor", "composite reflectivity", "dBZ", "column", (-40.0, 85.0)),
        Variable(
            "blh",
            "atmosphere_boundary_layer_thickness",
            "boundary layer height",
            "m",
            "surface",
            (0.0, 9000.0),
        ),
        Variable("vis", "visibility_in_air", "visibility", "m", "surface", (0.0, 200000.0)),
        Variable("tcc", "cloud_area_fraction", "total cloud cover", "%", "column", (0.0, 100.0)),
        Variable("z", "geopotential", "geopotential", "m2 s-2", "pressure", (-10000.0, 600000.0)),
        Variable("t", "air_temperature", "temperature", "K", "pressure", (150.0, 340.0)),
        Variable("u", "eastward_wind", "eastward wind", "m s-1", "pressure", (-200.0, 200.0)),
        Variable("v", "northward_wind", "northward wind", "m s-1", "pressure", (-200.0, 200.0)),
        Variable("q", "specific_humidity", "specific humidity", "kg kg-1", "pressure", (-0.001, 0.05)),
        Variable("orog", "surface_altitude", "terrain height", "m", "surface", (-500.0, 9000.0), static=True),
        Variable("lsm", "land_binary_mask", "land-sea mask", "1", "surface", (0.0, 1.0), static=True),
    )
}


def variable_named(name: str) -> Variable:
    """The variable of that name; BadInput, with the names that exist, where there is none."""
    if name not in VARIABLES:
        raise BadInput(f"unknown variable {name!r}; corrstore knows {', '.join(VARIABLES)}")
    return VARIABLES[name]
