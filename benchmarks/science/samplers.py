"""Samplers at equal network calls: on Gaussian modes, whose answer is known, and by a trained model's CRPS.

Run: python -m benchmarks.science.samplers [--store demo/store --checkpoint demo/diffusion [--samples 6] [--members 4]]

Gaussian modes: the error of a mode's standard deviation, largest over modes of 0.02 to 100, where the noise goes from
500 to 0.002. Trained: the gain in fair CRPS over the regression with white noise of the residual's mean and standard
deviation, with its standard error over the samples of the test split.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from corrstore.datasets.store.opening import Store, open_store
from corrstore.training.diffusion.edm import SIGMA_DATA
from corrstore.training.diffusion.noise import member_key, member_noise
from corrstore.training.diffusion.residual import ResidualScale
from corrstore.training.diffusion.sampler import SamplerConfig, sample
from corrstore.training.forecasts.selection import Selection
from corrstore.training.learning.checkpoint import Trained, load_checkpoint, read_checkpoint
from corrstore.training.learning.validation import fair_crps

Denoise = Callable[[Tensor, Tensor], Tensor]
Noise = Callable[[int], Tensor]
Sampler = Callable[[Denoise, Noise, int, float, float], Tensor]


def heun(
    denoise: Denoise, noise: Noise, calls: int, low: float, high: float, rho: float = 7.0, churn: float = 0.0
) -> Tensor:
    """Return a sample by EDM's algorithm 2 (arXiv 2206.00364) in about that many calls; rho 0: equal factors."""
    steps = (calls + 1) // 2
    levels = np.linspace(high ** (1 / rho), low ** (1 / rho), steps) ** rho if rho else np.geomspace(high, low, steps)
    x = noise(0).double() * high
    for step, (sigma, lower) in enumerate(pairwise([*levels.tolist(), 0.0])):
        raised = sigma * (1 + min(churn / steps, math.sqrt(2) - 1))
        if raised > sigma:
            x = x + noise(1 + step).double() * math.sqrt(raised**2 - sigma**2)
        slope = (x - denoise(x, torch.tensor(raised))) / raised
        euler = x + (lower - raised) * slope
        if lower == 0:
            return euler
        x = x + (lower - raised) * (slope + (euler - denoise(euler, torch.tensor(lower))) / lower) / 2
    raise AssertionError


def solver(eta: float) -> Sampler:
    """Return the sampler of the package at this rate of fresh noise."""
    return lambda denoise, noise, calls, low, high: sample(denoise, noise, SamplerConfig(calls, low, high, eta))


SAMPLERS: dict[str, Sampler] = {
    "Heun, EDM's rho 7": heun,
    "Heun, equal factors": lambda *given: heun(*given, rho=0.0),
    "Heun with churn 20, rho 7": lambda *given: heun(*given, churn=20.0),
    "DPM-Solver++(2M), eta 0": solver(0.0),
    "DPM-Solver++(2M), eta 1": solver(1.0),
}


def gaussian_error(sampler: Sampler, calls: int) -> float:
    """Return the largest relative error of a mode's standard deviation.

    The samplers are linear here, so that unit impulses in place of each draw's noise give the variance exactly.
    """
    std = torch.from_numpy(np.geomspace(0.02, 100, 60))
    variance = torch.zeros_like(std)
    for impulse in range(calls + 1):

        def noise(draw: int, impulse: int = impulse) -> Tensor:
            return torch.full_like(std, float(draw == impulse))

        variance += sampler(lambda x, sigma: x * std**2 / (std**2 + sigma**2), noise, calls, 0.002, 500.0) ** 2
    return float((variance.sqrt() / std - 1).abs().max())


def gains(trained: Trained, store: Store, samples: list[int], members: int, calls: int) -> dict[str, Tensor]:
    """Return the gain in CRPS over regression and white noise of each sampler: (samples, channels)."""
    assert trained.noise_levels and trained.residual_scale
    assert trained.file
    error_scale = ResidualScale(*read_checkpoint(trained.file)["error_scale"])
    features, levels = trained.features, trained.noise_levels
    found: dict[str, list[Tensor]] = {name: [] for name in SAMPLERS}
    for index in samples:
        condition = features.condition_of(store.stored("input", index), features.geometry.domain)
        predicted = trained.prediction(condition)
        truth = features.target_conversion.decode(
            features.targets(torch.from_numpy(store.stored("target", index))[None])
        )
        known = ~truth.isnan()
        given = torch.cat([condition, *predicted], dim=1).expand(members, -1, -1, -1)
        keys = [member_key(store.times[index], member) for member in range(members)]

        def noise(draw: int, keys: list[int] = keys, shape: torch.Size = truth.shape[1:]) -> Tensor:
            return torch.stack([member_noise(key, draw, shape) for key in keys])

        def crps(fields: Tensor, truth: Tensor = truth, known: Tensor = known) -> Tensor:
            fields = features.target_conversion.decode(fields)
            for position, name in enumerate(features.target_names):
                fields[:, position].clamp_(min=store.recipe.floors.get(name, -math.inf))
            error = torch.where(known, fair_crps(fields[:, None], truth), 0.0)
            return (error.double().sum((0, 2, 3)) / known.sum((0, 2, 3))).cpu()

        white = crps(predicted.mean + error_scale.restored(SIGMA_DATA * noise(10**6)))
        for name, sampler in SAMPLERS.items():
            denoise = lambda x, sigma, given=given: trained.denoise(x, sigma, given)  # noqa: E731
            x = sampler(denoise, noise, calls, levels.sigma_min, levels.sigma_max)
            found[name].append(1 - crps(trained.combined(predicted, x.float())) / white)
    return {name: torch.stack(each) for name, each in found.items()}


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store")
    parser.add_argument("--checkpoint")
    parser.add_argument("--samples", type=int, default=6)
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--calls", type=int, nargs="+", default=[15, 25, 35, 71])
    options = parser.parse_args()
    console = Console()
    table = Table("largest error of a mode's standard deviation", *(f"{calls} calls" for calls in options.calls))
    for name, sampler in SAMPLERS.items():
        table.add_row(name, *(f"{gaussian_error(sampler, calls):.1%}" for calls in options.calls))
    console.print(table)
    if not options.checkpoint:
        return
    store = open_store(options.store)
    trained = load_checkpoint(options.checkpoint, store)
    samples = Selection("test").samples(store).tolist()[:: max(1, 12 // options.samples)][: options.samples]
    assert trained.noise_levels
    calls = SamplerConfig.over(trained.noise_levels).steps
    table = Table(f"gain in CRPS, {calls} calls, {len(samples)} samples", *trained.features.target_names)
    for name, gain in gains(trained, store, samples, options.members, calls).items():
        error = gain.std(dim=0) / math.sqrt(len(samples))
        table.add_row(name, *(f"{100 * g:+.1f} ± {100 * e:.1f} %" for g, e in zip(gain.mean(0), error, strict=True)))
    console.print(table)


if __name__ == "__main__":
    main()
