"""A store behind the interface that physicsnemo's CorrDiff example describes for custom datasets.

The description: the README's section on custom datasets, and the abstract class that it names (NVIDIA/physicsnemo,
examples/weather/corrdiff: README.md, datasets/base.py). What the example does with a dataset is done here likewise.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import cftime
import numpy as np
import pytest
import torch

from corrstore.datasets.errors import BadInput
from corrstore.datasets.grids.regrid import regridder
from corrstore.training.nvidia.physicsnemo import ChannelMetadata, CorrDiffDataset
from tests.conftest import SHAPE
from tests.models import floor_error
from tests.paths import ROOT

torch.set_num_threads(1)
TRAIN = """
import importlib.util, sys
import torch
from datasets.dataset import registered

if __name__ == "__main__":
    file, name = sys.argv[1].split("::")
    spec = importlib.util.spec_from_file_location("custom", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    dataset = getattr(module, name)(store=sys.argv[2], split="train")
    read = {
        method: list(torch.utils.data.DataLoader(dataset, 3, num_workers=1, multiprocessing_context=method))
        for method in ("fork", "spawn")
    }
    for method, batches in read.items():
        for number, fields in enumerate(zip(*batches)):
            same = torch.equal(torch.cat(fields), torch.stack([dataset[index][number] for index in range(8)]))
            print(method, *fields[-1].shape, registered, same)
"""


@pytest.fixture(scope="module")
def dataset(demo_store) -> CorrDiffDataset:
    return CorrDiffDataset(demo_store.folder.path(), "train")


def test_channels_are_described_by_name_level_and_whether_they_are_auxiliary(dataset):
    assert [(each.name, each.level, each.auxiliary) for each in dataset.output_channels()] == [
        ("t2m", "", False),
        ("u10m", "", False),
        ("v10m", "", False),
        ("tp", "", False),
        ("z", "500", False),
        ("refc", "", False),
    ]
    inputs = dataset.input_channels()
    assert [each.name + each.level for each in inputs if not each.auxiliary] == [
        *("t2m", "u10m", "v10m", "sp", "tp", "z500", "t850")
    ]
    assert [each.name for each in inputs if each.auxiliary] == ["orog", "lsm"]
    assert ChannelMetadata("t2m") == ChannelMetadata(name="t2m", level="", auxiliary=False)


def test_the_places_are_those_of_each_pixel(dataset, demo_store):
    lat, lon = dataset.latitude(), dataset.longitude()
    assert dataset.image_shape() == lat.shape == lon.shape == SHAPE
    grid = demo_store.grid("target")
    np.testing.assert_array_equal(lat, np.meshgrid(grid.lat, grid.lon, indexing="ij")[0])
    np.testing.assert_array_equal(lon, np.meshgrid(grid.lat, grid.lon, indexing="ij")[1])


def test_the_times_are_found_as_the_example_looks_for_them(dataset, demo_store):
    times = dataset.time()
    assert len(times) == len(dataset) == 8
    assert times.index(cftime.DatetimeGregorian(2020, 6, 1, 9)) == 2
    for split, count in (("validation", 2), ("test", 2)):
        assert len(CorrDiffDataset(demo_store.folder.path(), split)) == count


def test_a_sample_is_target_and_condition_normalised(dataset):
    target, condition = dataset[0]
    assert target.dtype == condition.dtype == torch.float32
    assert target.shape == (len(dataset.output_channels()), *SHAPE)
    assert condition.shape == (len(dataset.input_channels()), *SHAPE)
    targets = torch.stack([dataset[index][0] for index in range(len(dataset))])
    assert targets.mean(dim=(0, 2, 3)).abs().max() < 0.05
    assert (targets.std(dim=(0, 2, 3)) - 1).abs().max() < 0.05


def test_targets_come_back_to_the_stores_physical_units_to_the_bit(dataset, demo_store):
    for index, sample in ((0, 0), (-1, 7)):
        truth = demo_store.physical("target", sample)
        np.testing.assert_array_equal(dataset.denormalize_output(dataset[index][0].numpy()), truth)
        batch = dataset.denormalize_output(dataset[index][0][None].numpy())
        np.testing.assert_array_equal(batch, truth[None])


def test_the_condition_is_the_stores_input_interpolated_bilinearly_in_physical_units(dataset, demo_store):
    physical = dataset.denormalize_input(dataset[3][1][None].numpy())[0]
    coarse = demo_store.physical("input", 3).astype(np.float32)
    expected = regridder(demo_store.grid("input"), demo_store.grid("target"))(coarse)
    for position, (field, truth) in enumerate(zip(physical, [*expected, *demo_store.static], strict=True)):
        tolerance = 2e-6 * max(np.abs(truth).max(), np.ptp(truth)) + floor_error(demo_store, "input", position)
        np.testing.assert_allclose(field, truth, rtol=0, atol=tolerance, err_msg=str(position))


def test_normalising_undoes_denormalising(dataset):
    target, condition = (each[None].numpy() for each in dataset[5])
    np.testing.assert_allclose(dataset.normalize_output(dataset.denormalize_output(target)), target, atol=1e-4)
    np.testing.assert_allclose(dataset.normalize_input(dataset.denormalize_input(condition)), condition, atol=1e-4)
    assert dataset.normalize_output(dataset.denormalize_output(target)).dtype == np.float32


def test_beyond_the_last_sample_is_an_index_error_so_that_it_can_be_iterated_over(dataset):
    assert len(list(dataset)) == 8
    with pytest.raises(IndexError):
        dataset[8]


def test_it_says_what_it_is(dataset, demo_store):
    info = dataset.info()
    assert info["fingerprint"] == demo_store.fingerprint
    assert (info["split"], info["samples"], info["skipped"]) == ("train", 8, 0)
    assert info["output_units"][0] == "K"


def test_a_worker_forked_after_a_read_is_refused_and_does_not_wait_for_ever(dataset):
    _ = dataset[0]
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        try:
            _ = dataset[0]
        except BadInput as refusal:
            os._exit(7 if "was read before this worker was forked" in str(refusal) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


@pytest.mark.slow
def test_beside_the_examples_own_package_datasets_forked_and_spawned_workers_read_the_same(demo_store, tmp_path):
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "__init__.py").touch()
    (tmp_path / "datasets" / "dataset.py").write_text("registered = 'theirs'\n")
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "corrstore_dataset.py").write_text(
        "from corrstore.training.nvidia.physicsnemo import CorrDiffDataset\n"
    )
    words = [sys.executable, "train.py", "corrstore_dataset.py::CorrDiffDataset", demo_store.folder.path()]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    height, width = SHAPE
    assert done.stdout.splitlines() == [
        f"{method} 2 {channels} {height} {width} theirs True" for method in ("fork", "spawn") for channels in (6, 9)
    ]
