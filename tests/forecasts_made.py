"""Small SYNTHETIC forecasts in NetCDF and Zarr, in three layouts; every field is random, so a number tells its run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

RUNS = np.arange("2020-06-01T12", "2020-06-02T12", 6, dtype="M8[h]").astype("M8[ns]")
LEADS = np.arange(0, 25, 3)
LAT, LON = np.arange(34, 29.9, -0.5), np.arange(100, 105.1, 0.5)
LEVELS = [500, 850]
ORDER = ("init", "lead", "member", "level", "lat", "lon")


def truth(members: int = 1) -> xr.Dataset:
    """Random fields in corrstore's units; tp is the amount since the lead before, NaN at lead 0."""
    rng = np.random.default_rng(11)
    shape = (len(RUNS), len(LEADS), members, len(LAT), len(LON))
    surface = (*ORDER[:3], *ORDER[4:])
    rain = rng.gamma(0.7, 2, shape)
    rain[:, 0] = np.nan
    on_levels = rng.normal(0, 1, (*shape[:3], len(LEVELS), *shape[3:]))
    fields = {
        "t2m": (surface, 285 + 8 * rng.normal(size=shape)),
        "tp": (surface, rain),
        "z": (ORDER, 9.80665 * (np.array([5700, 1500])[:, None, None] + 40 * on_levels)),
        "t": (ORDER, np.array([258, 282])[:, None, None] + 5 * on_levels),
    }
    coordinates = {"init": RUNS, "member": np.arange(members), "level": LEVELS, "lat": LAT, "lon": LON}
    dataset = xr.Dataset(fields, {**coordinates, "lead": LEADS.astype("m8[h]").astype("m8[ns]")})
    return dataset.astype(np.float32)


def six_hours(fields: xr.Dataset) -> xr.DataArray:
    """The amount over the six hours before each lead, NaN where the run is younger."""
    rain = fields.tp
    return rain + rain.shift(lead=1)


def write_sff(folder: Path, fields: xr.Dataset, suffix: str = ".nc") -> None:
    """One file a run, with a scalar init, leads as whole hours without units, and run totals of rain."""
    folder.mkdir()
    for run in range(fields.sizes["init"]):
        one = fields.isel(init=run, member=0, drop=True)
        names = {"lead": "lead_time", "lat": "latitude", "lon": "longitude"}
        one = one.assign(tp=one.tp.cumsum("lead")).rename(names)
        hours = (fields.lead.values / np.timedelta64(1, "h")).astype(np.int32)
        one = one.assign_coords(lead_time=hours, init_time=fields.init.values[run])
        path = folder / f"{np.datetime_as_string(fields.init.values[run], 'h')}{suffix}"
        one.to_netcdf(path) if suffix == ".nc" else one.to_zarr(path, zarr_format=3, consolidated=False)


def write_weatherbench(path: Path, fields: xr.Dataset) -> None:
    """One group in chunks of one run, longitude before latitude as there; rain in metres over six hours."""
    named = {"t2m": "2m_temperature", "z": "geopotential", "t": "temperature"}
    dataset = fields.drop_vars("tp").assign(total_precipitation_6hr=six_hours(fields) / 1000).rename(named)
    dataset = dataset.rename(init="time", lead="prediction_timedelta", lat="latitude", lon="longitude", member="number")
    if dataset.sizes["number"] == 1:
        dataset = dataset.isel(number=0, drop=True)
    dataset.time.encoding = {"units": "hours since 2020-01-01"}
    dataset.transpose(..., "longitude", "latitude").chunk(time=1).to_zarr(path, zarr_format=2, consolidated=True)


def write_dynamical(path: Path, fields: xr.Dataset) -> None:
    """One group with a two-dimensional valid time, degrees Celsius, rain as the mean rate since the lead before."""
    on_levels = {
        **{f"temperature_{level}hpa": fields.t.sel(level=level, drop=True) - 273.15 for level in LEVELS},
        **{f"geopotential_height_{level}hpa": fields.z.sel(level=level, drop=True) / 9.80665 for level in LEVELS},
    }
    step = fields.lead.diff("lead").reindex(lead=fields.lead) / np.timedelta64(1, "s")
    surface = {"temperature_2m": fields.t2m - 273.15, "precipitation_surface": fields.tp / step}
    dataset = xr.Dataset({**surface, **on_levels}).astype(np.float32)
    dataset = dataset.rename(init="init_time", lead="lead_time", lat="latitude", lon="longitude")
    dataset = dataset.rename(member="ensemble_member")
    dataset = dataset.assign_coords(valid_time=dataset.init_time + dataset.lead_time)
    dataset.lead_time.encoding = {"units": "seconds", "dtype": "float64"}
    dataset.transpose("init_time", "lead_time", "ensemble_member", ...).to_zarr(path, zarr_format=3, consolidated=False)


def forecast_content(path: Path, inits: object = None, **changes: object) -> dict:
    """Leads of 6 to 24 hours, every 6, of the first three of four runs."""
    grid = {"north": 33, "south": 31, "west": 101, "east": 104, "step": 0.5}
    side = {"source": "runs", "grid": grid, "channels": ["t2m", "tp", "z_500", "t_850"]}
    schedule = {"start": "2020-06-01T12", "end": "2020-06-02T06", "hours": [0, 6, 12, 18]}
    return {
        "name": "runs",
        "forecast": {"inits": inits or schedule, "leads": {"first": "6h", "last": "24h", "every": "6h"}},
        "splits": {"train": {"start": "2020-06-01T18", "end": "2020-06-02T12"}},
        "sources": {"runs": {"type": "sff", "path": str(path)}},
        "input": {**side, "halo": 0},
        "target": side,
        "store": {"dtype": "float32", "chunk": 16},
        **changes,
    }
