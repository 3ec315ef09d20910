"""The files of SFF: a Zarr group for each run.

SFF's format is not published: the names of dimensions and variables are those of the table `sff`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from corrstore.datasets.grids.fields import FieldArray
from corrstore.datasets.synthetic.forecasts.models import ModelRun
from corrstore.datasets.variables.channels import channel_named

_SURFACE = ("t2m", "d2m", "q2m", "u10m", "v10m", "sp", "msl")
_ON_LEVELS = ("z", "t", "u", "v", "q")
_PLACE = ("latitude", "longitude")


def write_sff_group(
    folder: Path, run: ModelRun, leads: Sequence[np.timedelta64], by_lead: Sequence[Mapping[str, FieldArray]]
) -> Path:
    """Write the Zarr group of a run below `folder`, from its fields at each lead, and return its path.

    tp is the total since the run's start.
    """
    digits = str(run.init_time.astype("datetime64[h]")).replace("-", "").replace("T", "")
    path = folder / "sff" / f"sff_synthetic_{digits}.zarr"
    levels = run.spec.archive.levels
    variables = {
        name: _variable(name, ("init_time", "lead_time", *_PLACE), [[fields[name] for fields in by_lead]])
        for name in _SURFACE
    }
    rain = [[fields["rain"] for fields in by_lead]]
    variables["tp"] = _variable("tp", ("init_time", "lead_time", *_PLACE), rain)
    for name in _ON_LEVELS:
        fields = [[[fields[f"{name}_{level}"] for level in levels] for fields in by_lead]]
        variables[name] = _variable(name, ("init_time", "lead_time", "level", *_PLACE), fields)
    variables |= {name: _variable(name, _PLACE, field) for name, field in run.invariants().items()}
    dataset = xr.Dataset(
        variables,
        {
            "init_time": ("init_time", [run.init_time.astype("datetime64[ns]")]),
            "lead_time": ("lead_time", [int(lead / np.timedelta64(1, "h")) for lead in leads], {"units": "hours"}),
            "level": ("level", list(levels), {"units": "hPa"}),
            "latitude": ("latitude", run.grid.lat, {"units": "degrees_north"}),
            "longitude": ("longitude", run.grid.lon, {"units": "degrees_east"}),
        },
        {"title": "SYNTHETIC forecast: nothing here was observed", "Conventions": "CF-1.10"},
    )
    chunks = {name: {"chunks": (1, 1, *each.shape[2:])} for name, each in dataset.data_vars.items() if each.ndim > 2}
    dataset.to_zarr(path, mode="w-", zarr_format=2, consolidated=True, encoding=chunks)
    return path


def _variable(name: str, dims: tuple[str, ...], fields: object) -> xr.Variable:
    variable = channel_named(f"{name}_500" if name in _ON_LEVELS else name).variable
    attributes = {"standard_name": variable.standard_name, "units": variable.units}
    return xr.Variable(dims, np.asarray(fields, np.float32), attributes)
