"""Channels that an archive lacks, derived from what it has: declared, built, kept, and else refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml

from corrstore.beam_pipelines.spreading.spread import Runner
from corrstore.beam_pipelines.verify import verify
from corrstore.datasets.archives.grib.handle import eccodes
from corrstore.datasets.errors import BadInput
from corrstore.datasets.pairing.sample_plan import sample_plans
from corrstore.datasets.recipe.recipe import Recipe, recipe_from
from corrstore.datasets.samples.preparation import prepare
from corrstore.datasets.store.ledger import SAMPLES
from corrstore.datasets.store.opening import Store, open_store
from corrstore.datasets.store.recorded import read_pairs
from corrstore.datasets.variables import formulas
from tests.conftest import QUIET, brief_content, build_in_process
from tests.paths import SHARED, needs_shared

BY_Q2M = {"d2m": "dew_point_from_specific_humidity"}
BY_R2M = {"d2m": "dew_point_from_relative_humidity"}
R2M = {"grib": [{"discipline": 0, "category": 1, "number": 0, "level_type": 103, "level": 2}], "scale": 5000}
"""The archive's specific humidity, whose numbers are taken for percent here."""


def recipe_of(archive: Path, derive: object, **changes: object) -> Recipe:
    """Five samples of CMA-RRA at its own nodes and averaged to 0.25 degree, not rounded."""
    content = brief_content(archive)
    content["sources"]["cma_rra"] |= {"derive": derive, **changes}
    content["sources"]["average"] = {"type": "coarsened", "of": "cma_rra"}
    content["input"] |= {
        "source": "average",
        "grid": {"north": 32.5, "south": 31.5, "west": 102.75, "east": 104.0, "step": 0.25},
        "halo": 0,
        "channels": ["d2m", "q2m", "sp"],
    }
    content["target"] |= {
        "grid": {"north": 32.41, "south": 31.60, "west": 102.79, "east": 103.90, "step": 0.03},
        "channels": ["t2m", "d2m"],
    }
    return recipe_from(content | {"floors": {}, "store": {"dtype": "float32", "chunk": 24}})


def built(recipe: Recipe, folder: Path) -> Store:
    build_in_process(recipe, folder)
    return open_store(str(folder))


@pytest.fixture(scope="module")
def stores(archive, tmp_path_factory) -> dict[str, Store]:
    """The stores of the archive's own dew point and of the derived one."""
    folder = tmp_path_factory.mktemp("derived")
    return {
        "own": built(recipe_of(archive, {}), folder / "own"),
        "derived": built(recipe_of(archive, ["d2m"]), folder / "derived"),
    }


def messages_of(path: Path) -> dict[str, tuple[np.ndarray, float]]:
    """The numbers of each message of a GRIB file and the error of their packing, by ecCodes' short name."""
    found = {}
    with path.open("rb") as file:
        while (handle := eccodes.codes_grib_new_from_file(file)) is not None:
            name = eccodes.codes_get(handle, "shortName")
            found[name] = eccodes.codes_get_values(handle), eccodes.codes_get(handle, "packingError")
            eccodes.codes_release(handle)
    return found


def differences(messages: dict[str, tuple[np.ndarray, float]]) -> tuple[np.ndarray, np.ndarray]:
    """The distances in K between a file's dew point and that of its humidity and pressure, and those by packing."""
    (q, dq), (p, dp), (own, own_error) = messages["2sh"], messages["sp"], messages["2d"]
    above, derived, below = (
        formulas.dew_point_from_specific_humidity(np.maximum(q + sign * dq, 1e-12), p + sign * dp)
        for sign in (1, 0, -1)
    )
    return np.abs(derived - own), np.maximum(above - derived, derived - below) + own_error


@pytest.fixture(scope="module")
def packing_error(archive) -> float:
    """The most, in K, by which packing moves the archive's dew point and that of its humidity and pressure apart."""
    found = (messages_of(path) for path in (archive / "cma_rra").rglob("*.grib2"))
    largest = max(differences(messages)[1].max() for messages in found if "2sh" in messages)
    assert 0 < largest < 0.02
    return largest + 0.002  # the twin rounds the ratio of the molar masses to 0.622, and its dew point to float32


@needs_shared
@pytest.mark.slow
def test_dew_points_of_real_hrrr_are_its_own_within_their_packing():
    """HRRR packs humidity to 1e-5; the driest pixel, of 2e-5, has another dew point there."""
    for path in sorted((SHARED / "km" / "hrrr_rme_hourly").rglob("*.grib2")):
        messages = messages_of(path)
        difference, by_packing = differences(messages)
        assert (difference < by_packing + 0.02)[messages["2sh"][0] > 1e-4].all(), path


