"""A run behind the protocol of earth2studio's diagnostic models, called as its workflows call one.

The protocol: DiagnosticModel in models/dx/base.py of earth2studio 0.19, and the coordinates of its CorrDiff in
models/dx/corrdiff.py: batch first and empty, `sample` before `variable` in the output.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
import torch

from corrstore.datasets.errors import BadInput
from corrstore.training.diffusion.sampler import SamplerConfig
from corrstore.training.forecasts.forecast import ForecastSampler
from corrstore.training.forecasts.header import Part
from corrstore.training.forecasts.settings import SamplingSettings
from corrstore.training.nvidia.earth2studio import CorrDiffDiagnostic

INDEX = 8
TILE = {"steps": 4, "tile": (32, 40), "overlap": 8}


@pytest.fixture(scope="module")
def model(demo_store, run):
    return CorrDiffDiagnostic(demo_store.folder.path(), run, members=2, seed=5, **TILE)


def asked(model, store, leading, index=INDEX):
    """An input of a store's sample as a workflow fetches it: all leading dimensions, lengths and units of theirs."""
    fields = torch.from_numpy(store.physical("input", index)).float()
    fields[store.recipe.input.channels.index("tp")] /= 1000
    shape = [len(values) for values in leading.values()]
    known = {name: values for name, values in model.input_coords().items() if name != "batch"}
    return fields.expand(*shape, *fields.shape), OrderedDict(**leading, **known)


def drawn(run_sampler, store, member):
    fields = dict(run_sampler.drawn([Part(0, member)]))[Part(0, member)].copy()
    fields[store.recipe.target.channels.index("tp")] /= 1000
    return fields


def test_the_coordinates_are_ordered_and_named_as_theirs(model, demo_store):
    given = model.input_coords()
    assert list(given) == ["batch", "variable", "lat", "lon"]
    assert given["batch"].shape == (0,)
    assert list(given["variable"]) == ["t2m", "u10m", "v10m", "sp", "tp", "z500", "t850"]
    np.testing.assert_array_equal(given["lat"], demo_store.grid("input").lat)
    found = model.output_coords(given)
    assert list(found) == ["batch", "sample", "variable", "lat", "lon"]
    assert list(found["variable"]) == ["t2m", "u10m", "v10m", "tp", "z500", "refc"]
    assert (found["sample"].tolist(), found["batch"].shape) == ([0, 1], (0,))
    np.testing.assert_array_equal(found["lon"], demo_store.grid("target").lon)
    assert all(isinstance(each, np.ndarray) for each in (*given.values(), *found.values()))


def test_a_call_draws_what_sample_draws_with_the_same_seed_and_time(model, demo_store):
    time = demo_store.times[INDEX : INDEX + 1]
    x, coords = asked(model, demo_store, {"time": time, "lead_time": np.array([np.timedelta64(0, "h")])})
    assert model.to("cpu") is model
    fields, found = model(x, coords)
    assert list(found) == ["time", "lead_time", "sample", "variable", "lat", "lon"]
    assert fields.dtype == torch.float32 and list(fields.shape) == [len(each) for each in found.values()]
    levels = model.sampler.trained.noise_levels
    sampling = SamplingSettings(2, (32, 40), 8, seed=5, sampler=SamplerConfig.over(levels, 4))
    theirs = ForecastSampler(model.sampler.trained, demo_store, np.array([INDEX]), sampling)
    for member in (0, 1):
        expected = drawn(theirs, demo_store, member)
        for ours, wanted in zip(fields[0, 0, member].numpy(), expected, strict=True):
            np.testing.assert_allclose(ours, wanted, atol=2e-3 * wanted.std() + 1e-7)


def test_each_member_of_an_ensemble_of_inputs_and_each_lead_time_has_noise_of_its_own(model, demo_store):
    leading = {"ensemble": np.arange(2), "lead_time": np.array([0, 3], "timedelta64[h]")}
    fields, found = model(*asked(model, demo_store, leading))
    assert list(found) == ["ensemble", "lead_time", "sample", "variable", "lat", "lon"]
    members = fields.flatten(0, 2)[:, 0]
    for one in range(len(members)):
        for other in range(one):
            assert (members[one] - members[other]).abs().max() > 0.01


def test_a_regression_gives_its_mean_as_the_one_sample(demo_store, run):
    mean = CorrDiffDiagnostic(demo_store.folder.path(), run.parent / "regression", members=0, **TILE)
    x, coords = asked(mean, demo_store, {"batch": np.array([0])})
    fields, found = mean(x, coords)
    assert fields.shape[:2] == (1, 1) and list(found)[:2] == ["batch", "sample"]
    with pytest.raises(ValueError, match="no members"):
        CorrDiffDiagnostic(demo_store.folder.path(), run.parent / "regression", members=1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"lat": np.arange(5.0)}, "coordinate lat must be that of .*, not .0. 1. 2. 3. 4."),
        ({"variable": np.array(["t2m"])}, "coordinate variable must be .*t850.*, not .'t2m'"),
        ({"level": np.arange(1)}, "must end with variable, lat, lon, not batch, variable, lat, lon, level"),
    ],
)
def test_other_coordinates_are_a_value_error(model, changed, message):
    coords = OrderedDict(**model.input_coords() | changed)
    with pytest.raises(ValueError, match=message) as refused:
        model.output_coords(coords)
    assert isinstance(refused.value, BadInput)
