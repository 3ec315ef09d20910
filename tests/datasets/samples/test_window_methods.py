"""Maxima, minima and means over windows: by GRIB's process or by the table, and never stored as instantaneous."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
import yaml

from corrstore.datasets.archives.table import load_table
from corrstore.datasets.errors import BadInput
from corrstore.datasets.pairing.sample_plan import sample_plans
from corrstore.datasets.pairing.sources import with_cell_methods
from corrstore.datasets.samples.sample import physical_fields
from corrstore.datasets.store.description import describe
from tests.grib_made import changed
from tests.small_archives import SHAPE, grib2, hour, netcdf, prepared, recipe_of, store_of

GUST, FLUX = (0, 2, 22), (0, 4, 7)
RADIATION = {
    "long_name": "downward short-wave radiation",
    "standard_name": "surface_downwelling_shortwave_flux_in_air",
    "units": "W m-2",
    "valid_range": [0, 1500],
}
WINDS = 12 + 5 * np.random.default_rng(0).random((7, *SHAPE))


def numbers(parameter, process, level=(103, 10)):
    discipline, category, number = parameter
    keys = {"discipline": discipline, "category": category, "number": number}
    return {**keys, "level_type": level[0], "level": level[1], "process": process}


def table(folder, **content):
    path = folder / "table.yaml"
    path.write_text(yaml.safe_dump({"name": "mine", "like": "cma_rra", **content}), encoding="utf-8")
    return str(path)


def every_three_hours(**changes):
    period = {"start": hour(0).isoformat(), "end": hour(7).isoformat(), "frequency": "3h"}
    return {"period": period, "splits": {"train": {key: period[key] for key in ("start", "end")}}, **changes}


def fields_of(recipe):
    """The target's first channel of each sample, or why it is missing."""
    recipe, preparation = prepared(recipe)
    for sample in sample_plans(preparation.pairs):
        (field,) = (each for each in physical_fields(recipe, sample) if each.role == "target")
        yield field.missing or field.values


def inner(values):
    return values[1:6, 1:7]


@pytest.mark.parametrize(("process", "code", "extreme"), [("max", 2, np.max), ("min", 3, np.min)])
def test_an_extreme_of_three_hours_is_that_of_three_hourly_ones(process, code, extreme, tmp_path):
    messages = [grib2(GUST, hour(i), WINDS[i], 1, code, level=(103, 10)) for i in range(7) if i != 4]
    (tmp_path / "gust.grib2").write_bytes(b"".join(messages))
    kind = table(tmp_path, analysis=True, fields={"gust": {"grib": [numbers(GUST, process)]}})
    first, second, third = fields_of(recipe_of(tmp_path, ["gust"], type=kind, **every_three_hours()))
    assert first == "a holds no gust over 3h at 2020-03-01T00:00Z"
    np.testing.assert_allclose(second, inner(extreme(WINDS[1:4], axis=0)), atol=1e-3)
    assert third == "a holds no gust over 3h at 2020-03-01T06:00Z"


def test_a_longer_maximum_is_no_hourly_one_and_maxima_have_no_differences(tmp_path):
    messages = [grib2(GUST, hour(i), WINDS[i], i, 2, level=(103, 10)) for i in (3, 6)]  # of one run: 0-3 h, 0-6 h
    (tmp_path / "gust.grib2").write_bytes(b"".join(messages))
    kind = table(tmp_path, fields={"gust": {"grib": [numbers(GUST, "max")]}})
    _, second, third = fields_of(recipe_of(tmp_path, ["gust"], type=kind, **every_three_hours()))
    np.testing.assert_allclose(second, inner(WINDS[3]), atol=1e-3)
    assert third == "a holds no gust over 3h at 2020-03-01T06:00Z"
    with pytest.raises(BadInput, match=r"no gust over 1h .* \(the shortest window that it holds is of 3h\)"):
        prepared(recipe_of(tmp_path, ["gust"], type=kind, **every_three_hours(window="1h")))
    with pytest.raises(BadInput, match=r"has gust: a holds no gust over 4h .* that it holds are multiples of 3h\)"):
        prepared(recipe_of(tmp_path, ["gust"], type=kind, **every_three_hours(window="4h")))


