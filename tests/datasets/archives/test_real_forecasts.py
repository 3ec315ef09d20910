"""Stores of forecasts from real archives equal an independent decoding of the files."""

from __future__ import annotations

import eccodes
import numpy as np
import pytest
from numpy.typing import NDArray
from pyproj import Proj
from scipy.interpolate import RegularGridInterpolator

from corrstore.datasets.recipe.files import load_recipe
from corrstore.datasets.recipe.recipe import recipe_from
from corrstore.datasets.store.constants import storage_error
from corrstore.datasets.store.opening import open_store
from corrstore.datasets.variables.channels import channel_named
from tests.conftest import build_in_process
from tests.hrrr import HRRR_CRS, hrrr_grid
from tests.paths import SHARED, needs_shared

pytestmark = needs_shared

HRRR = SHARED / "km" / "hrrr_rme_hourly"


def messages(path, **keys: object) -> list[NDArray[np.float64]]:
    """The fields [row, column] of a file that have these keys, decoded by ecCodes itself."""
    found = []
    with path.open("rb") as file:
        while (message := eccodes.codes_grib_new_from_file(file)) is not None:
            if all(str(eccodes.codes_get(message, key)) == str(value) for key, value in keys.items()):
                shape = eccodes.codes_get(message, "Ny"), eccodes.codes_get(message, "Nx")
                found.append(eccodes.codes_get_values(message).reshape(shape))
            eccodes.codes_release(message)
    return found


@pytest.mark.slow
def test_every_lead_of_hrrr_is_that_of_its_run(tmp_path):
    """41 runs; the two files that are named f02 and f03 hold lead 1 h, by their headers, and nothing of other leads."""
    content = load_recipe("hrrr_rme", [f"sources.hrrr.path={HRRR}"]).content
    del content["period"]
    content["forecast"] = {
        "inits": {"start": "2018-07-22", "end": "2018-07-23T17", "hours": list(range(24))},
        "leads": {"first": "1h", "last": "3h", "every": "1h"},
    }
    content["input"]["channels"] = content["target"]["channels"] = ["t2m", "tp"]
    content["splits"] = {"train": {"start": "2018-07-22T01", "end": "2018-07-22T07"}}
    content["store"] |= {"dtype": "float32"}
    result = build_in_process(recipe_from({**content, "max_missing_share": 0.9}), tmp_path / "store")
    store = open_store(str(tmp_path / "store"))
    assert result.report.valid == 41 and store.axes.shape == (41, 3)
    assert store.valid.reshape(41, 3).sum(axis=0).tolist() == [41, 0, 0]
    assert result.report.notes["fields held more than once, the first taken"] == 4
    lon, lat = np.meshgrid(store.grid("target").lon, store.grid("target").lat)
    files = HRRR / "hrrr.20180722"
    plane, *_ = hrrr_grid(files / "hrrr.t01z.wrfsfcf03.grib2")
    x, y = Proj(HRRR_CRS)(lon, lat)
    for index in np.flatnonzero(store.valid):
        run, lead = store.axes.init_times[index], int(store.axes.lead_times[index] / np.timedelta64(1, "h"))
        path = HRRR / f"hrrr.{str(run)[:10].replace('-', '')}" / f"hrrr.t{str(run)[11:13]}z.wrfsfcf{lead:02d}.grib2"
        (temperature,) = messages(path, shortName="2t")
        (rain,) = messages(path, shortName="tp", stepRange=f"{lead - 1}-{lead}")
        for channel, field, found in zip(
            ("t2m", "tp"), (temperature, rain), store.physical("target", index), strict=True
        ):
            expected = RegularGridInterpolator((plane.y, plane.x), field)((y, x))
            error = 2 * storage_error(store.recipe, channel_named(channel)) + 1e-6 * np.abs(expected).max() + 1e-4
            np.testing.assert_allclose(found, expected, atol=error, rtol=0, err_msg=f"{path.name} {channel}")


@pytest.mark.parametrize("method", ["bilinear", "by_resolution"])
def test_real_cma_gfs_half_a_cell_off_is_brought_to_the_grid_of_era5(method, tmp_path):
    """A store of inputs alone, on points between the archive's own, and of one run."""
    path = SHARED / "cma" / "cma_grapes_gfs_025_t_2lev_20180808.grb2"
    grid = {"north": 60, "south": 12.25, "west": 70, "east": 141.75, "step": 0.25}
    recipe = recipe_from(
        {
            "name": "gfs",
            "forecast": {"inits": ["2018-08-08"], "leads": {"first": "0h", "last": "0h"}},
            "splits": {"train": {"start": "2018-08-08", "end": "2018-08-08T03"}},
            "sources": {"gfs": {"type": "cma_gfs", "path": str(path)}},
            "input": {
                "source": "gfs",
                "grid": grid,
                "halo": 4,
                "channels": ["t_1000", "t_975"],
                "regrid": method,
            },
            "store": {"dtype": "float32"},
        }
    )
    assert build_in_process(recipe, tmp_path / "store").report.valid == 1
    store = open_store(str(tmp_path / "store"))
    assert store.roles == ("input",)
    lat = 89.875 - 0.25 * np.arange(720)
    lon = 0.25 * np.arange(1440)
    points = np.stack(np.meshgrid(store.grid("input").lat, store.grid("input").lon, indexing="ij"), axis=-1)
    for position, level in enumerate((1000, 975)):
        (field,) = messages(path, shortName="t", level=level)
        expected = RegularGridInterpolator((lat[::-1], lon), field[::-1])(points)
        np.testing.assert_allclose(store.physical("input", 0)[position], expected, atol=2e-3, rtol=0)
