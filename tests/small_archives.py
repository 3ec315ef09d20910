"""SYNTHETIC archives of a few points, as GRIB and NetCDF, and recipes and stores of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from corrstore.datasets.pairing.sources import with_cell_methods
from corrstore.datasets.recipe.recipe import Recipe, recipe_from
from corrstore.datasets.samples.preparation import Preparation, prepare
from corrstore.datasets.store.opening import Store, open_store
from tests.conftest import build_in_process
from tests.grib_made import made, regular

SHAPE = 7, 8
BOX = {"north": 49, "south": 45, "west": 101, "east": 106, "step": 1.0}
"""The inner points of the archives' grid."""
FIRST = datetime(2020, 3, 1)


def hour(number: int) -> datetime:
    """The valid time of that hour of the archives."""
    return FIRST + timedelta(hours=number)


def grib2(
    parameter: tuple[int, int, int],
    time: datetime,
    values: Any,
    window: int = 0,
    process: int = 1,
    bits: int = 16,
    level: tuple[int, int] = (103, 2),
    **keys: Any,
) -> bytes:
    """A message valid at `time`; a `window` of hours makes it a statistic of that kind (code table 4.10)."""
    start = time - timedelta(hours=window)
    discipline, category, number = parameter
    kind = {"productDefinitionTemplateNumber": 8, "typeOfStatisticalProcessing": process} if window else {}
    return made(
        "regular_ll_sfc_grib2",
        values,
        discipline=discipline,
        centre="babj",
        dataDate=int(start.strftime("%Y%m%d")),
        dataTime=start.hour * 100,
        **kind,
        parameterCategory=category,
        parameterNumber=number,
        typeOfFirstFixedSurface=level[0],
        scaleFactorOfFirstFixedSurface=0,
        scaledValueOfFirstFixedSurface=level[1],
        **regular(*SHAPE),
        **({"stepRange": f"0-{window}"} if window else {}),
        bitsPerValue=bits,
        **keys,
    )


def grib1(parameter: int, time: datetime, values: Any, bits: int = 16, **keys: Any) -> bytes:
    """A message of ECMWF's table 128."""
    return made(
        "regular_ll_sfc_grib1",
        values,
        centre="ecmf",
        table2Version=128,
        indicatorOfParameter=parameter,
        indicatorOfTypeOfLevel=1,
        level=0,
        dataDate=int(time.strftime("%Y%m%d")),
        dataTime=time.hour * 100,
        **regular(*SHAPE),
        bitsPerValue=bits,
        **keys,
    )


def netcdf(path: Path, hours: list[int], fields: dict[str, Any], encoding: dict[str, Any] | None = None) -> None:
    """Write variables, each (values [time, lat, lon], attributes), with the names and coordinates of ERA5."""
    times = np.array([hour(each) for each in hours], "M8[ns]")
    dimensions = ("valid_time", "latitude", "longitude")
    dataset = xr.Dataset(
        {
            name: (dimensions, np.asarray(values, np.float32), attributes)
            for name, (values, attributes) in fields.items()
        },
        {
            "valid_time": times,
            "latitude": ("latitude", 50.0 - np.arange(SHAPE[0]), {"units": "degrees_north"}),
            "longitude": ("longitude", 100.0 + np.arange(SHAPE[1]), {"units": "degrees_east"}),
        },
    )
    dataset.to_netcdf(path, encoding=encoding)


def recipe_of(archive: Path, channels: list[Any], hours: int = 2, type: str = "cma_rra", **changes: Any) -> Recipe:
    """A recipe of that many hours, all of them of the train split, whose input and target are the same."""
    end = hour(hours).isoformat()
    role = {"source": "a", "grid": BOX, "channels": channels}
    content = {
        "name": "small",
        "title": "SYNTHETIC",
        "period": {"start": FIRST.isoformat(), "end": end, "frequency": "1h"},
        "splits": {"train": {"start": FIRST.isoformat(), "end": end}},
        "sources": {"a": {"type": type, "path": str(archive)}},
        "input": {**role, "halo": 0},
        "target": role,
        "store": {"dtype": "float32", "chunk": 8},
        "max_missing_share": 1.0,
    }
    return recipe_from(content | changes)


def prepared(recipe: Recipe) -> tuple[Recipe, Preparation]:
    """The recipe as a build takes it, and what its archives give."""
    recipe = with_cell_methods(recipe)
    return recipe, prepare(recipe)


def store_of(recipe: Recipe, folder: Path) -> Store:
    """The store of the recipe."""
    build_in_process(recipe, folder)
    return open_store(str(folder))
