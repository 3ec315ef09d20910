"""A store behind the interface that physicsnemo's StormCast example describes for custom datasets.

The description: the README's sections on model types (the row Downscaling) and custom datasets, the abstract class that
it names, and the search for classes (NVIDIA/physicsnemo, examples/weather/stormcast: README.md, datasets/dataset.py,
datasets/__init__.py).
"""

from __future__ import annotations

from abc import ABC

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from corrstore.training.nvidia.physicsnemo import CorrDiffDataset
from corrstore.training.nvidia.stormcast import RegionalDataset
from tests.conftest import SHAPE


@pytest.fixture(scope="module")
def dataset(demo_store) -> RegionalDataset:
    return RegionalDataset({"store": demo_store.folder.path()}, train=True)


def test_a_batch_has_background_and_state_of_the_channels_that_are_named(dataset, demo_store):
    batch = next(iter(DataLoader(dataset, batch_size=2)))
    assert list(batch) == ["background", "state"]
    assert batch["background"].shape == (2, len(dataset.background_channels()), *SHAPE)
    assert batch["state"].shape == (2, len(dataset.state_channels()), *SHAPE)
    assert {each.dtype for each in batch.values()} == {torch.float32}
    assert dataset.background_channels() == ["t2m", "u10m", "v10m", "sp", "tp", "z_500", "t_850"]
    assert dataset.state_channels() == list(demo_store.recipe.target.channels)
    assert (dataset.scalar_condition_channels(), dataset.lead_time_steps) == ([], 0)


def test_background_and_invariants_are_the_condition_of_the_same_sample(dataset, demo_store):
    state, condition = CorrDiffDataset(demo_store.folder.path(), "train")[3]
    found = dataset[3]
    torch.testing.assert_close(found["state"], state)
    invariants = torch.from_numpy(dataset.get_invariants())
    torch.testing.assert_close(torch.cat([found["background"], invariants]), condition)


def test_the_splits_are_those_of_the_store_and_the_places_those_of_each_pixel(dataset, demo_store):
    assert (len(dataset), len(RegionalDataset({"store": demo_store.folder.path()}, train=False))) == (8, 2)
    assert dataset.image_shape() == dataset.latitude().shape == dataset.longitude().shape == SHAPE
    np.testing.assert_array_equal(dataset.latitude()[:, 0], demo_store.grid("target").lat)
    np.testing.assert_array_equal(dataset.longitude()[0], demo_store.grid("target").lon)


def test_physical_units_are_the_stores_and_normalising_undoes_it(dataset, demo_store):
    found = dataset[0]
    np.testing.assert_array_equal(dataset.denormalize_state(found["state"]), demo_store.physical("target", 0))
    for fields, there, back in (
        (found["state"], dataset.denormalize_state, dataset.normalize_state),
        (found["background"], dataset.denormalize_background, dataset.normalize_background),
    ):
        np.testing.assert_allclose(back(there(fields)), fields, atol=1e-4)


def test_the_examples_search_finds_it_once_it_is_registered(dataset):
    class StormCastDataset(torch.utils.data.Dataset, ABC):
        """The name and the bases of the example's abstract class."""

    StormCastDataset.register(RegionalDataset)
    assert issubclass(RegionalDataset, StormCastDataset) and isinstance(dataset, StormCastDataset)
