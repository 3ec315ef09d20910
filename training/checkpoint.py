"""Checkpoints: what a run leaves, whole or not at all, and the trained model that comes back from one."""

from __future__ import annotations

import io
import os
import uuid
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from datasets.errors import BadInput
from datasets.store import Store
from training.edm import Denoiser
from training.features import Features, StaticScale
from training.models import ResidualScale, denoiser_for, regression_for
from training.regression import Regression
from training.run_config import RunConfig

FORMAT = "corrstore checkpoint 1"
BEST, LAST = "best.pt", "last.pt"


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained model on one device: averaged (EMA) weights, in eval mode, nothing to be trained.

    A diffusion checkpoint holds the regression that it was trained on, so one file is all that sampling needs.
    `denoiser` and `residual` are None for a regression. `config` is the run's, `store` what the checkpoint knows of
    the store (`url`, `fingerprint`, `fingerprint_fields`), `scores` the validation that chose it.
    """

    config: RunConfig
    samples_seen: int
    store: dict[str, Any]
    scores: dict[str, Any]
    features: Features
    regression: Regression
    denoiser: Denoiser | None
    residual: ResidualScale | None

    def mean(self, condition: Tensor) -> Tensor:
        """The regression's prediction (batch, target channels, height, width), normalised, float32.

        `condition` is of `features.condition`.
        """
        with torch.no_grad(), autocast(self.config, condition.device):
            return self.regression(condition).float()

    def denoise(self, x: Tensor, sigma: Tensor, condition: Tensor) -> Tensor:
        """The denoiser of standardised residuals: a `training.edm.Denoise`, given to `training.sampler.sample`.

        `condition` is `torch.cat([features, mean], dim=1)` of the same patches: see `diffusion_condition`.
        """
        assert self.denoiser is not None
        with torch.no_grad(), autocast(self.config, condition.device):
            return self.denoiser(x, sigma, condition)

    def diffusion_condition(self, condition: Tensor) -> Tensor:
        """What conditions the denoiser: the features, then the regression's mean."""
        return torch.cat([condition, self.mean(condition)], dim=1)

    def combined(self, mean: Tensor, x: Tensor) -> Tensor:
        """Normalised target fields from the mean and a drawn standardised residual; decode by `target_units`."""
        assert self.residual is not None
        return mean + self.residual.restored(x)


def autocast(config: RunConfig, device: torch.device) -> torch.autocast:
    """The arithmetic that the run asks for."""
    return torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16")


def load_checkpoint(path: Path | str, store: Store, device: torch.device | str = "cpu") -> Trained:
    """The trained model of a checkpoint file, or of the best checkpoint of a run's folder.

    Raises BadInput, which names the file, where there is none, it is damaged, it is not corrstore's, or it was trained
    on a store of another fingerprint: then with the fields that differ, and both values.
    """
    file = checkpoint_file(path)
    content = read_checkpoint(file)
    check_store(content, store, file)
    fields = content["store"]["fingerprint_fields"]
    features = Features(store, [StaticScale(*each) for each in content["static"]], device)
    config = RunConfig.model_validate(content["config"])
    parent = content["regression"]
    denoiser = residual = None
    if parent is None:
        regression = regression_for(config, fields)
        regression.load_state_dict(content["ema"])
    else:
        regression = regression_for(RunConfig.model_validate(parent["config"]), fields)
        regression.load_state_dict(parent["ema"])
        denoiser = denoiser_for(config, fields)
        denoiser.load_state_dict(content["ema"])
        residual = ResidualScale(**content["residual"]).to(device)
        frozen(denoiser, device)
    frozen(regression, device)
    return Trained(
        config, content["samples_seen"], content["store"], content["scores"], features, regression, denoiser, residual
    )
