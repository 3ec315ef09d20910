"""Statistics of any period, months and hours: those of the data itself."""

from __future__ import annotations

import math

import numpy as np
import pytest

from corrstore.catalog.queries.access import Catalog
from corrstore.catalog.tables.registration import register, register_store
from corrstore.datasets.errors import BadInput
from corrstore.datasets.grids.regrid import regridder
from corrstore.datasets.storage.folder import Folder
from tests.catalog_made import made

QUANTILES = (0.0, 0.05, 0.5, 0.9, 0.99, 1.0)


@pytest.fixture(scope="module")
def catalog(demo_store, faulty_store, tmp_path_factory) -> Catalog:
    url = str(tmp_path_factory.mktemp("catalog"))
    for store in (demo_store, faulty_store):
        register_store(url, store.folder.url)
    return Catalog(url)


@pytest.fixture(scope="module")
def fields(demo_store, faulty_store):
    """All decoded numbers of both stores, float64: {store: {(role, channel): [samples, lat, lon]}}."""
    return {store.recipe.name: _fields(store) for store in (demo_store, faulty_store)}


def _fields(store):
    found = {}
    for role in ("input", "target"):
        decoded = np.stack([store.physical(role, index, allow_invalid=True) for index in range(len(store.times))])
        for place, channel in enumerate(store.plan.channels(role)):
            found[role, channel.name] = decoded[:, place]
    upsample = regridder(store.grid("input"), store.grid("target"), "bilinear")
    for role, name in [key for key in found if key[0] == "target" and ("input", key[1]) in found]:
        coarse = np.stack([upsample(field.astype(np.float32)) for field in found["input", name]])
        found["residual", name] = found[role, name] - coarse
    return found


def _expected(store, numbers, start, end, months, hours):
    """The valid samples' numbers that are asked for, and how many samples could be."""
    step = np.timedelta64(3, "h")
    possible = np.arange(store.times[0] - 40 * step, store.times[-1] + 40 * step, step)

    def asked(times):
        month = np.array([int(str(time)[5:7]) for time in times])
        hour = np.array([int(str(time)[11:13]) for time in times])
        inside = (times >= start) & (times < end)
        return inside & (np.isin(month, months) | (not months)) & (np.isin(hour, hours) | (not hours))

    return numbers[asked(store.times) & store.valid], int(asked(possible).sum())


@pytest.mark.parametrize("seed", range(50))
def test_any_selection_equals_numpy(catalog, demo_store, faulty_store, fields, seed):
    rng = np.random.default_rng(seed)
    store = (demo_store, faulty_store)[seed % 2]
    first, last = np.sort(rng.integers(-4, 18, 2))
    step, late = np.timedelta64(3, "h"), np.timedelta64(int(rng.integers(0, 3)), "h")
    start, end = store.times[0] + int(first) * step - late, store.times[0] + int(last + 1) * step - late
    hours = sorted({int(hour) for hour in rng.choice(np.arange(0, 24, 3), rng.integers(0, 6))})
    months = [[], [6], [5, 6], [7]][rng.integers(0, 4)]
    residual = seed % 3 == 0
    period = f"{np.datetime_as_string(start, 'm')}/{np.datetime_as_string(end, 'm')}"
    found = catalog.statistics((), period, months, hours, residual, QUANTILES, store.recipe.name)
    touches = start < store.times[-1] + step and end > store.times[0]
    roles = ("residual",) if residual else ("input", "target")
    keys = [key for key in fields[store.recipe.name] if key[0] in roles] if touches else []
    assert sorted((one.role, one.channel) for one in found) == sorted(keys)
    for one in found:
        numbers, expected = _expected(
            store, fields[store.recipe.name][one.role, one.channel], start, end, months, hours
        )
        assert (one.samples, one.expected, one.complete) == (len(numbers), expected, len(numbers) == expected > 0)
        _equals_numpy(one, numbers)


def _equals_numpy(one, numbers):
    finite = numbers[np.isfinite(numbers)]
    assert (one.count, one.missing) == (finite.size, numbers.size - finite.size)
    if finite.size == 0:
        assert math.isnan(one.mean) and math.isnan(one.std) and math.isnan(one.quantiles[2].value)
        return
    scale = np.abs(finite).max()
    assert one.mean == pytest.approx(math.fsum(finite) / finite.size, rel=1e-10, abs=1e-13 * scale)
    assert one.std == pytest.approx(finite.std(), rel=1e-10, abs=1e-13 * scale)
    assert (one.minimum, one.maximum) == (finite.min(), finite.max())
    for q, value, error in one.quantiles:
        assert abs(np.quantile(finite, q, method="inverted_cdf") - value) <= error
    if one.role != "residual" and one.channel == "tp":
        assert one.wet_share == np.mean(finite >= 0.1)
    else:
        assert one.wet_share is None


def test_without_a_period_it_is_the_stores_own(catalog, demo_store, faulty_store, fields):
    for store in (demo_store, faulty_store):
        (one,) = [each for each in catalog.statistics(["refc"], store=store.recipe.name) if each.role == "target"]
        assert (one.expected, one.samples) == (14, store.valid.sum())
        _equals_numpy(one, fields[store.recipe.name]["target", "refc"][store.valid])


def test_every_store_and_role_that_has_the_variable(catalog):
    found = catalog.statistics(["tp", "refc"], "2020-06")
    assert {(one.name, one.role, one.channel) for one in found} == {
        (name, *rest)
        for name in ("small", "faulty")
        for rest in (("input", "tp"), ("target", "tp"), ("target", "refc"))
    }
    assert catalog.statistics(["refc"], residual=True) == [] == catalog.statistics(["tp"], "2019")


def test_hours_that_no_sample_has_are_not_complete(catalog):
    (one, *_) = catalog.statistics(["tp"], hours=[1], store="small")
    assert (one.samples, one.expected, one.complete) == (0, 0, False)


def test_a_row_is_flat(catalog):
    row = catalog.statistics(["tp"], quantiles=[0.5], store="small")[0].row
    assert row["q0.5_error"] >= 0 and row["complete"] is True and row["units"] == "kg m-2"


def test_a_histogram_of_other_edges_is_refused(tmp_path):
    store = made(tmp_path)
    rows = store.tables["statistics"]
    first = rows.column_names.index("histogram_first")
    store.tables["statistics"] = rows.set_column(first, "histogram_first", [[7] * len(rows)])
    register(Folder(str(tmp_path / "catalog")), store)
    with pytest.raises(BadInput, match=r"8,\) counts, expected 4 for 3 edges"):
        Catalog(str(tmp_path / "catalog")).statistics(["t2m"], quantiles=[0.5])