@pytest.mark.parametrize("role", ["input", "target"])
def test_the_derived_dew_point_is_the_archives_own_within_its_packing(stores, packing_error, role):
    own, derived = (store.dataset(role)["d2m"].values for store in stores.values())
    assert 0 < np.abs(own - derived).max() < packing_error


def test_it_is_derived_on_the_archives_grid_and_then_averaged(stores, packing_error):
    coarse = stores["derived"].dataset("input")
    averaged_first = formulas.dew_point_from_specific_humidity(coarse["q2m"].values, coarse["sp"].values)
    assert np.abs(averaged_first - coarse["d2m"].values).max() > 3 * packing_error


def test_the_record_lists_the_terms_that_the_channel_was_derived_from(stores):
    own, derived = ({each.index: each for each in sample_plans(read_pairs(store.folder))} for store in stores.values())
    assert set(derived[2].fields) == {("cma_rra", name) for name in ("q2m", "sp", "t2m")}
    assert set(own[2].fields) > {("cma_rra", "d2m")}


def test_a_derived_store_is_its_source_and_keeps_its_derivations(stores, archive, tmp_path):
    store = stores["derived"]
    assert store.recipe.sources["cma_rra"].derive == BY_Q2M
    assert verify(store, Runner(workers=1), QUIET, against_source=5).passed
    with pytest.raises(BadInput, match=r"sources\.cma_rra\.derive\.d2m: 'dew_point_from_specific_humidity' in the st"):
        build_in_process(recipe_of(archive, {}), Path(store.folder.path()))


def table(folder: Path, **fields: object) -> str:
    """The path of a table for an archive of CMA-RRA without a dew point."""
    (folder / "mine.yaml").write_text(
        yaml.safe_dump({"name": "mine", "like": "cma_rra", "fields": {"d2m": {}, **fields}})
    )
    return str(folder / "mine.yaml")


def test_a_channel_that_can_be_derived_is_refused_with_the_line_to_write(archive, tmp_path):
    lacking = {"type": table(tmp_path)}
    with pytest.raises(BadInput) as refusal:
        prepare(recipe_of(archive, {}, **lacking))
    (said,) = str(refusal.value).splitlines()
    assert "holds no field of d2m in the period; d2m can be derived from q2m and sp by dew_point_from_spec" in said
    line = "write sources.cma_rra.derive: {d2m: dew_point_from_specific_humidity}"
    assert said.endswith(line)
    prepare(recipe_of(archive, yaml.safe_load(line.partition("derive: ")[2]), **lacking))


def test_an_archive_without_the_ingredients_is_refused_with_the_derivation_for_which_it_has_them(archive, tmp_path):
    with pytest.raises(BadInput) as refusal:
        prepare(recipe_of(archive, ["d2m"], type=table(tmp_path, q2m={}, r2m=R2M)))
    said = str(refusal.value)
    assert "no field of q2m (from which d2m is derived), q2m in the period" in said
    assert "d2m can be derived from r2m and t2m by dew_point_from_relative_humidity" in said
    assert "write sources.cma_rra.derive: {d2m: dew_point_from_relative_humidity, q2m: specific_hum" in said


def test_what_no_derivation_makes_is_to_be_removed_and_what_one_lacks_is_named(archive, tmp_path):
    with pytest.raises(BadInput) as refusal:
        prepare(recipe_of(archive, {}, type=table(tmp_path, d2m=R2M, q2m={}, sp={})))
    said = str(refusal.value)
    assert "holds no field of q2m, sp in the period; it has d2m" in said
    assert "else remove q2m, sp or extend the source's table" in said
    assert (
        "; q2m could be derived from d2m and sp by specific_humidity_from_dew_point"
        " or from r2m, t2m and sp by specific_humidity_from_relative_humidity\n"
    ) in said
    assert "sp: sp (GRIB2, discipline 0, category 3, number 0" in said


def test_a_plan_foresees_what_ingredients_lack(faulty, tmp_path):
    root, damaged = faulty
    (corrupt,) = (fault.valid_time for fault in damaged.faults if fault.kind == "corrupt_message")
    content = recipe_of(root, BY_R2M, type=table(tmp_path, r2m=R2M)).content
    content["period"]["end"] = content["splits"]["train"]["end"] = "2020-06-02T21"
    content["target"]["channels"] = ["d2m"]
    recipe = recipe_from(content | {"max_missing_share": 1.0})
    plan = prepare(recipe)
    (index,) = (index for index, reasons in plan.missing.items() if "t2m" in reasons[0])
    assert plan.missing[index] == [f"cma_rra holds no t2m at {corrupt}"] and index in plan.absent
    states = built(recipe, tmp_path / "store").table(SAMPLES).to_pylist()
    (lacking,) = (row for row in states if row["index"] == index)
    assert lacking["status"] == "missing"
    assert lacking["reasons"] == [f"{role} d2m: cma_rra holds no t2m at {corrupt}" for role in ("input", "target")]


