"""Patches, their order, the loader, the features on the device, and the meter."""

from __future__ import annotations

import pickle
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import tensorstore as ts
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from corrstore.datasets.errors import BadInput, DamagedData
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.grids.regrid import regridder
from corrstore.datasets.recipe.recipe import Recipe
from corrstore.datasets.store.opening import Store, open_store
from corrstore.training.patches.features import Features
from corrstore.training.patches.fixed import POSITION, static_detail, static_scales
from corrstore.training.patches.loader import Loader, ReadCost, split_order
from corrstore.training.patches.meter import throughput
from corrstore.training.patches.patches import Geometry, Patch, PatchOrder
from corrstore.training.run_config import run_config
from tests.conftest import SHAPE, build_in_process

CONFIG = run_config("regression", "demo", {"patch": (16, 24), "threads": 1})


@pytest.fixture(scope="module")
def float32_store(recipe, tmp_path_factory) -> Store:
    """The small store, kept as float32."""
    folder = tmp_path_factory.mktemp("float32") / "store"
    changed = recipe.model_copy(update={"store": recipe.store.model_copy(update={"dtype": "float32"})})
    build_in_process(Recipe.model_validate(changed.model_dump()), folder)
    return open_store(str(folder))


@pytest.fixture(params=["demo_store", "float32_store"])
def store(request) -> Store:
    """A store of either type."""
    return request.getfixturevalue(request.param)


def order_of(samples=7, per_sample=1, seed=3) -> PatchOrder:
    return PatchOrder(np.arange(samples) * 2, Patch(0, 0, 48, 64), Patch(0, 0, 16, 24), per_sample, seed)


@given(st.integers(0, 60), st.integers(1, 30), st.integers(1, 3))
def test_the_order_does_not_depend_on_how_it_is_asked_for(start, count, per_sample):
    together = order_of(per_sample=per_sample).draws(start, start + count)
    asked_alone = order_of(per_sample=per_sample)
    assert together == [asked_alone.draws(i, i + 1)[0] for i in reversed(range(start, start + count))][::-1]


def test_an_epoch_takes_every_sample_and_the_next_takes_them_in_another_order():
    order = order_of(per_sample=3)
    first, second = (order.draws(epoch * 21, (epoch + 1) * 21) for epoch in (0, 1))
    for epoch in (first, second):
        assert [draw.sample for draw in epoch[::3]] == [draw.sample for draw in epoch[2::3]]
        assert sorted(draw.sample for draw in epoch[::3]) == [0, 2, 4, 6, 8, 10, 12]
    assert first != second
    assert order_of(per_sample=3, seed=4).draws(0, 21) != first


def test_patches_reach_every_edge_of_the_domain_and_none_lies_outside():
    patches = [draw.patch for draw in order_of().draws(0, 3000)]
    assert {(patch.height, patch.width) for patch in patches} == {(16, 24)}
    assert (min(p.top for p in patches), max(p.top for p in patches)) == (0, 48 - 16)
    assert (min(p.left for p in patches), max(p.left for p in patches)) == (0, 64 - 24)


@settings(max_examples=25)
@given(st.data())
def test_the_window_holds_every_neighbour_of_a_patch_and_is_of_one_size(data):
    step, offset = data.draw(st.sampled_from([0.03, 0.11, 0.25])), data.draw(st.sampled_from([0.0, 0.07]))
    coarse = RectilinearGrid.from_box(12, 5, 100, 110, 0.25)
    fine = RectilinearGrid(11 - offset - step * np.arange(20), 102 + offset + step * np.arange(24))
    geometry = Geometry(coarse, fine)
    height, width = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 24))
    sizes = set()
    for top in range(20 - height + 1):
        for left in range(24 - width + 1):
            patch = Patch(top, left, height, width)
            window = geometry.window(patch)
            sizes.add((window.height, window.width))
            inside = RectilinearGrid(coarse.lat[window.slices[0]], coarse.lon[window.slices[1]])
            assert inside.covers(RectilinearGrid(fine.lat[patch.slices[0]], fine.lon[patch.slices[1]]))
    assert len(sizes) == 1
    (rows, columns) = sizes.pop()
    assert rows <= np.ceil(height * step / 0.25) + 2
    assert columns <= np.ceil(width * step / 0.25) + 2


