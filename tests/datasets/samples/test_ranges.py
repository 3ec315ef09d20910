"""Numbers outside the physical range, by packing or in truth; floors and caps; channels that hardly change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from corrstore.beam_pipelines.finish import read_report
from corrstore.beam_pipelines.spreading.spread import Runner
from corrstore.beam_pipelines.verify import verify
from corrstore.datasets.errors import BadInput
from corrstore.datasets.pairing.sample_plan import sample_plans
from corrstore.datasets.samples.sample import measure_sample, physical_fields
from corrstore.datasets.store.constants import constants_from_records, least_std
from tests.conftest import QUIET, build_in_process
from tests.small_archives import SHAPE, grib1, grib2, hour, netcdf, prepared, recipe_of, store_of

CLOUD = (0, 6, 1)


def cloud(centre: float) -> np.ndarray:
    """Cloud cover in percent, from 1.2587 up, with this number in the middle; eight bits hold it in steps of 0.5."""
    field = 1.2587 + np.linspace(0, 90, SHAPE[0] * SHAPE[1]).reshape(SHAPE)
    field[3, 4] = centre
    return field


def packed(folder, *centres: float, **keys):
    messages = [grib2(CLOUD, hour(i), cloud(each), bits=8, level=(1, 0), **keys) for i, each in enumerate(centres)]
    (folder / "tcc.grib2").write_bytes(b"".join(messages))
    return recipe_of(folder, ["tcc"], hours=len(centres))


def targets(recipe):
    """The target's first channel of each sample, before it is stored."""
    recipe, preparation = prepared(recipe)
    for sample in sample_plans(preparation.pairs):
        yield next(each for each in physical_fields(recipe, sample) if each.role == "target")


@pytest.mark.parametrize(
    "packing",
    ["grid_simple", "grid_ccsds", "grid_complex_spatial_differencing", "grid_simple_grib1", "int16", "untold"],
)
def test_an_overshoot_within_the_step_of_the_packing_is_at_the_end_of_the_range(packing, tmp_path):
    if packing == "grid_simple_grib1":
        content = b"".join(grib1(164, hour(i), cloud(100.0087) / 100, bits=8) for i in range(2))
        (tmp_path / "tcc.grib").write_bytes(content)
    elif packing in ("int16", "untold"):
        encoding = {"dtype": "int16", "scale_factor": 0.006, "add_offset": -0.002, "_FillValue": -32767}
        fields = {"tcc": ([cloud(100.3 if packing == "int16" else 100.003) / 100] * 2, {"units": "(0 - 1)"})}
        netcdf(tmp_path / "tcc.nc", [0, 1], fields, {"tcc": encoding} if packing == "int16" else None)
    else:
        packed(tmp_path, 100.0087, 100.0087, packingType=packing)
    of_grib2 = packing.startswith("grid") and packing != "grid_simple_grib1"
    for field in targets(recipe_of(tmp_path, ["tcc"], type="cma_rra" if of_grib2 else "era5")):
        assert (field.values.max(), field.overshot, field.outside) == (100, 1, None)


@pytest.mark.parametrize("least", [-1e-9, -5e-3])
def test_rain_below_zero_by_packing_is_dry_without_a_floor(least, tmp_path):
    rain = np.linspace(0, 0.004, SHAPE[0] * SHAPE[1]).reshape(SHAPE)
    rain[2, 3] = least / 1000
    netcdf(tmp_path / "tp.nc", [0, 1], {"tp": ([rain] * 2, {"units": "m"})})
    for field in targets(recipe_of(tmp_path, ["tp"], type="era5")):
        assert (field.values.min(), field.overshot, field.outside) == (0, 1, None)


def test_what_is_truly_outside_is_named_by_its_number_and_takes_no_other_sample_along(tmp_path):
    recipe = packed(tmp_path, 100.0087, 120.0087, 60)
    store, report = store_of(recipe, tmp_path / "store"), build_in_process(recipe, tmp_path / "store").report
    assert store.valid.tolist() == [True, False, True]
    (reasons,) = report.reasons.values()
    assert reasons[1].endswith(" to 120.2587 is outside the range 0 to 100 %; its packing has steps of 0.5")
    assert report.overshot == {"input tcc": 1, "target tcc": 1}
    assert report.notes["target tcc fields outside their range, left out of the constants"] == 1
    assert store.plan.normalisations["target"][0].mean == pytest.approx(45, abs=3)
    assert verify(store, Runner(workers=1), QUIET, 3, seed=0).passed


