"""The scale of what a model has to learn."""

from __future__ import annotations

import numpy as np
import torch

from corrstore.training.diffusion.edm import SIGMA_DATA
from corrstore.training.diffusion.residual import ResidualScale, residual_sums


def test_sums_of_batches_give_numpys_mean_and_deviation_without_what_is_missing():
    residual = torch.randn(4, 2, 5, 6, generator=torch.Generator().manual_seed(0)) * 3 + 1
    residual[1, 0, :2] = torch.nan
    scale = ResidualScale.from_sums(residual_sums(residual[:1]) + residual_sums(residual[1:]))
    known = residual.double().numpy()
    np.testing.assert_allclose(scale.mean, np.nanmean(known, axis=(0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(scale.std, np.nanstd(known, axis=(0, 2, 3)), rtol=1e-6)
    x = scale.standardised(residual)
    np.testing.assert_allclose(np.nanstd(x.numpy(), axis=(0, 2, 3)), SIGMA_DATA, rtol=1e-5)
    torch.testing.assert_close(scale.restored(x), residual, equal_nan=True)


def test_a_channel_without_residual_keeps_its_base():
    residual = torch.zeros(2, 1, 3, 3)
    scale = ResidualScale.from_sums(residual_sums(residual))
    assert torch.equal(scale.standardised(residual), residual)
    assert torch.equal(scale.restored(torch.randn(2, 1, 3, 3)), residual)
    assert torch.equal(scale.divisor, torch.ones(1, 1, 1))