def test_a_patch_larger_than_the_domain_is_refused(demo_store):
    with pytest.raises(
        BadInput, match=r"patch 16 x 448 does not fit the target grid of 48 x 64; give --set patch=\[16,64\]"
    ):
        split_order(demo_store, "train", CONFIG.model_copy(update={"patch": (16, 448)}))


def test_batches_are_what_the_store_holds(store):
    loader = Loader(store, split_order(store, "train", CONFIG), prefetch=2)
    batches = list(loader.batches([(0, 4), (4, 8), (8, 11)]))
    assert [(batch.first, len(batch.draws)) for batch in batches] == [(0, 4), (4, 4), (8, 3)]
    assert [draw for batch in batches for draw in batch.draws] == loader.order.draws(0, 11)
    for batch in batches:
        assert str(batch.target.dtype).removeprefix("torch.") == store.recipe.store.dtype
        for i, (sample, patch) in enumerate(batch.draws):
            np.testing.assert_array_equal(batch.target[i], patch.crop(store.stored("target", sample)))
            window = loader.geometry.window(patch)
            np.testing.assert_array_equal(batch.input[i], window.crop(store.stored("input", sample)))


def test_a_loader_that_was_sent_to_another_process_gives_the_same(demo_store):
    loader = Loader(demo_store, split_order(demo_store, "train", CONFIG))
    one, other = (next(each.batches([(5, 8)])) for each in (loader, pickle.loads(pickle.dumps(loader))))
    assert torch.equal(one.target, other.target)
    assert torch.equal(one.input, other.input)


def test_a_batch_that_is_held_is_not_written_again_and_one_that_is_not_gives_its_memory(demo_store):
    loader = Loader(demo_store, split_order(demo_store, "train", CONFIG), prefetch=1)
    spans = [(start, start + 2) for start in range(0, 24, 2)]
    held = [batch.target[1] for batch in loader.batches(spans)]
    assert len({each.data_ptr() for each in held}) == len(spans)
    for field, (_, stop) in zip(held, spans, strict=True):
        (draw,) = loader.order.draws(stop - 1, stop)
        np.testing.assert_array_equal(field, draw.patch.crop(demo_store.stored("target", draw.sample)))
    del held, field
    addresses = {batch.target.data_ptr() for batch in loader.batches(spans)}
    assert len(addresses) <= 4


