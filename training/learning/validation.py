"""Validation: how far a model is from the truth, and plain interpolation beside it, in physical units."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from corrstore.training.diffusion.noise import member_key, member_noise
from corrstore.training.diffusion.sampler import SamplerConfig, sample
from corrstore.training.learning.checkpoint import Trained
from corrstore.training.learning.processes import Processes
from corrstore.training.patches.loader import Batch, Loader

Scores = dict[str, dict[str, float]]
MEASURES = ("mae", "rmse", "crps", "interpolation_mae", "interpolation_rmse")


@torch.no_grad()
def validate(trained: Trained, loader: Loader, processes: Processes) -> Scores:
    """Return the MEASURES of each target channel over `validation_patches` patches, without missing pixels.

    A regression is one member, whose CRPS is its MAE. Of an ensemble MAE and RMSE are its mean's, CRPS is the fair one.
    `interpolation` is `Features.interpolated`.
    """
    features = trained.features
    sums = torch.zeros(6, len(features.target_names), dtype=torch.float64, device=features.device)
    count = trained.config.validation_patches
    if loader.order.patch == loader.order.domain:
        count = min(count, loader.order.epoch_length)
    for batch in loader.batches(processes.share(count, trained.config.micro_batch)):
        condition = features.condition(batch.input, batch.patches)
        truth = features.target_conversion.decode(features.targets(batch.target))
        members = features.target_conversion.decode(_members(trained, loader, batch, condition).flatten(0, 1).float())
        members = members.unflatten(0, (-1, len(truth)))
        error = members.mean(dim=0) - truth
        interpolation = features.interpolated(condition) - truth
        measures = [error.abs(), error**2, fair_crps(members, truth), interpolation.abs(), interpolation**2]
        present = ~truth.isnan()
        sums += torch.stack(
            [torch.where(present, each, 0).double().sum(dim=(0, 2, 3)) for each in (torch.ones_like(truth), *measures)]
        )
    present_pixels, *totals = processes.summed(sums)
    means = [total / present_pixels for total in totals]
    columns = [means[0], means[1].sqrt(), means[2], means[3], means[4].sqrt()]
    table = torch.stack(columns, dim=1).tolist()
    return {name: dict(zip(MEASURES, row, strict=True)) for name, row in zip(features.target_names, table, strict=True)}


def score(scores: Scores) -> float:
    """Return the score of a checkpoint, lower is better: CRPS over the interpolation's MAE, mean of the channels.

    It is infinite where a prediction is not finite.
    """
    mean = sum(each["crps"] / max(each["interpolation_mae"], 1e-30) for each in scores.values()) / len(scores)
    return mean if math.isfinite(mean) else math.inf


def fair_crps(members: Tensor, truth: Tensor) -> Tensor:
    """Return the fair CRPS of an ensemble (members, ...) at each pixel; of one member it is the absolute error.

    Ferro 2014, doi 10.1002/qj.2270: E|x - y| minus half the mean distance of two different members.
    """
    count = len(members)
    distance = (members - truth).abs().mean(dim=0)
    if count == 1:
        return distance
    ranked = members.sort(dim=0).values
    ranks = 2 * torch.arange(count, device=members.device) - (count - 1)
    spread = (ranks.reshape(-1, *[1] * truth.dim()) * ranked).sum(dim=0)
    return distance - spread / (count * (count - 1))


def _members(trained: Trained, loader: Loader, batch: Batch, condition: Tensor) -> Tensor:
    """Return normalised target fields (members, batch, channels, height, width)."""
    predicted = trained.prediction(condition)
    if trained.denoiser is None or trained.noise_levels is None:
        return predicted.mean[None]
    config, count = trained.config, trained.config.validation_members
    times = [loader.store.times[draw.sample] for draw in batch.draws]
    keys = [member_key(time, member, config.seed) for member in range(count) for time in times]
    denoiser_condition = torch.cat([condition, *predicted], dim=1).repeat(count, 1, 1, 1)
    x = sample(
        lambda x, sigma: trained.denoise(x, sigma, denoiser_condition),
        lambda draw: torch.stack([member_noise(key, draw, predicted.mean.shape[1:]) for key in keys]),
        SamplerConfig.over(trained.noise_levels, config.validation_steps),
        condition.device,
    )
    return trained.combined(predicted, x.unflatten(0, (count, -1)))
