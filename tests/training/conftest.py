"""A diffusion run that forecasts are drawn with."""

from __future__ import annotations

from pathlib import Path

import pytest

from corrstore.training.learning.trainer import train
from corrstore.training.run_config import run_config


@pytest.fixture(scope="package")
def run(demo_store, tmp_path_factory) -> Path:
    """The folder of a diffusion run of a few patches."""
    folder = tmp_path_factory.mktemp("runs")
    few = {"patch": (32, 32), "patches": 4, "batch": 2, "micro_batch": 2, "warmup": 2, "threads": 1, "prefetch": 1}
    none = {"residual_scale_patches": 2, "validation_patches": 1, "validation_members": 2, "validation_steps": 2}
    for stage, below in (("regression", None), ("diffusion", folder / "regression")):
        train(demo_store, run_config(stage, "demo", {**few, **none}), folder / stage, below)
    return folder / "diffusion"
