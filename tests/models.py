"""Untrained models of the tiny size, whose forecasts are known in closed form."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch

from corrstore.datasets.store.opening import Store
from corrstore.training.diffusion.edm import SIGMA_DATA
from corrstore.training.diffusion.residual import ResidualScale
from corrstore.training.diffusion.sampler import SamplerConfig
from corrstore.training.learning.checkpoint import Trained
from corrstore.training.learning.models import denoiser_for, frozen, regression_for
from corrstore.training.patches.features import Features, static_scales
from corrstore.training.run_config import RunConfig

CONFIG = RunConfig(stage="diffusion", size="tiny", patch=(32, 32))


def trained_on(store: Store, *, stirred: bool = False, diffusion: bool = True) -> Trained:
    """A model for the store: its mean is interpolation, and what it draws on top is white noise.

    For networks that add nothing the preconditioned denoiser is c_skip x, the best one for independent pixels of the
    standard deviation sigma_data. `stirred` networks add something.
    """
    fields = store.attributes["fingerprint_fields"]
    torch.manual_seed(3)
    models = [regression_for(CONFIG, fields), denoiser_for(CONFIG, fields) if diffusion else None]
    for model in models:
        if stirred and model is not None:
            torch.nn.init.normal_(model.network.last.weight, std=0.03)
    regression, denoiser = (model and frozen(model, "cpu") for model in models)
    count = len(fields["target"]["channels"])
    scale = ResidualScale(torch.full((count,), 0.05), torch.linspace(0.2, 0.6, count)) if diffusion else None
    known = {"url": store.folder.url, "fingerprint": store.fingerprint, "fingerprint_fields": fields}
    features = Features(store, static_scales(store))
    return Trained(CONFIG, 0, known, features, regression, denoiser, scale)


def gain(config: SamplerConfig) -> float:
    """Return the gain of Heun's method on unit noise, for Gaussian pixels: the slope of x at sigma is x f(sigma)."""

    def f(sigma: float) -> float:
        return sigma / (SIGMA_DATA**2 + sigma**2)

    ramp = np.linspace(config.sigma_max ** (1 / config.rho), config.sigma_min ** (1 / config.rho), config.steps)
    levels = [*ramp**config.rho, 0.0]
    x = levels[0]
    for sigma, lower in pairwise(levels):
        step = lower - sigma
        euler = x + step * f(sigma) * x
        x = euler if lower == 0 else x + step * (f(sigma) * x + f(lower) * euler) / 2
    return float(x)