def test_a_maximum_of_another_run_than_the_analysis_is_told_with_the_line_that_takes_both(tmp_path):
    """Temperatures are analyses, runs of their own hour; the gusts are of two runs, the second one from hour 4 on."""
    temperatures = [grib2((0, 0, 0), hour(i), WINDS[i] + 270) for i in range(7)]
    gusts = [
        changed(
            grib2(GUST, hour(i), WINDS[i], 1, 2, level=(103, 10)),
            dataTime=run * 100,
            stepRange=f"{i - run - 1}-{i - run}",
        )
        for i, run in [(1, 0), (2, 0), (3, 0), (4, 0), (5, 3), (6, 3)]
    ]
    (tmp_path / "a.grib2").write_bytes(b"".join(temperatures + gusts))
    fields = {"gust": {"grib": [numbers(GUST, "max")]}}
    kind = table(tmp_path, fields=fields)
    with pytest.raises(
        BadInput,
        match=r"has gust: .*T03:00Z in the run of .*; all runs together do: .* analysis: true",
    ):
        prepared(recipe_of(tmp_path, ["t2m", "gust"], type=kind, **every_three_hours()))
    kind = table(tmp_path, fields=fields, analysis=True)
    _, preparation = prepared(recipe_of(tmp_path, ["t2m", "gust"], type=kind, **every_three_hours()))
    assert [*preparation.missing] == [0]


def test_amounts_of_an_hour_each_of_a_run_of_its_own_make_no_window_without_that_line(tmp_path):
    rain = [grib2((0, 1, 8), hour(i), np.full(SHAPE, i), 1, level=(1, 0)) for i in range(-2, 7)]
    (tmp_path / "a.grib2").write_bytes(b"".join(rain))
    fields = {"tp": {"grib": [numbers((0, 1, 8), "accum", (1, 0))], "accumulates": "encoded"}}
    with pytest.raises(BadInput, match=r"no tp over 3h at .*; all runs together do: .* analysis: true"):
        prepared(recipe_of(tmp_path, ["tp"], type=table(tmp_path, fields=fields), **every_three_hours(window="3h")))
    kind = table(tmp_path, fields=fields, analysis=True)
    _, second, _ = fields_of(recipe_of(tmp_path, ["tp"], type=kind, **every_three_hours(window="3h")))
    np.testing.assert_allclose(second, 1 + 2 + 3, atol=1e-3)


def test_means_since_the_start_of_the_run_give_those_of_each_window(tmp_path):
    true = np.linspace(0, 900, 7)
    means = [grib2(FLUX, hour(i), np.full(SHAPE, true[1 : i + 1].mean()), i, 0, level=(1, 0)) for i in (3, 6)]
    (tmp_path / "flux.grib2").write_bytes(b"".join(means))
    kind = table(tmp_path, fields={"ssrd": {"grib": [numbers(FLUX, "avg", (1, 0))]}}, variables={"ssrd": RADIATION})
    settings = every_three_hours(variables={"ssrd": RADIATION})
    _, second, third = fields_of(recipe_of(tmp_path, ["ssrd"], type=kind, **settings))
    np.testing.assert_allclose(second, true[1:4].mean(), atol=0.05)
    np.testing.assert_allclose(third, true[4:].mean(), atol=0.05)


def test_netcdf_says_it_by_its_table(tmp_path):
    netcdf(tmp_path / "a.nc", list(range(7)), {"fg10": (WINDS, {"units": "m s-1", "cell_methods": "time: maximum"})})
    kind = table(tmp_path, like="era5", fields={"gust": {"names": "fg10", "method": "maximum", "accumulates": "hour"}})
    _, second, _ = fields_of(recipe_of(tmp_path, ["gust"], type=kind, **every_three_hours()))
    np.testing.assert_allclose(second, inner(WINDS[1:4].max(axis=0)), atol=1e-4)


@pytest.mark.parametrize(
    "attributes", [{"cell_methods": "area: mean time: maximum (interval: 1 hours)"}, {"GRIB_stepType": "max"}]
)
@pytest.mark.parametrize("rule", [{}, {"accumulates": "hour"}])
def test_a_maximum_that_the_table_takes_for_something_else_is_refused(attributes, rule, tmp_path):
    netcdf(tmp_path / "a.nc", [0, 1], {"fg10": (WINDS[:2], {"units": "m s-1", **attributes})})
    kind = table(tmp_path, like="era5", fields={"gust": {"names": "fg10", **rule}})
    with pytest.raises(BadInput, match=r"variable fg10 states that it is a maximum over time.*method: maximum"):
        prepared(recipe_of(tmp_path, ["gust"], type=kind))