LAT, LON = np.arange(32.0, 29.9, -0.25), np.arange(102.0, 104.1, 0.25)
FIELDS = {
    "ws10m": (0, 30),
    "wdir10m": (0, 360),
    "r": (5, 90),
    "t": (250, 300),
    "gh": (2500, 3500),
    "wz": (-5, 5),
}
DERIVED = {
    "u10m": "eastward_wind_from_speed_and_direction",
    "v10m": "northward_wind_from_speed_and_direction",
    "q_700": "specific_humidity_from_relative_humidity",
    "z_700": "geopotential_from_geopotential_height",
    "w_700": "pressure_velocity_from_upward_velocity",
}


def other_archive(folder: Path, shift: float = 0.0) -> dict[str, np.ndarray]:
    """Write NetCDF files of four times without the DERIVED channels; `wz` lies `shift` degrees further east."""
    random = np.random.default_rng(3)
    times = np.arange("2020-06-01T00", "2020-06-01T12", 3, dtype="datetime64[h]").astype("datetime64[ns]")
    coordinates = {"time": times, "latitude": LAT, "longitude": LON}
    values = {}
    for name, (low, high) in FIELDS.items():
        values[name] = random.uniform(low, high, (4, LAT.size, LON.size)).astype(np.float32)
        field = xr.DataArray(values[name], coordinates, list(coordinates), name=name)
        if not name.endswith("10m"):
            field = field.expand_dims(pressure_level=[700.0], axis=1)
        if name == "wz":
            field = field.assign_coords(longitude=LON + shift)
        field.to_netcdf(folder / f"{name}.nc")
    fields = {name: {"names": [name]} for name in FIELDS}
    (folder / "other.yaml").write_text(yaml.safe_dump({"name": "other", "files": ["*.nc"], "fields": fields}))
    return values


def other_recipe(folder: Path, derive: object) -> Recipe:
    """The recipe of a store at the other archive's own nodes."""
    grid = {"north": 31.75, "south": 30.25, "west": 102.25, "east": 103.75, "step": 0.25}
    period = {"start": "2020-06-01T00", "end": "2020-06-01T12"}
    side = {"source": "other", "grid": grid, "channels": ["u10m", "v10m", {"q": [700]}, {"z": [700]}, {"w": [700]}]}
    return recipe_from(
        {
            "name": "other",
            "period": {**period, "frequency": "3h"},
            "splits": {"train": period},
            "sources": {"other": {"type": str(folder / "other.yaml"), "path": str(folder), "derive": derive}},
            "input": {**side, "halo": 0},
            "target": side,
            "store": {"dtype": "float32", "chunk": 8},
        }
    )


def test_winds_humidity_geopotential_and_pressure_velocity_reach_the_store(tmp_path):
    held = {name: values[:, 1:-1, 1:-1] for name, values in other_archive(tmp_path).items()}
    angle = np.radians(held["wdir10m"].astype(np.float64))
    expected = {
        "u10m": -held["ws10m"] * np.sin(angle),
        "v10m": -held["ws10m"] * np.cos(angle),
        "q_700": formulas.specific_humidity_from_relative_humidity(held["r"], held["t"], 70000.0),
        "z_700": held["gh"] * 9.80665,
        "w_700": formulas.pressure_velocity_from_upward_velocity(held["wz"], held["t"], 70000.0),
    }
    stored = built(other_recipe(tmp_path, DERIVED), tmp_path / "store").dataset("target")
    for name, values in expected.items():
        np.testing.assert_allclose(
            stored[name].values, values, rtol=1e-5, atol=1e-5 * np.abs(values).max(), err_msg=name
        )


def test_channels_of_an_archive_that_has_none_of_them_are_refused_with_all_lines(tmp_path):
    other_archive(tmp_path)
    with pytest.raises(BadInput) as refusal:
        prepare(other_recipe(tmp_path, {}))
    assert yaml.safe_load(str(refusal.value).partition("derive: ")[2]) == DERIVED


def test_a_derivation_from_two_grids_is_refused(tmp_path):
    other_archive(tmp_path, shift=0.125)
    with pytest.raises(
        BadInput, match=r"sources\.other\.derive\.w_700: one grid is needed, but .*wz_700 on .*t_700 on"
    ):
        prepare(other_recipe(tmp_path, DERIVED))
