"""Regridding by ready weights, as a recipe names them, against what real xESMF gave."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from corrstore.datasets.errors import BadInput
from corrstore.datasets.pairing.sample_plan import sample_plans
from corrstore.datasets.recipe.recipe import recipe_from
from corrstore.datasets.samples.preparation import prepare
from corrstore.datasets.samples.sample import physical_fields
from tests.paths import SHARED, needs_shared

pytestmark = needs_shared


@pytest.fixture(scope="module")
def reference() -> xr.Dataset:
    with xr.open_dataset(SHARED / "esmf" / "era5_t_0p25_to_halfcell_bilinear.nc") as file:
        return file.load().sortby("dst_lat", ascending=False)  # a recipe's grid begins in the north


def write_weights(path, reference, coordinates: bool) -> None:
    """Two points of weight a half for each destination point, whose longitudes are the source's, numbered from 1."""
    lat, lon = reference.src_lat.to_numpy(), reference.src_lon.to_numpy()
    above = np.array([np.flatnonzero(np.isclose(lat, to + 0.125))[0] for to in reference.dst_lat.to_numpy()])
    below = np.array([np.flatnonzero(np.isclose(lat, to - 0.125))[0] for to in reference.dst_lat.to_numpy()])
    column = np.array([np.flatnonzero(np.isclose(lon, to))[0] for to in reference.dst_lon.to_numpy()])
    col = np.concatenate([(rows[:, None] * lon.size + column).ravel() for rows in (above, below)])
    row = np.tile(np.arange(reference.expected.size), 2)
    weights = xr.Dataset({"row": ("n_s", row + 1), "col": ("n_s", col + 1), "S": ("n_s", np.full(row.size, 0.5))})
    if coordinates:
        for side, name in (("a", "src"), ("b", "dst")):
            points = np.meshgrid(reference[f"{name}_lat"], reference[f"{name}_lon"], indexing="ij")
            for axis, each in zip(("yc", "xc"), points, strict=True):
                weights[f"{axis}_{side}"] = (f"n_{side}", each.ravel())
    weights.to_netcdf(path)


def recipe_of(folder, reference, regrid):
    times = np.array(["2020-03-01T00", "2020-03-01T01"], "M8[ns]")
    field = np.stack([reference.source.to_numpy()] * 2).astype(np.float32)
    lat, lon = reference.src_lat.to_numpy(), reference.src_lon.to_numpy()
    coordinates = {"valid_time": times, "latitude": lat, "longitude": lon}
    (folder / "archive").mkdir(exist_ok=True)
    xr.Dataset({"t2m": (tuple(coordinates), field, {"units": "K"})}, coordinates).to_netcdf(folder / "archive" / "a.nc")
    lat, lon = reference.dst_lat.to_numpy(), reference.dst_lon.to_numpy()
    box = {"north": lat.max(), "south": lat.min(), "west": lon.min(), "east": lon.max(), "step": 0.25}
    part = {"source": "a", "grid": {name: float(value) for name, value in box.items()}, "channels": ["t2m"]}
    interval = {"start": "2020-03-01T00", "end": "2020-03-01T02"}
    return recipe_from(
        {
            **{"name": "weights", "period": interval | {"frequency": "1h"}, "splits": {"train": interval}},
            **{"sources": {"a": {"type": "era5", "path": str(folder / "archive")}}, "input": part | {"halo": 0}},
            **{"target": part | {"regrid": regrid}},
        }
    )


@pytest.mark.parametrize("coordinates", [False, True])
def test_weights_of_a_file_give_what_esmf_gave(tmp_path, reference, coordinates):
    write_weights(tmp_path / "weights.nc", reference, coordinates)
    recipe = recipe_of(tmp_path, reference, {"weights": str(tmp_path / "weights.nc")})
    assert recipe_from(recipe.content) == recipe
    (plan, _) = (plan for plan in sample_plans(prepare(recipe).pairs) if plan.index >= 0)
    (target,) = (field.values for field in physical_fields(recipe, plan) if field.role == "target")
    expected = reference.expected.to_numpy()
    np.testing.assert_allclose(target, expected, atol=6e-5)


def test_weights_that_do_not_fit_are_refused_before_anything_is_written(tmp_path, reference):
    path = tmp_path / "weights.nc"
    write_weights(
        path, reference.assign_coords(src_lat=reference.src_lat + 0.25, dst_lat=reference.dst_lat + 0.25), True
    )
    recipe = recipe_of(tmp_path, reference, {"weights": str(path)})
    with pytest.raises(BadInput, match=r"weights\.nc: yc_a\[0\] is .* of another grid"):
        prepare(recipe)
    path.unlink()
    with pytest.raises(BadInput, match=r"weights\.nc.*cannot be read: No such file"):
        prepare(recipe)


def test_a_library_that_is_not_known_is_refused(tmp_path, reference):
    with pytest.raises(BadInput, match=r"target\.regrid.*'xesmf'"):
        recipe_of(tmp_path, reference, {"with": "esmf"})


def test_xesmf_is_asked_for_by_name(tmp_path, reference):
    recipe = recipe_of(tmp_path, reference, {"with": "xesmf", "method": "bilinear"})
    try:
        import xesmf  # noqa: F401
    except (ImportError, KeyError):
        with pytest.raises(BadInput, match=r"xesmf cannot be imported .*conda-forge.*regrid: \{weights: FILE\}"):
            prepare(recipe)
        return
    (plan, _) = (plan for plan in sample_plans(prepare(recipe).pairs) if plan.index >= 0)
    (target,) = (field.values for field in physical_fields(recipe, plan) if field.role == "target")
    np.testing.assert_allclose(target, reference.expected.to_numpy(), atol=6e-5)