def test_the_store_says_of_what_window_and_how(tmp_path):
    (tmp_path / "gust.grib2").write_bytes(
        b"".join(grib2(GUST, hour(i), WINDS[i], 1, 2, level=(103, 10)) for i in (0, 1))
    )
    kind = table(tmp_path, fields={"gust": {"grib": [numbers(GUST, "max")]}})
    store = store_of(recipe_of(tmp_path, ["gust"], type=kind), tmp_path / "store")
    assert store.dataset("target").gust.attrs["cell_methods"] == "time: maximum (interval: 1h)"
    assert store.group["target_window"][:].tolist() == [3600]
    assert describe(store)["target"]["channels"][0]["window"] == "1h maximum"
    assert store.attributes["fingerprint_fields"]["target"]["cell_methods"] == {"gust": "maximum"}
    np.testing.assert_allclose(store.physical("target", 1)[0], inner(WINDS[1]), atol=1e-3)


def test_a_channel_that_is_derived_from_means_is_a_mean_and_from_maxima_refused(tmp_path):
    level = {"discipline": 0, "category": 3, "number": 5, "level_type": 100}
    kinds = {}
    for process in ("avg", "max"):
        folder = tmp_path / process
        folder.mkdir()
        kinds[process] = table(folder, fields={"gh": {"grib": [{**level, "process": process}]}})
    source = {"a": {"type": kinds["avg"], "path": str(tmp_path), "derive": ["z_500"]}}
    recipe = with_cell_methods(recipe_of(tmp_path, ["z_500"], sources=source))
    assert recipe.channels["target"][0].variable.method == "mean"
    source["a"]["type"] = kinds["max"]
    with pytest.raises(BadInput, match=r"derive.z_500: cannot be derived from values that are maximum"):
        with_cell_methods(recipe_of(tmp_path, ["z_500"], sources=source))


def test_a_sum_that_a_table_gives_as_a_maximum_is_refused(tmp_path):
    kind = table(tmp_path, fields={"tp": {"grib": [numbers((0, 1, 8), "max", (1, 0))]}})
    with pytest.raises(BadInput, match="has tp as a maximum, but the variable is a sum of its window"):
        prepared(recipe_of(tmp_path, ["tp"], type=kind))


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"grib": [numbers(GUST, "sd")]}, "process sd: expected instant, accum, avg, max, min"),
        ({"grib": [numbers(GUST, "max"), numbers(GUST, "instant")]}, "of several processes, instant, max"),
        ({"names": "fg10", "method": "maximum"}, "method maximum needs `accumulates`"),
    ],
)
def test_wrong_rules_are_refused(rule, message, tmp_path):
    with pytest.raises(BadInput, match=message):
        load_table(table(tmp_path, fields={"gust": rule}))


def test_a_window_of_another_length_than_the_table_says_is_refused_of_any_process(tmp_path):
    (tmp_path / "gust.grib2").write_bytes(
        b"".join(grib2(GUST, hour(i), WINDS[i], 3, 2, level=(103, 10)) for i in (3, 6))
    )
    rule = {"grib": [numbers(GUST, "max")], "accumulates": "hour"}
    with pytest.raises(BadInput, match=r"gust: .* states a window of 3h .* says accumulates: hour"):
        prepared(recipe_of(tmp_path, ["gust"], type=table(tmp_path, fields={"gust": rule}), **every_three_hours()))


@pytest.mark.parametrize(("hours", "end", "refused"), [(1, 0, False), (3, 0, True), (1, 1, True)])
def test_bounds_of_times_that_are_no_windows_of_the_tables_length_are_refused(hours, end, refused, tmp_path):
    """Three hours for one, and times at the start of their windows."""
    netcdf(tmp_path / "part.nc", [0, 1, 2], {"tp": (WINDS[:3] / 1000, {"units": "m"})})
    dataset = xr.open_dataset(tmp_path / "part.nc").load()
    ends = dataset.valid_time.values + np.timedelta64(end, "h")
    dataset["time_bnds"] = ("valid_time", "two"), np.stack([ends - np.timedelta64(hours, "h"), ends], axis=1)
    dataset.valid_time.attrs["bounds"] = "time_bnds"
    dataset.to_netcdf(tmp_path / "a.nc")
    (tmp_path / "part.nc").unlink()
    recipe = recipe_of(tmp_path, ["tp"], type="era5")
    if not refused:
        assert prepared(recipe)[1].missing == {}
        return
    with pytest.raises(BadInput, match=r"variable tp at 2020-03-01T00:00Z is of .* as time_bnds states; .* hour"):
        prepared(recipe)
