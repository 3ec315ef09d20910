"""The sampler against DPM-Solver++ as printed, and against correlated Gaussian fields, whose answer is known."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.fft import dctn, idctn

from corrstore.datasets.errors import BadInput
from corrstore.training.diffusion.levels import NoiseLevels
from corrstore.training.diffusion.noise import member_key, member_noise
from corrstore.training.diffusion.sampler import SamplerConfig, sample
from tests.models import gain

MEAN, STD = 1.7, 0.6
PLAIN = SamplerConfig(steps=18, sigma_min=0.002, sigma_max=80.0)
STOCHASTIC = replace(PLAIN, eta=1.0)


def gaussian(x, sigma):
    """The perfect denoiser of N(MEAN, STD^2) pixels; for tensors and arrays."""
    return (STD**2 * x + sigma**2 * MEAN) / (STD**2 + sigma**2)


def solver(noise, config):
    """DPM-Solver++(2M) of arXiv 2211.01095 in k = -ln(sigma); with eta the exact linear part and noise of the SDE.

    dx = (x - D)(1 + eta) dln(sigma) backwards, and noise of the variance sigma_next^2 (1 - exp(-2 eta h)); D is
    extrapolated to the middle of the step.
    """
    levels = np.geomspace(config.sigma_max, config.sigma_min, config.steps)
    x, before = noise(0) * levels[0], None
    for i, (sigma, lower) in enumerate(pairwise(levels)):
        d, h = gaussian(x, sigma), np.log(sigma / lower)
        middle = d if before is None else 1.5 * d - 0.5 * before
        decay = (lower / sigma) ** (1 + config.eta)
        x = decay * x + (1 - decay) * middle
        x = x + lower * np.sqrt(1 - np.exp(-2 * config.eta * h)) * noise(1 + i)
        before = d
    return gaussian(x, levels[-1])


def noise_of(shape, key=7):
    return lambda draw: member_noise(key, draw, shape)


@pytest.mark.parametrize("config", [PLAIN, replace(PLAIN, steps=2), STOCHASTIC, replace(PLAIN, eta=0.3)])
def test_the_sampler_is_dpm_solver(config):
    noise = noise_of((2, 3, 5, 4))
    answer = sample(gaussian, noise, config)
    assert answer.dtype == torch.float64
    expected = solver(lambda draw: noise(draw).double().numpy(), config)
    np.testing.assert_allclose(answer.numpy(), expected, rtol=1e-10, atol=1e-10)


def test_fresh_noise_changes_the_draw_and_only_then_is_it_asked_for():
    asked = []

    def noise(draw):
        asked.append(draw)
        return member_noise(7, draw, (1, 1, 4, 4))

    plain = sample(gaussian, noise, PLAIN)
    assert asked == [0]
    assert not torch.allclose(plain, sample(gaussian, noise, STOCHASTIC))
    assert asked == [0, *range(18)]


def test_the_deterministic_sampler_is_of_second_order():
    """Halving the steps quarters the error of the exact solution: STD / sqrt(STD^2 + sigma_max^2) of the start."""
    start = torch.tensor([[[[-1.0, 0.5, 2.0]]]], dtype=torch.float64)
    exact = MEAN + (start * 80.0 - MEAN) * STD / np.hypot(STD, 80.0)
    config = replace(PLAIN, sigma_min=1e-5)
    errors = [
        (sample(gaussian, lambda _: start, replace(config, steps=steps)) - exact).abs().max()
        for steps in (101, 201, 401)
    ]
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.15)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.15)


def test_correlated_fields_have_their_spectrum_within_3_percent_at_the_default_steps():
    """Each cosine mode of the field has a standard deviation of its own, from 0.02 to 100; noise of 1 in each mode."""
    std = np.geomspace(100, 0.02, 16 * 24).reshape(16, 24)
    start = idctn(np.ones_like(std), norm="ortho")[None, None]

    def denoise(x, sigma):
        wiener = std**2 / (std**2 + float(sigma) ** 2)
        return torch.from_numpy(idctn(dctn(x.numpy(), axes=(2, 3), norm="ortho") * wiener, axes=(2, 3), norm="ortho"))

    config = SamplerConfig.over(NoiseLevels(0.1 * std.min(), 5 * std.max()))
    gains = dctn(sample(denoise, lambda _: torch.from_numpy(start), config)[0, 0].numpy(), norm="ortho") / std
    assert np.abs(gains - 1).max() < 0.03
    assert gains[0, 0] == pytest.approx(gain(config, std[0, 0]) / std[0, 0], rel=1e-6)
    with pytest.raises(AssertionError):  # half of the steps are too few
        assert all(abs(gain(replace(config, steps=config.steps // 2), each) / each - 1) < 0.03 for each in std.flat)


def test_the_stochastic_sampler_has_the_variance_of_the_gaussian():
    """The variance of n = 160,000 pixels has the standard error sqrt(2 / n); 50 steps are within 1 % of it."""
    n = 160_000
    draw = sample(gaussian, noise_of((1, 1, 400, n // 400)), replace(STOCHASTIC, steps=50))
    assert abs(draw.mean().item() - MEAN) < 5 * STD / np.sqrt(n)
    assert draw.std().item() == pytest.approx(STD, rel=0.01 + 5 / np.sqrt(2 * n))


def test_a_float32_denoiser_is_accumulated_in_float64():
    noise = noise_of((1, 1, 8, 8))
    rough = sample(lambda x, sigma: gaussian(x.float(), sigma.float()), noise, PLAIN)
    assert rough.dtype == torch.float64
    assert (rough - sample(gaussian, noise, PLAIN)).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"steps": 1}, "at least 2, not 1"),
        ({"sigma_min": 0.0}, "sigma_min 0.0"),
        ({"sigma_min": 90.0, "sigma_max": 80.0}, "sigma_max 80.0"),
        ({"eta": -1.0}, "eta"),
    ],
)
def test_settings_that_cannot_be_are_refused(setting, message):
    with pytest.raises(BadInput, match=message):
        SamplerConfig(**setting)


def test_the_sampler_goes_over_the_trained_levels_and_says_where_it_leaves_them():
    trained = NoiseLevels(0.01, 50.0, "log-uniform")
    config = SamplerConfig.over(trained)
    assert (config.sigma_min, config.sigma_max, config.steps) == (0.01, 50.0, 18)
    assert config.beyond(trained) is None
    wider = SamplerConfig.over(trained, steps=30, sigma_max=80.0)
    assert wider.steps == 30
    assert "from 80 to 0.01, beyond the noise levels of the training (0.01 to 50, log-uniform)" in wider.beyond(trained)


def test_a_member_drawn_alone_is_the_member_drawn_with_others():
    shape = (2, 6, 5)
    times = [np.datetime64("2020-07-01T00"), np.datetime64("2020-07-01T03")]
    keys = [member_key(time, member) for time in times for member in range(3)]

    def draw(some):
        return sample(gaussian, lambda draw: torch.stack([member_noise(key, draw, shape) for key in some]), STOCHASTIC)

    together = draw(keys)
    torch.testing.assert_close(draw(keys[4:5])[0], together[4], rtol=0, atol=0)
    assert len({tuple(field.flatten().tolist()) for field in together}) == 6


def test_keys_differ_by_time_member_and_seed_and_not_by_the_times_unit():
    time = np.datetime64("2020-07-01T03", "h")
    assert member_key(time, 2) == member_key(time.astype("datetime64[ns]"), 2)
    others = [(time, 3, 0), (time + 1, 2, 0), (time, 2, 1), (np.datetime64("1969-12-31T23"), 2, 0)]
    assert len({member_key(time, 2), *(member_key(*other) for other in others)}) == 5
    with pytest.raises(BadInput, match="member 4 has no valid_time"):
        member_key(np.datetime64("NaT"), 4)


def test_noise_is_unit_normal_repeatable_and_independent_between_draws_and_keys():
    """Sums over n independent pixels: 5 standard errors of mean, variance and correlation."""
    n, shape = 90_000, (1, 300, 300)
    fields = [member_noise(key, draw, shape) for key, draw in ((1, 0), (1, 1), (2, 0))]
    assert torch.equal(member_noise(1, 1, shape), fields[1])
    for field in fields:
        assert abs(field.mean()) < 5 / np.sqrt(n)
        assert abs(field.var() - 1) < 5 * np.sqrt(2 / n)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert abs((fields[first] * fields[second]).mean()) < 5 / np.sqrt(n)
