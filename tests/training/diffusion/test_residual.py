"""The scale and the spectrum of what a model has to learn, and the noise levels that follow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.fft import dctn, idctn

from corrstore.datasets.errors import BadInput
from corrstore.training.diffusion.edm import SIGMA_DATA, std_of_modes
from corrstore.training.diffusion.levels import NoiseLevels
from corrstore.training.diffusion.residual import ResidualStatistics
from corrstore.training.diffusion.spectrum import octave_of_modes, octave_power, octaves


def statistics(*batches):
    found = ResidualStatistics(batches[0].shape[1], batches[0].shape[2:], torch.device("cpu"))
    for batch in batches:
        found.add(batch, torch.ones_like(batch))
    return found


def test_sums_of_batches_give_numpys_mean_and_deviation_without_what_is_missing():
    residual = torch.randn(4, 2, 5, 6, generator=torch.Generator().manual_seed(0)) * 3 + 1
    residual[1, 0, :2] = torch.nan
    scale = statistics(residual[:1], residual[1:]).scale
    known = residual.double().numpy()
    np.testing.assert_allclose(scale.mean, np.nanmean(known, axis=(0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(scale.std, np.nanstd(known, axis=(0, 2, 3)), rtol=1e-6)
    x = scale.standardised(residual)
    np.testing.assert_allclose(np.nanstd(x.numpy(), axis=(0, 2, 3)), SIGMA_DATA, rtol=1e-5)
    torch.testing.assert_close(scale.restored(x), residual, equal_nan=True)


def test_a_channel_without_residual_keeps_its_base():
    residual = torch.zeros(2, 1, 3, 3)
    scale = statistics(residual).scale
    assert torch.equal(scale.standardised(residual), residual)
    assert torch.equal(scale.restored(torch.randn(2, 1, 3, 3)), residual)
    assert torch.equal(scale.divisor, torch.ones(1, 1, 1))


def test_a_few_large_residuals_and_a_mean_do_not_widen_the_typical_scale():
    """Normal residuals, a hundredth of them 20 times as large; as they are; far from 0; and one constant."""
    normal = torch.randn(4, 4, 64, 64, generator=torch.Generator().manual_seed(0))
    rare = torch.where(torch.rand(4, 64, 64, generator=torch.Generator().manual_seed(1)) < 0.01, 20.0, 1.0)
    residual = torch.stack(
        [normal[:, 0] * rare, normal[:, 1], normal[:, 2] + 30, torch.full_like(normal[:, 3], 7)], dim=1
    )
    found = statistics(residual)
    assert found.scale.std[0] > 2
    size = residual[:, 0].abs().double().mean() * np.sqrt(np.pi / 2)
    torch.testing.assert_close(found.typical_scale.std[0], size.float(), rtol=1e-5, atol=0)
    np.testing.assert_allclose(found.typical_scale.std[1:], [1, 1, 0], rtol=0.02, atol=1e-3)
    assert torch.equal(found.typical_scale.mean, found.scale.mean)


def test_octaves_divide_the_power_by_wavelength():
    """Mode (i, j) of SciPy's cosine transform has the wavelength 2 / hypot(i / height, j / width) pixels."""
    field = np.random.default_rng(0).normal(size=(3, 24, 40))
    power = dctn(field, axes=(1, 2), norm="ortho") ** 2
    with np.errstate(divide="ignore"):
        wavelength = 2 / np.hypot(np.arange(24)[:, None] / 24, np.arange(40) / 40)
    assert octaves(24, 40) == [2, 4, 8, 16, 32, 64, 128]
    place = np.digitize(wavelength, [4, 8, 16, 32, 64, 128])
    inside = [place == octave for octave in range(7)]
    expected = np.stack([power[:, each].sum(axis=1) for each in inside], axis=1)
    np.testing.assert_allclose(octave_power(torch.from_numpy(field)), expected, rtol=1e-9)
    np.testing.assert_array_equal(octave_of_modes(24, 40), place)


def test_noise_levels_go_from_below_the_smallest_mode_to_above_the_largest():
    """Fields of a known spectrum, each octave of one standard deviation, with gaps and a mean that do not matter."""
    rng = np.random.default_rng(1)
    ones = torch.from_numpy(np.stack([idctn(np.eye(256)[k].reshape(16, 16), norm="ortho") for k in range(256)]))
    octave = octave_power(ones).argmax(dim=1).numpy().reshape(16, 16)
    wanted = np.array([0.1, 0.4, 1.0, 3.0, 3.0, 5.0])
    fields = idctn(rng.normal(size=(600, 1, 16, 16)) * wanted[octave], axes=(2, 3), norm="ortho") + 7.0
    residual = torch.from_numpy(fields)
    found = statistics(residual[:200], residual[200:])
    scale = SIGMA_DATA / float(found.scale.std)
    std = std_of_modes(found.octave_variance, 16, 16)[0]
    np.testing.assert_allclose(std, wanted[octave] * scale, rtol=0.05)
    assert float(found.octave_variance.sum()) == pytest.approx(SIGMA_DATA**2, rel=1e-4)
    assert found.noise_levels.sigma_min == pytest.approx(0.1 * 0.1 * scale, rel=0.03)
    assert found.noise_levels.sigma_max == pytest.approx(5 * 5.0 * scale, rel=0.05)
    assert statistics(torch.zeros(1, 1, 8, 8)).noise_levels.sigma_max > 1


@pytest.mark.parametrize("distribution", ["log-normal", "log-uniform"])
def test_levels_are_drawn_as_they_say(distribution):
    """Kolmogorov-Smirnov: 2,000 levels exceed a distance of 1.63 / sqrt(2000) with probability 0.01."""
    levels = NoiseLevels(0.02, 50.0, distribution)
    z = torch.randn(2000, generator=torch.Generator().manual_seed(2)).double()
    place = np.sort(((levels.drawn(z) / 0.02).log() / np.log(2500)).numpy())
    if distribution == "log-normal":
        expected = 0.5 * (1 + torch.erf(torch.from_numpy((place - 0.5) * 4) / np.sqrt(2))).numpy()
        assert np.mean((place > 0) & (place < 1)) == pytest.approx(0.954, abs=0.02)
    else:
        expected = place
        assert 0 <= place[0] < place[-1] <= 1
    assert np.abs(expected - np.arange(0.5, 2000) / 2000).max() < 1.63 / np.sqrt(2000)
    with pytest.raises(BadInput, match="sigma_min 2 and sigma_max 1"):
        NoiseLevels(2, 1, distribution)