def test_only_the_inner_chunks_under_a_patch_are_read(demo_store):
    def cost(patch_size):
        order = split_order(demo_store, "train", CONFIG.model_copy(update={"patch": patch_size, "seed": 1}))
        loader = Loader(demo_store, order, prefetch=0)
        before = file_bytes_read()
        (batch,) = loader.batches([(0, 1)])
        return batch.patches[0], file_bytes_read() - before

    patch, little = cost((8, 8))
    rows, columns = ({part.start // 24, (part.stop - 1) // 24} for part in patch.slices)
    whole_domain, everything = cost(None)
    assert whole_domain == Patch(0, 0, *SHAPE)
    assert little < everything * (len(rows) * len(columns) + 2) / 6


def file_bytes_read() -> int:
    """Bytes that tensorstore has read from files in this process so far."""
    (metric,) = ts.experimental_collect_matching_metrics("/tensorstore/kvstore/file/bytes_read")
    return metric["values"][0]["value"]


def test_bytes_are_those_of_whole_inner_chunks(demo_store):
    geometry = Geometry(demo_store.grid("input"), demo_store.grid("target"))
    coarse_rows, coarse_columns = geometry.input_grid.shape
    one_input_chunk = 7 * coarse_rows * coarse_columns * 2
    for patch, chunks in [(Patch(0, 0, 24, 24), 1), (Patch(23, 0, 2, 24), 2), (Patch(20, 20, 8, 30), 6)]:
        window = geometry.window(patch)
        read, used = ReadCost(demo_store, geometry).bytes_read_and_used(patch)
        assert read == chunks * 6 * 24 * 24 * 2 + one_input_chunk
        assert used == 6 * patch.height * patch.width * 2 + 7 * window.height * window.width * 2


def test_samples_that_are_not_valid_are_skipped_and_counted(faulty_store):
    store = faulty_store
    inside = store.recipe.splits.intervals["train"].mask(store.times)
    assert 0 < (inside & ~store.valid).sum() < inside.sum()
    order = split_order(store, "train", CONFIG)
    assert order.skipped == (inside & ~store.valid).sum()
    drawn = {draw.sample for draw in order.draws(0, 2 * order.epoch_length)}
    assert drawn == set(np.flatnonzero(inside & store.valid))


def test_a_split_that_is_not_there_is_named(demo_store):
    with pytest.raises(BadInput, match="no split 'holdout'; its recipe names train, validation, test"):
        split_order(demo_store, "holdout", CONFIG)


def test_a_damaged_and_an_absent_shard_are_named_by_sample_and_time(demo_store, tmp_path):
    shutil.copytree(demo_store.folder.path(), tmp_path / "store")
    store = open_store(str(tmp_path / "store"))
    order = split_order(store, "train", CONFIG)
    (draw,) = order.draws(0, 1)
    shard = tmp_path / "store" / store.plan.shard_key("target", draw.sample)
    shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])
    message = rf"sample {draw.sample} \(2020-06-0.*corrstore verify"
    with pytest.raises(DamagedData, match=message):
        list(Loader(store, order).batches([(0, order.epoch_length)]))
    shard.unlink()
    with pytest.raises(DamagedData, match=message):
        list(Loader(store, order).batches([(0, order.epoch_length)]))


def test_the_condition_is_the_builds_own_interpolation_of_physical_fields(store):
    features = Features(store, static_scales(store), extra=["position"])
    loader = Loader(store, split_order(store, "train", CONFIG))
    (batch,) = loader.batches([(0, 5)])
    condition = features.condition(batch.input, batch.patches)
    assert features.names == [*store.recipe.input.channels, "orog", "lsm", *POSITION]
    physical = features.input_conversion.decode(condition[:, :7]).numpy()
    upsample = regridder(store.grid("input"), store.grid("target"))
    for i, (sample, patch) in enumerate(batch.draws):
        expected = patch.crop(upsample(store.physical("input", sample).astype(np.float32)))
        for got, wanted, name in zip(physical[i], expected, features.input_names, strict=True):
            tolerance = 5e-8 + 1e-6 * np.abs(wanted).max()
            np.testing.assert_allclose(got, wanted, rtol=3e-6, atol=tolerance, err_msg=name)
        height = patch.crop(store.static[0].astype(np.float64))
        scaled = (height - store.static[0].astype(np.float64).mean()) / store.static[0].astype(np.float64).std()
        np.testing.assert_allclose(condition[i, 7], scaled, atol=1e-5)
        whole = features.condition_of(store.stored("input", sample), patch)
        assert torch.equal(whole[0], condition[i])


def test_position_tells_every_pixel_of_the_domain_apart(demo_store):
    features = Features(demo_store, static_scales(demo_store), extra=["position"])
    sample = demo_store.stored("input", 0)
    position = features.condition_of(sample, Patch(0, 0, *SHAPE))[0, -len(POSITION) :].flatten(1).T
    assert len(torch.unique(position, dim=0)) == SHAPE[0] * SHAPE[1]
    patch = Patch(5, 9, 16, 24)
    assert torch.equal(
        features.condition_of(sample, patch)[0], patch.crop(features.condition_of(sample, Patch(0, 0, *SHAPE))[0])
    )