def test_constants_of_nothing_but_numbers_outside_are_refused_with_them(tmp_path):
    recipe, preparation = prepared(packed(tmp_path, 120, 130))
    with pytest.raises(BadInput, match=r"input channel tcc: all 2 fields .* outside .* to 119\.7587 is outside"):
        constants_from_records(recipe, (measure_sample(recipe, each) for each in sample_plans(preparation.pairs)))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_floors_and_caps_are_points_of_mass_in_what_is_read(dtype, tmp_path):
    recipe = packed(tmp_path, 100.0087, 99.9)
    changed = recipe.content | {"floors": {"tcc": 20}, "caps": {"tcc": 90}, "store": {"dtype": dtype, "chunk": 8}}
    store = store_of(type(recipe).model_validate(changed), tmp_path / "store")
    for index in (0, 1):
        field, lazily = store.physical("target", index)[0], store.dataset("target").tcc[index].values
        for read in (field, lazily):
            assert (read.min(), read.max()) == (20, 90)
    assert build_in_process(store.recipe, tmp_path / "store").report.capped == {"input tcc": 2, "target tcc": 2}
    assert store.attributes["fingerprint_fields"]["caps"] == {"tcc": 90}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"floors": {"tcc": 50}, "caps": {"tcc": 40}}, "floors.tcc is 50, not below caps.tcc, 40"),
        ({"caps": {"snow": 1}}, "caps.snow is not a channel of input or target"),
        ({"normalisation": {"least_std": {"snow": 1}}}, "normalisation.least_std.snow is not a channel"),
        ({"normalisation": {"least_std": {"tcc": 0}}}, "normalisation.least_std.tcc"),
    ],
)
def test_wrong_limits_are_refused(changes, message, tmp_path):
    with pytest.raises(BadInput, match=message):
        recipe_of(tmp_path, ["tcc"], **changes)


def rainy(folder, hours, trace=0.0, **changes):
    """Rain that is dry, but for a trace, in the first hours, which are the train split, and then rains."""
    fields = np.zeros((hours + 2, *SHAPE))
    fields[0, 3, 3], fields[hours:, 2:5] = trace / 1000, 8e-3
    times = list(range(hours + 2))
    temperature = (280 + np.random.default_rng(0).random(fields.shape), {"units": "K"})
    netcdf(folder / "a.nc", times, {"tp": (fields, {"units": "m"}), "t2m": temperature})
    train = {"train": {"start": hour(0).isoformat(), "end": hour(hours).isoformat()}}
    return recipe_of(folder, ["t2m", "tp"], hours + 2, "era5", splits=train, floors={"tp": 0}, **changes)


@pytest.mark.parametrize(
    ("trace", "std", "note"),
    [
        (0, 1, "target tp never changes in the train split; its standard deviation is taken as 1"),
        (2e-4, 0.01, "is raised to 0.01, the least (normalisation.least_std.tp)"),
    ],
)
def test_a_channel_that_hardly_changes_in_the_train_split_is_told_and_stored(trace, std, note, tmp_path):
    store = store_of(rainy(tmp_path, 3, trace, store={"dtype": "float16", "chunk": 8}), tmp_path / "store")
    assert store.valid.all()
    assert store.plan.normalisations["target"][1].std == std
    np.testing.assert_allclose(store.physical("target", 4)[1].max(), 8, rtol=1e-3)
    notes = read_report(store.folder).notes
    assert any("target tp" in each and each.endswith(note) for each in notes)


def test_the_least_standard_deviation_is_the_recipes_then_the_variables_then_what_float16_holds(tmp_path):
    recipe = rainy(tmp_path, 3)
    ours = rainy(tmp_path, 3, normalisation={"least_std": {"tp": 0.2}})
    assert least_std(ours, ours.channel("tp")) == 0.2
    assert least_std(recipe, recipe.channel("tp")) == 0.01
    assert (340 - 180) / least_std(recipe, recipe.channel("t2m")) < 65504


@pytest.mark.parametrize(("centre", "is_told"), [(9999, True), (120, False)])
def test_a_number_far_outside_may_be_a_mark_for_missing_ones(centre, is_told, tmp_path):
    netcdf(tmp_path / "tcc.nc", [0, 1], {"tcc": ([cloud(centre)] * 2, {"units": "%"})})
    for field in targets(recipe_of(tmp_path, ["tcc"], type="era5")):
        assert ("it may be a mark for missing numbers" in field.outside) == is_told


def test_a_channel_without_a_number_is_refused_with_the_reason(tmp_path):
    netcdf(tmp_path / "tcc.nc", [0, 1], {"tcc": ([cloud(np.nan) * np.nan] * 2, {"units": "%"})})
    recipe, preparation = prepared(recipe_of(tmp_path, ["tcc"], type="era5"))
    records = [measure_sample(recipe, sample) for sample in sample_plans(preparation.pairs)]
    with pytest.raises(
        BadInput, match=r"has no number in the train split .*: all pixels are missing where the archive"
    ):
        constants_from_records(recipe, records)
    reason = "target tcc: a.nc cannot be read"
    with pytest.raises(BadInput, match=r"a\.nc cannot be read; remove the channel"):
        constants_from_records(
            recipe, [replace(each, reasons=[reason, reason.replace("target", "input")]) for each in records]
        )
