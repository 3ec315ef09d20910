"""The sampler against EDM's algorithms, written again in NumPy, and against a Gaussian's closed form."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from corrstore.datasets.errors import BadInput
from corrstore.training.diffusion.edm import SIGMA_DATA
from corrstore.training.diffusion.noise import member_key, member_noise
from corrstore.training.diffusion.sampler import SamplerConfig, sample

MEAN, STD = 1.7, 0.6
PLAIN = SamplerConfig(steps=18, sigma_min=0.002, sigma_max=80.0)
FINE = SamplerConfig(steps=128)
CHURNED = replace(PLAIN, churn=30.0, churn_min=0.05, churn_max=20.0, churn_noise=1.007)


def gaussian(x, sigma):
    """The perfect denoiser of N(MEAN, STD^2) pixels; for tensors and arrays."""
    return (STD**2 * x + sigma**2 * MEAN) / (STD**2 + sigma**2)


def schedule(config):
    """Equation 5, term by term."""
    first, last = config.sigma_max ** (1 / config.rho), config.sigma_min ** (1 / config.rho)
    ramp = [(first + i / (config.steps - 1) * (last - first)) ** config.rho for i in range(config.steps)]
    return [*ramp, 0.0]


def algorithm_1(noise, config):
    """EDM's algorithm 1 with sigma(t) = t and s(t) = 1, as printed."""
    t = schedule(config)
    x = noise(0) * t[0]
    for i in range(config.steps):
        d = (x - gaussian(x, t[i])) / t[i]
        euler = x + (t[i + 1] - t[i]) * d
        if t[i + 1] != 0:
            d_prime = (euler - gaussian(euler, t[i + 1])) / t[i + 1]
            x = x + (t[i + 1] - t[i]) * (0.5 * d + 0.5 * d_prime)
        else:
            x = euler
    return x


def algorithm_2(noise, config):
    """EDM's algorithm 2, as printed."""
    t = schedule(config)
    x = noise(0) * t[0]
    for i in range(config.steps):
        inside = config.churn_min <= t[i] <= config.churn_max
        gamma = min(config.churn / config.steps, math.sqrt(2) - 1) if inside else 0.0
        epsilon = config.churn_noise * noise(1 + i)
        t_hat = t[i] + gamma * t[i]
        x_hat = x + math.sqrt(t_hat**2 - t[i] ** 2) * epsilon
        d = (x_hat - gaussian(x_hat, t_hat)) / t_hat
        x = x_hat + (t[i + 1] - t_hat) * d
        if t[i + 1] != 0:
            d_prime = (x - gaussian(x, t[i + 1])) / t[i + 1]
            x = x_hat + (t[i + 1] - t_hat) * (0.5 * d + 0.5 * d_prime)
    return x


def noise_of(shape, key=7):
    return lambda draw: member_noise(key, draw, shape)


@pytest.mark.parametrize(
    ("config", "algorithm"),
    [
        (PLAIN, algorithm_1),
        (replace(PLAIN, steps=2, sigma_max=800.0, rho=3.0), algorithm_1),
        (PLAIN, algorithm_2),
        (CHURNED, algorithm_2),
        (replace(CHURNED, churn=1e3, churn_min=0.0, churn_max=math.inf), algorithm_2),
    ],
)
def test_the_sampler_is_edms_algorithm(config, algorithm):
    noise = noise_of((2, 3, 5, 4))
    expected = algorithm(lambda draw: noise(draw).double().numpy(), config)
    answer = sample(gaussian, noise, config)
    assert answer.dtype == torch.float64
    np.testing.assert_allclose(answer.numpy(), expected, rtol=1e-10, atol=1e-10)


def test_churn_changes_the_draw_and_only_then_is_fresh_noise_asked_for():
    asked = []

    def noise(draw):
        asked.append(draw)
        return member_noise(7, draw, (1, 1, 4, 4))

    plain = sample(gaussian, noise, PLAIN)
    assert asked == [0]
    assert not torch.allclose(plain, sample(gaussian, noise, CHURNED))
    inside = [1 + i for i, sigma in enumerate(schedule(CHURNED)[:-1]) if 0.05 <= sigma <= 20]
    assert asked[1:] == [0, *inside]


