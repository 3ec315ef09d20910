"""Untrained models of the tiny size, whose forecasts are known in closed form."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch

from corrstore.datasets.recipe.parts import StoredRole
from corrstore.datasets.store.opening import Store
from corrstore.training.diffusion.edm import SIGMA_DATA
from corrstore.training.diffusion.levels import NoiseLevels
from corrstore.training.diffusion.residual import ResidualScale
from corrstore.training.diffusion.sampler import SamplerConfig
from corrstore.training.learning.checkpoint import Trained
from corrstore.training.learning.models import denoiser_for, frozen, regression_for
from corrstore.training.patches.features import Features
from corrstore.training.patches.fixed import static_scales
from corrstore.training.run_config import RunConfig

CONFIG = RunConfig(stage="diffusion", size="tiny", patch=(32, 32))
EXTRA = CONFIG.extra_features


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
    features = Features(store, static_scales(store, EXTRA), extra=EXTRA)
    levels = NoiseLevels(0.002, 500.0) if diffusion else None
    return Trained(CONFIG, 0, known, features, regression, denoiser, scale, levels)


def gain(config: SamplerConfig, std: float = SIGMA_DATA) -> float:
    """Return the gain of DPM-Solver++(2M) on unit noise, for Gaussian modes of this standard deviation.

    Algorithm 2 of arXiv 2211.01095 with alpha = 1, in its own variables: lambda = -ln(sigma), r = h_before / h.
    """
    levels = np.geomspace(config.sigma_max, config.sigma_min, config.steps)
    x, estimates, steps = levels[0], [], []
    for sigma, lower in pairwise(levels):
        estimates.append(x * std**2 / (std**2 + sigma**2))
        steps.append(np.log(sigma) - np.log(lower))
        d = estimates[-1]
        if len(steps) > 1:
            r = steps[-2] / steps[-1]
            d = (1 + 1 / (2 * r)) * estimates[-1] - 1 / (2 * r) * estimates[-2]
        x = lower / sigma * x - (np.exp(-steps[-1]) - 1) * d
    return float(x * std**2 / (std**2 + levels[-1] ** 2))


def floor_error(store: Store, role: StoredRole, position: int) -> float:
    """Return how far above its floor a number of the channel may be that is read as the floor; 0 without a floor."""
    of_role = store.plan.normalisations[role][position : position + 1]
    if not of_role or not of_role[0].exact:
        return 0.0
    floor = of_role[0].exact[0].physical
    return of_role[0].error_bound(floor, floor, store.recipe.store.dtype)
