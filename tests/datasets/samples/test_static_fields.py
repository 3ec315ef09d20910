"""Fields that do not depend on time, in archives that have them at many times."""

from __future__ import annotations

import numpy as np
import pytest

from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.recipe import recipe_from
from tests.small_archives import SHAPE, grib1, hour, netcdf, prepared, recipe_of

WARM = 280 + np.linspace(0, 5, SHAPE[0] * SHAPE[1]).reshape(SHAPE)
HEIGHT = 9.80665 * (500 + 20 * WARM - 5600)
PACKED = {"z": {"dtype": "int16", "scale_factor": 0.5, "add_offset": 5000.0, "_FillValue": -32767}}


def write(folder, kind, later):
    """An archive of t2m at hours 0 and 1, and of geopotential at both: `later` at the second one."""
    temperature, unit = ([WARM, WARM], {"units": "K"}), {"units": "m2 s-2"}
    if kind == "grib":
        messages = [grib1(167, hour(i), WARM) for i in (0, 1)]
        messages += [grib1(129, hour(i), each) for i, each in enumerate((HEIGHT, later))]
        (folder / "a.grib").write_bytes(b"".join(messages))
        return
    netcdf(folder / "t2m.nc", [0, 1], {"t2m": temperature})
    if kind == "grib and netcdf":
        (folder / "a.grib").write_bytes(grib1(129, hour(0), HEIGHT))
        netcdf(folder / "b.nc", [1], {"z": ([later], unit)})
    elif kind == "two files":
        for i, each in enumerate((HEIGHT, later)):
            netcdf(folder / f"{i}.nc", [i], {"z": ([each], unit)}, PACKED if i else None)
    else:
        netcdf(folder / "z.nc", [0, 1], {"z": ([HEIGHT, later], unit)})


KINDS = ["grib", "two files", "one file", "grib and netcdf"]


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_is_the_same_at_all_times_is_taken(kind, tmp_path):
    write(tmp_path, kind, HEIGHT)
    prepared(recipe_of(tmp_path, ["t2m"], type="era5", static=[{"variable": "orog", "source": "a"}]))


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_is_not_is_refused_with_the_time_and_the_difference(kind, tmp_path):
    write(tmp_path, kind, HEIGHT + 98.0665)
    with pytest.raises(
        BadInput, match=r"orog of sources.a is not the same .* at 2020-03-01T01:00Z .* up to (10|9\.99)"
    ):
        prepared(recipe_of(tmp_path, ["t2m"], type="era5", static=[{"variable": "orog", "source": "a"}]))


def test_one_outside_its_physical_range_is_refused(tmp_path):
    write(tmp_path, "grib", HEIGHT)
    content = recipe_of(tmp_path, ["t2m"], type="era5", static=[{"variable": "orog", "source": "a"}]).content
    table = tmp_path / "table.yaml"
    table.write_text(
        "{name: mine, like: era5, fields: {orog: {grib: [{table: 128, parameter: 129, level_type: 1}], scale: 5}}}"
    )
    content["sources"]["a"]["type"] = str(table)
    with pytest.raises(
        BadInput, match=r"static.orog: .* is outside the range -500 to 9000 m; .*correct units or scale"
    ):
        prepared(recipe_from(content))
