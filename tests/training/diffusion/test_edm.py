"""Preconditioning and loss against closed forms for Gaussian data."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.fft import dctn, idctn
from scipy.integrate import quad
from scipy.special import huber as scipy_huber
from scipy.stats import norm
from torch import nn

from corrstore.training.diffusion.edm import Denoiser, edm_loss, loss_weight, preconditioning, std_of_modes
from corrstore.training.diffusion.levels import NoiseLevels
from corrstore.training.diffusion.sampler import SamplerConfig, sample
from corrstore.training.diffusion.spectrum import octave_of_modes
from corrstore.training.networks.network import NetworkConfig, UNet

STD = [0.5, 2.0]
SIGMA_DATA = torch.tensor(STD)
LEVELS = NoiseLevels(0.1, 10.0)
MEAN = torch.tensor([0.3, -1.5])


def generators(count, seed=0):
    return [torch.Generator().manual_seed(seed + index) for index in range(count)]


class PerfectForGaussian(nn.Module):
    """The network inside the perfect denoiser of N(MEAN, STD^2) pixels, by equation 7 solved for it.

    D = (STD^2 x + sigma^2 MEAN) / (STD^2 + sigma^2), so F = (D - c_skip x) / c_out does not depend on x.
    """

    def forward(self, x, c_noise):
        sigma = (4 * c_noise).exp()[:, None, None, None]
        std, mean = SIGMA_DATA[:, None, None], MEAN[:, None, None]
        return (sigma * mean / (std * (sigma**2 + std**2).sqrt())).expand(len(x), 2, *x.shape[2:])


def test_preconditioning_at_the_ends_and_in_the_middle():
    c_skip, c_out, c_in = preconditioning(torch.tensor([1e-4, 0.5, 1e4]), torch.tensor(0.5))
    torch.testing.assert_close(c_skip, torch.tensor([1.0, 0.5, 2.5e-9]), rtol=1e-5, atol=0)
    torch.testing.assert_close(c_out, torch.tensor([1e-4, 0.5 / math.sqrt(2), 0.5]), rtol=1e-5, atol=0)
    torch.testing.assert_close(c_in, torch.tensor([2.0, math.sqrt(2), 1e-4]), rtol=1e-5, atol=0)


@pytest.mark.parametrize("sigma", [0.002, 0.3, 7.0, 800.0])
def test_preconditioning_gives_unit_variance_to_network_input_and_training_target(sigma):
    """Appendix B.6: Var[c_in (y + n)] = 1, Var[(y - c_skip (y + n)) / c_out] = 1, lambda c_out^2 = 1."""
    level = torch.tensor(sigma, dtype=torch.float64)
    std = torch.tensor(0.7, dtype=torch.float64)
    c_skip, c_out, c_in = (each.item() for each in preconditioning(level, std))
    assert c_in**2 * (0.7**2 + sigma**2) == pytest.approx(1)
    assert ((1 - c_skip) ** 2 * 0.7**2 + c_skip**2 * sigma**2) / c_out**2 == pytest.approx(1)
    assert loss_weight(level, std).item() * c_out**2 == pytest.approx(1)


def test_the_denoiser_of_a_gaussian_is_the_closed_form_whatever_the_shape_of_sigma():
    x, condition = torch.randn(3, 2, 4, 4, dtype=torch.float64) * 3, torch.zeros(3, 1, 4, 4)
    denoise = Denoiser(PerfectForGaussian(), STD)
    std, mean = SIGMA_DATA[:, None, None], MEAN[:, None, None]
    for sigma in (torch.tensor([0.01, 1.0, 50.0]), torch.tensor(1.7, dtype=torch.float64)):
        level = sigma.float().reshape(-1, 1, 1, 1)
        expected = (std**2 * x + level**2 * mean) / (std**2 + level**2)
        torch.testing.assert_close(denoise(x, sigma, condition), expected.float(), rtol=1e-4, atol=1e-5)


def test_an_untrained_denoiser_is_c_skip_x():
    network = UNet(NetworkConfig.from_size("tiny", 3, 2, noise_conditioned=True))
    x, sigma = torch.randn(2, 2, 8, 16), torch.tensor([0.2, 4.0])
    answer = Denoiser(network, STD)(x, sigma, torch.randn(2, 1, 8, 16))
    c_skip, _, _ = preconditioning(sigma[:, None, None, None], SIGMA_DATA[:, None, None])
    torch.testing.assert_close(answer, c_skip * x)


def test_an_untrained_denoiser_of_a_spectrum_is_the_wiener_filter_and_draws_that_spectrum():
    """On fields larger than those that were measured, too; the loss of the best linear denoiser is 1."""
    variance = torch.tensor([[0.01, 0.1, 0.3, 0.6], [0.5, 0.3, 0.2, 0.0]])
    network = UNet(NetworkConfig.from_size("tiny", 3, 2, noise_conditioned=True))
    denoise = Denoiser(network, STD, variance)
    std = std_of_modes(variance, 16, 24).numpy()
    octave = octave_of_modes(16, 24).clamp(max=3).numpy()
    shares = [[(each[octave == position] ** 2).sum() / (16 * 24) for position in range(4)] for each in std]
    np.testing.assert_allclose(shares, variance, rtol=1e-5)
    x, sigma, condition = torch.randn(1, 2, 16, 24), torch.tensor(0.7), torch.zeros(1, 1, 16, 24)
    modes = dctn(x.numpy(), axes=(2, 3), norm="ortho") * std**2 / (std**2 + 0.7**2)
    wiener = idctn(modes, axes=(2, 3), norm="ortho")
    np.testing.assert_allclose(denoise(x, sigma, condition).detach(), wiener, atol=1e-5)

    start = torch.from_numpy(idctn(np.ones((1, 2, 16, 24)), axes=(2, 3), norm="ortho"))
    config = SamplerConfig.over(NoiseLevels(0.01, 20.0))
    drawn = dctn(sample(lambda x, s: denoise(x, s, condition), lambda _: start, config), axes=(2, 3), norm="ortho")[0]
    assert np.abs(drawn[std > 0] / std[std > 0] - 1).max() < 0.03
    assert np.abs(drawn[std == 0]).max() < 1e-6

    fields = torch.from_numpy(
        idctn(np.random.default_rng(0).normal(size=(64, 2, 16, 24)) * std, axes=(2, 3), norm="ortho")
    )
    loss = edm_loss(
        denoise, fields.float(), condition.expand(64, -1, -1, -1), generators(64), levels=LEVELS, sigma_data=SIGMA_DATA,
        octave_variance=variance,
    )  # fmt: skip
    assert loss.mean.item() == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize(
    ("loss", "of_error"),
    [("huber", lambda z: 2 * scipy_huber(1, z)), ("log-cosh", lambda z: 2 * np.log(np.cosh(z)))],
)
def test_another_loss_of_the_perfect_denoiser_is_the_integral_over_its_normal_error(loss, of_error):
    torch.manual_seed(0)
    residual = MEAN[:, None, None] + SIGMA_DATA[:, None, None] * torch.randn(16, 2, 64, 64)
    denoise, condition = Denoiser(PerfectForGaussian(), STD), torch.zeros(16, 1, 64, 64)
    settings = {"levels": LEVELS, "sigma_data": SIGMA_DATA, "loss": loss}
    found = edm_loss(denoise, residual, condition, generators(16), **settings).mean.item()
    expected, square = (quad(lambda z, power=power: of_error(z) ** power * norm.pdf(z), -12, 12)[0] for power in (1, 2))
    assert abs(found - expected) < 5 * math.sqrt((square - expected**2) / residual.numel())
    none = edm_loss(denoise, torch.full_like(residual, np.nan), condition, generators(16), **settings)
    assert none.mean.item() == 0 and none.known.item() == 0


@pytest.mark.parametrize("weights", [None, torch.tensor([3.0, 0.5])])
def test_the_loss_of_the_perfect_denoiser_is_its_known_minimum(weights):
    """D's error has variance STD^2 sigma^2 / (STD^2 + sigma^2) = 1 / lambda: lambda error^2 is chi^2(1).

    The mean over pixels is the mean weight, with standard error sqrt(2 mean(w^2) / pixels).
    """
    count, shape = 16, (2, 64, 64)
    torch.manual_seed(0)
    residual = MEAN[:, None, None] + SIGMA_DATA[:, None, None] * torch.randn(count, *shape)
    denoise, condition = Denoiser(PerfectForGaussian(), STD), torch.zeros(count, 1, 64, 64)
    loss = edm_loss(
        denoise, residual, condition, generators(count), levels=LEVELS, sigma_data=SIGMA_DATA, channel_weights=weights
    ).mean
    weight = torch.ones(2) if weights is None else weights
    error = math.sqrt(2 * weight.square().mean() / residual.numel())
    assert abs(loss.item() - weight.mean().item()) < 5 * error

    biased = edm_loss(
        lambda x, sigma, given: denoise(x, sigma, given) + 0.1, residual, condition, generators(count),
        levels=LEVELS, sigma_data=SIGMA_DATA, channel_weights=weights,
    ).mean  # fmt: skip
    assert biased.item() > weight.mean().item() + 5 * error


def test_a_samples_loss_does_not_depend_on_the_batch_it_is_in():
    torch.manual_seed(0)
    residual, condition = torch.randn(4, 2, 8, 8), torch.randn(4, 1, 8, 8)
    denoise = Denoiser(PerfectForGaussian(), STD)

    def loss(part):
        return edm_loss(
            denoise, residual[part], condition[part], generators(4)[part], levels=LEVELS, sigma_data=SIGMA_DATA
        ).mean.item()

    together = loss(slice(0, 4))
    assert together == pytest.approx((loss(slice(0, 2)) + loss(slice(2, 4))) / 2, rel=1e-5)
    assert loss(slice(0, 2)) != pytest.approx(loss(slice(2, 4)), rel=1e-3)


def test_training_on_a_gaussian_approaches_the_known_minimum():
    torch.manual_seed(0)
    network = UNet(NetworkConfig.from_size("tiny", 2, 1, noise_conditioned=True))
    denoise = Denoiser(network, 0.5)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    condition = torch.zeros(16, 1, 8, 8)
    losses = []
    for step in range(60):
        residual = 1.5 + 0.5 * torch.randn(16, 1, 8, 8)
        optimiser.zero_grad()
        loss = edm_loss(
            denoise, residual, condition, generators(16, 16 * step), levels=LEVELS, sigma_data=denoise.sigma_data
        ).mean
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert np.mean(losses[:5]) > 3
    assert np.mean(losses[-10:]) < 1.6