def test_the_deterministic_sampler_is_of_second_order():
    """Equation 1 solved from sigma_max to 0 maps x to MEAN + (x - MEAN) STD / sqrt(STD^2 + sigma_max^2).

    Halving every step must quarter the error. The last step, to 0, is Euler's: sigma_min keeps it small.
    """
    start = torch.tensor([[[[-1.0, 0.5, 2.0]]]], dtype=torch.float64)
    exact = MEAN + (start * 80.0 - MEAN) * STD / math.hypot(STD, 80.0)
    errors = [
        (sample(gaussian, lambda _: start, replace(PLAIN, steps=steps, sigma_min=1e-5)) - exact).abs().max()
        for steps in (33, 65, 129)
    ]
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.15)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.15)


def moments_of_the_scheme(config):
    """Mean and variance that algorithm 2 has for this denoiser: its steps are affine in x and the noise."""
    t = schedule(config)
    mean, variance = 0.0, t[0] ** 2
    for i in range(config.steps):
        inside = config.churn_min <= t[i] <= config.churn_max
        t_hat = t[i] * (1 + (min(config.churn / config.steps, math.sqrt(2) - 1) if inside else 0.0))
        variance += config.churn_noise**2 * (t_hat**2 - t[i] ** 2)
        slope_hat = t_hat / (STD**2 + t_hat**2)  # d = slope_hat (x - MEAN)
        factor = 1 + (t[i + 1] - t_hat) * slope_hat
        if t[i + 1] != 0:
            slope_next = t[i + 1] / (STD**2 + t[i + 1] ** 2)
            factor = 1 + (t[i + 1] - t_hat) * (slope_hat + slope_next * factor) / 2
        mean, variance = MEAN + factor * (mean - MEAN), factor**2 * variance
    return mean, variance


@pytest.mark.parametrize("config", [FINE, replace(FINE, churn=30.0, churn_min=0.05, churn_max=20.0)])
def test_samples_have_the_moments_of_the_gaussian(config):
    """The mean of n = 200,000 pixels has standard error STD / sqrt(n), the variance STD^2 sqrt(2 / n).

    The moments of the discrete steps are known exactly, and the samples must have them to 5 standard errors.
    With 128 steps these in turn are the Gaussian's to 1 %. (With 18 the variance is a quarter too large.)
    """
    n = 200_000
    draw = sample(gaussian, noise_of((1, 1, 400, n // 400)), config)
    mean, variance = moments_of_the_scheme(config)
    assert abs(draw.mean().item() - mean) < 5 * math.sqrt(variance / n)
    assert abs(draw.var().item() - variance) < 5 * variance * math.sqrt(2 / n)
    assert mean == pytest.approx(MEAN, rel=0.01)
    assert math.sqrt(variance) == pytest.approx(STD, rel=0.01)


@pytest.mark.parametrize(("steps", "sigma_max", "percent"), [(18, 800.0, 13), (36, 800.0, 3), (18, 80.0, 6)])
def test_the_spread_is_as_much_too_large_as_the_documents_say(steps, sigma_max, percent):
    config = SamplerConfig(steps=steps, sigma_max=sigma_max)

    def denoised(x, sigma):
        return SIGMA_DATA**2 * x / (SIGMA_DATA**2 + sigma**2)

    spread = sample(denoised, lambda _: torch.ones(1, 1, 1, 1, dtype=torch.float64), config).item()
    assert round(100 * (spread / SIGMA_DATA - 1)) == percent


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
        ({"churn": -1.0}, "churn"),
    ],
)
def test_settings_that_cannot_be_are_refused(setting, message):
    with pytest.raises(BadInput, match=message):
        SamplerConfig(**setting)


def test_a_member_drawn_alone_is_the_member_drawn_with_others():
    shape = (2, 6, 5)
    times = [np.datetime64("2020-07-01T00"), np.datetime64("2020-07-01T03")]
    keys = [member_key(time, member) for time in times for member in range(3)]

    def draw(some):
        return sample(gaussian, lambda draw: torch.stack([member_noise(key, draw, shape) for key in some]), CHURNED)

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
        assert abs(field.mean()) < 5 / math.sqrt(n)
        assert abs(field.var() - 1) < 5 * math.sqrt(2 / n)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert abs((fields[first] * fields[second]).mean()) < 5 / math.sqrt(n)
