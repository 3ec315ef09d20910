"""Models that are not told where a pixel is, and the grids that they can be applied to."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from corrstore.datasets.errors import BadInput
from corrstore.datasets.grids.grid import grid_from_dict
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.training.learning.checkpoint import check_store, other_grid
from corrstore.training.learning.learner import Learner
from corrstore.training.learning.models import condition_channels
from corrstore.training.patches.features import Features
from corrstore.training.patches.fixed import POSITION, static_scales
from corrstore.training.patches.patches import Patch
from tests.models import CONFIG, trained_on


def elsewhere(store, step=1.0):
    """What a checkpoint knows of a store whose grids are farther east, their steps `step` times as large."""
    fields = {**store.attributes["fingerprint_fields"]}
    for role in ("input", "target"):
        grid = grid_from_dict(fields[role]["grid"])
        there = RectilinearGrid(grid.lat, grid.lon[0] + 5 + (grid.lon - grid.lon[0]) * step)
        fields[role] = {**fields[role], "grid": there.to_dict()}
    return {"url": "west", "fingerprint": "another", "fingerprint_fields": fields}


def test_without_position_the_condition_has_no_channels_of_it(demo_store):
    scales = static_scales(demo_store)
    with_position, without = (Features(demo_store, scales, extra=each) for each in (["position"], []))
    assert without.names == with_position.names[: -len(POSITION)]
    sample, patch = demo_store.stored("input", 0), Patch(0, 0, 16, 16)
    both = [each.condition_of(sample, patch)[0] for each in (with_position, without)]
    assert both[0][: -len(POSITION)].equal(both[1])
    fields = demo_store.attributes["fingerprint_fields"]
    config = CONFIG.model_copy(update={"extra_features": ()})
    assert condition_channels(config, fields) == len(without.names) == condition_channels(CONFIG, fields) - 4 - 2


def test_only_without_position_another_grid_of_the_same_resolution_is_allowed(demo_store):
    check_store(elsewhere(demo_store), demo_store, "run", position=False)
    with pytest.raises(BadInput, match=r"target\.grid"):
        check_store(elsewhere(demo_store), demo_store, "run")
    with pytest.raises(BadInput, match=r"target\.grid\[1\]: trained on 0\.06, this store has 0\.03"):
        check_store(elsewhere(demo_store, step=2.0), demo_store, "run", position=False)
    other = elsewhere(demo_store)
    other["fingerprint_fields"]["dtype"] = "float64"
    with pytest.raises(BadInput, match="dtype"):
        check_store(other, demo_store, "run", position=False)


def test_another_grid_is_told(demo_store):
    assert other_grid(trained_on(demo_store), demo_store) == ""
    known = SimpleNamespace(store=elsewhere(demo_store))
    assert "no position channels: it was trained on" in other_grid(known, demo_store)


def test_a_diffusion_has_the_features_that_its_regression_has(demo_store):
    parent = replace(trained_on(demo_store), config=CONFIG.model_copy(update={"extra_features": ("static_detail",)}))
    with pytest.raises(BadInput, match=r"give --set extra_features=\[static_detail\]"):
        Learner(CONFIG, demo_store, "cpu", parent)