def test_the_detail_of_a_static_field_is_what_the_inputs_grid_does_not_show(demo_store):
    fine, coarse = demo_store.grid("target"), demo_store.grid("input")
    height = xr.DataArray(demo_store.static[0].astype(np.float64), {"lat": fine.lat, "lon": fine.lon})
    means = height
    for name, axis in (("lat", coarse.lat), ("lon", coarse.lon)):
        nearest = [float(axis[np.abs(axis - point).argmin()]) for point in getattr(fine, name)]
        means = means.groupby(xr.DataArray(nearest, {name: means[name]}, name="nearest")).mean().rename(nearest=name)
    expected = height - means.interp(lat=fine.lat, lon=fine.lon)
    detail = static_detail(demo_store.static[:1], Geometry(coarse, fine))[0]
    inside = ~np.isnan(expected.values)
    assert inside.mean() > 0.5
    np.testing.assert_allclose(detail[inside], expected.values[inside], rtol=1e-5, atol=1e-3)
    assert 0.1 * height.std() < detail.std() < height.std()


def test_targets_come_back_in_physical_units(store):
    features = Features(store, static_scales(store))
    stored = torch.from_numpy(store.stored("target", 2))[None]
    physical = features.target_conversion.decode(features.targets(stored))
    np.testing.assert_allclose(physical[0], store.physical("target", 2), rtol=2e-6, atol=1e-5)
    back = features.target_conversion.encode(physical)
    np.testing.assert_allclose(back, stored.float(), atol=1e-4)


def test_a_missing_pixel_of_the_input_counts_as_the_mean(demo_store):
    features = Features(demo_store, static_scales(demo_store))
    sample = demo_store.stored("input", 0).copy()
    sample[4, 5, 5] = np.nan
    condition = features.condition_of(sample, Patch(0, 0, *SHAPE))
    assert (condition[0, 4] == 0).any()
    assert torch.isfinite(condition).all()


class ScriptedLoader:
    """A loader by a clock of its own: reading a batch takes a quarter of a second; it reads ahead, or does not."""

    def __init__(self, ahead: bool) -> None:
        self.ahead, self.now = ahead, 0.0
        self.patches = self.waited = self.bytes_read = self.bytes_used = 0

    def batches(self, spans):
        ready = self.now + 0.25
        for first, last in spans:
            if not self.ahead:
                ready = self.now + 0.25
            waited = max(0.0, ready - self.now)
            self.now, self.waited = self.now + waited, self.waited + waited
            ready = self.now + 0.25
            self.patches, self.bytes_read, self.bytes_used = (
                self.patches + last - first,
                self.bytes_read + 6,
                self.bytes_used + 2,
            )
            yield SimpleNamespace(draws=range(first, last))

    def step(self, batches) -> None:
        """A step of a second."""
        next(batches)
        self.now += 1


@pytest.mark.parametrize(("ahead", "both", "stalled_share"), [(True, 2.0, 0.0), (False, 1.6, 0.2)])
def test_the_meter_tells_a_loader_that_keeps_up_from_one_that_does_not(monkeypatch, ahead, both, stalled_share):
    loader = ScriptedLoader(ahead)
    monkeypatch.setattr("corrstore.training.patches.meter.time.perf_counter", lambda: loader.now)
    spans = ((start, start + 2) for start in range(0, 100, 2))
    found = throughput(loader, spans, loader.step, per_step=1, steps=5)
    assert (found.loader_alone, found.step_alone) == pytest.approx((8, 2))
    assert (found.both, found.stalled_share) == pytest.approx((both, stalled_share))


def test_the_meter_counts_the_bytes_that_are_read_for_each_used(demo_store):
    config = CONFIG.model_copy(update={"patch": (8, 8)})
    loader = Loader(demo_store, split_order(demo_store, "train", config))
    spans = ((start, start + 2) for start in range(0, 100, 2))
    assert throughput(loader, spans, next, per_step=1, steps=5).bytes_read_per_byte_used > 3
