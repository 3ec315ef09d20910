"""The learner: a model, its average, the optimizer and the clock, and one update of them."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import asdict
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from corrstore.datasets.errors import BadInput
from corrstore.datasets.store.opening import Store
from corrstore.training.diffusion.edm import Denoiser, LossTerms, edm_loss, loss_terms
from corrstore.training.diffusion.levels import NoiseLevels
from corrstore.training.diffusion.residual import ResidualScale, ResidualStatistics
from corrstore.training.learning.checkpoint import Trained, autocast, recorded_store
from corrstore.training.learning.models import denoiser_for, frozen, regression_for
from corrstore.training.learning.processes import SINGLE_PROCESS, Processes
from corrstore.training.learning.shares import LossShares
from corrstore.training.networks.regression import Prediction, Regression, normal_crps
from corrstore.training.patches.features import Features
from corrstore.training.patches.fixed import static_scales
from corrstore.training.patches.loader import Batch, Span
from corrstore.training.run_config import RunConfig


class Learner:
    """A model in training. `parent` is the frozen regression of a diffusion model, None for a regression.

    All that is random in an update is a function of (seed, patches seen): the order of the patches, the noise of each,
    and, beside the rank, PyTorch's own generator. So the clock is the state of loader and generators.
    """

    def __init__(
        self,
        config: RunConfig,
        store: Store,
        device: torch.device,
        parent: Trained | None = None,
        processes: Processes = SINGLE_PROCESS,
    ) -> None:
        self.config = config = config.for_processes(processes.world_size)
        self.store, self.device, self.parent, self.processes = store, device, parent, processes
        extra = config.extra_features
        if parent and set(parent.config.extra_features) != set(extra):
            known, own = (f"[{','.join(each)}]" for each in (parent.config.extra_features, extra))
            raise BadInput(
                f"extra_features: the regression was trained with {known}, this diffusion has {own};"
                f" give --set extra_features={known}"
            )
        self.features = parent.features if parent else Features(store, static_scales(store, extra), device, extra=extra)
        fields = store.attributes["fingerprint_fields"]
        torch.manual_seed(config.seed)
        self.model: Regression | Denoiser = (denoiser_for if parent else regression_for)(config, fields).to(device)
        self.average = frozen(copy.deepcopy(self.model), device)
        if config.compile:
            self.model.compile()
        self.distributed = DistributedDataParallel(self.model) if processes.world_size > 1 else None
        self.optimizer = torch.optim.AdamW(_groups(self.model, config.weight_decay), fused=device.type == "cuda")
        self.channel_weights = torch.tensor(config.weights(self.features.target_names), device=device)
        self.residual_scale: ResidualScale | None = None
        self.error_scale: ResidualScale | None = None
        self.noise_levels: NoiseLevels | None = None
        self.shares: LossShares | None = None
        self.patches_seen = 0

    @property
    def micro_batches(self) -> int:
        """The number of micro-batches of an update in this process."""
        return self.config.batch // (self.processes.world_size * self.config.micro_batch)

    def spans(self) -> Iterator[Span]:
        """Yield the micro-batches that are left for this process; an update's are shared out in the order of ranks."""
        config, share = self.config, self.micro_batches * self.config.micro_batch
        for first in range(self.patches_seen, config.patches, config.batch):
            begin = first + self.processes.rank * share
            for start in range(begin, begin + share, config.micro_batch):
                yield start, start + config.micro_batch

    def update(self, batches: Iterator[Batch]) -> dict[str, float]:
        """Change the model by the micro-batches of one update; returns loss, gradient norm and learning rate."""
        torch.manual_seed(_seed(self.config.seed, self.patches_seen, self.processes.rank))
        loss = self.accumulate(islice(batches, self.micro_batches))
        rate = learning_rate(self.config, self.patches_seen)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip))
        if not math.isfinite(norm):
            raise BadInput(
                f"the gradient after {self.patches_seen} patches is not finite; lower learning_rate, or take"
                " precision=float32, and continue from the last checkpoint"
            )
        self.optimizer.step()
        self.patches_seen += self.config.batch
        self._average()
        return {"loss": float(loss), "gradient_norm": norm, "learning_rate": rate}

    def accumulate(self, batches: Iterable[Batch]) -> Tensor:
        """Compute the gradient of the mean loss over the known pixels of all processes; returns the mean loss.

        Processes exchange gradients once, with the last micro-batch.
        """
        self.model.train()
        self.optimizer.zero_grad()
        assert self.shares is not None, "they begin with the residual scale"
        sums, shares = torch.zeros(3, dtype=torch.float64, device=self.device), torch.zeros_like(self.shares.sums)
        for number, batch in enumerate(batches, start=1):
            last = number == self.micro_batches
            with self.distributed.no_sync() if self.distributed and not last else nullcontext():
                terms = self.terms(batch)
                pixels = terms.error.numel()
                (terms.total / (pixels * self.micro_batches)).backward()
            sums += torch.stack([terms.total.detach(), terms.known, torch.full_like(terms.total, pixels)])
            shares += self.shares.of(terms)
        self.shares.sums += self.processes.summed(shares)
        total, known, pixels = self.processes.summed(sums)
        if 0 < known < pixels:
            for each in self.model.parameters():
                if each.grad is not None:
                    each.grad *= float(pixels / known)
        return total / known.clamp(min=1)

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean loss of a micro-batch over the pixels that are known; 0 where none is."""
        return self.terms(batch).mean

    def terms(self, batch: Batch) -> LossTerms:
        """Return the loss's terms of a micro-batch, each channel's error divided by its residual scale."""
        assert self.residual_scale is not None, "the residual scale is measured before the first update"
        forward = self.distributed or self.model
        condition, base, target = self._fields(batch)
        with autocast(self.config, self.device):
            if isinstance(self.model, Regression):
                predicted, scale = forward(condition), self.residual_scale.divisor
                error, residual = (predicted.mean - target) / scale, (target - base.mean) / scale
                one, weights = torch.ones_like(scale), self.channel_weights
                terms = loss_terms(error, residual, one, channel_weights=weights, loss=self.config.loss)
                relative = normal_crps(terms.error, predicted.spread) / predicted.spread.detach()
                crps = torch.where(residual.isnan(), 0.0, relative)
                return terms._replace(total=terms.total + (weights[:, None, None] * crps).sum())
            assert self.noise_levels is not None, "they are measured with the scale"
            return edm_loss(
                forward,
                self.residual_scale.standardised((target - base.mean) / base.spread),
                condition,
                [self._generator(batch.first + i) for i in range(len(target))],
                levels=self.noise_levels,
                sigma_data=self.model.sigma_data,
                octave_variance=self.model.octave_variance,
                channel_weights=self.channel_weights,
                loss=self.config.loss,
            )

    @torch.no_grad()
    def measure_residual_scale(self, batches: Iterable[Batch]) -> None:
        """Measure mean and standard deviation of target minus base field, and a denoiser's noise levels, once a run.

        The base field is the interpolated input for a regression, and the regression's mean for a denoiser.
        """
        found: ResidualStatistics | None = None
        for batch in batches:
            _, base, target = self._fields(batch)
            _, channels, height, width = target.shape
            found = found or ResidualStatistics(channels, (height, width), self.device)
            found.add(target - base.mean, base.spread)
        assert found is not None
        self.processes.summed(found.sums)
        self.error_scale, self.residual_scale = found.error_scale, found.scale
        if isinstance(self.model, Denoiser) and isinstance(self.average, Denoiser):
            self.residual_scale = found.typical_scale
            self.model.octave_variance = self.average.octave_variance = found.octave_variance.float()
            self.noise_levels = self.config.levels(found.noise_levels)
        self.shares = LossShares(self.features.target_names, found.size, self.noise_levels, self.device)

    def trained(self) -> Trained:
        """Return the model with its averaged weights of now."""
        common = (self.config, self.patches_seen, recorded_store(self.store), self.features)
        if isinstance(self.average, Regression):
            return Trained(*common, self.average)
        assert self.parent is not None
        return Trained(*common, self.parent.regression, self.average, self.residual_scale, self.noise_levels)

    def state(self) -> dict[str, Any]:
        """Return the content of a checkpoint; `resume` reads it."""
        parent = self.parent
        return {
            "config": self.config.model_dump(mode="json"),
            "patches_seen": self.patches_seen,
            "store": recorded_store(self.store),
            "static": [list(scale) for scale in self.features.scales],
            "ema": self.average.state_dict(),
            "regression": parent
            and {
                "config": parent.config.model_dump(mode="json"),
                "patches_seen": parent.patches_seen,
                "ema": parent.regression.state_dict(),
            },
            **{
                key: scale and [scale.mean.cpu(), scale.std.cpu()]
                for key, scale in (("residual_scale", self.residual_scale), ("error_scale", self.error_scale))
            },
            "noise_levels": self.noise_levels and asdict(self.noise_levels),
            "shares": self.shares and {"size": self.shares.size, "sums": self.shares.sums.cpu()},
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def resume(self, content: dict[str, Any]) -> None:
        """Continue from a checkpoint's content."""
        if isinstance(self.model, Denoiser) and isinstance(self.average, Denoiser):
            variance = content["ema"]["octave_variance"].to(self.device)
            self.model.octave_variance = self.average.octave_variance = variance
        self.model.load_state_dict(content["model"])
        self.average.load_state_dict(content["ema"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.residual_scale, self.error_scale = (
            ResidualScale(*content[key]).to(self.device) for key in ("residual_scale", "error_scale")
        )
        self.noise_levels = content["noise_levels"] and NoiseLevels(**content["noise_levels"])
        shares = content["shares"]
        self.shares = LossShares(self.features.target_names, shares["size"], self.noise_levels, self.device)
        self.shares.sums += shares["sums"].to(self.device)
        self.patches_seen = content["patches_seen"]

    def _fields(self, batch: Batch) -> tuple[Tensor, Prediction, Tensor]:
        """Return condition, base field and target; one call of the regression for all the patches."""
        condition = self.features.condition(batch.input, batch.patches)
        target = self.features.targets(batch.target)
        if isinstance(self.model, Regression):
            interpolated = self.model.residual(condition)
            return condition, Prediction(interpolated, torch.zeros_like(interpolated)), target
        assert self.parent is not None
        predicted = self.parent.prediction(condition)
        return torch.cat([condition, *predicted], dim=1), predicted, target

    def _generator(self, position: int) -> torch.Generator:
        return torch.Generator(self.device).manual_seed(_seed(self.config.seed, position))

    @torch.no_grad()
    def _average(self) -> None:
        """Move the average towards the model (EDM's schedule: a half-life that grows with the patches seen)."""
        half_life = min(self.config.ema_half_life, self.patches_seen * self.config.ema_ramp)
        share = 1 - 0.5 ** (self.config.batch / half_life)
        for average, current in zip(self.average.parameters(), self.model.parameters(), strict=True):
            average.lerp_(current, share)


def learning_rate(config: RunConfig, patches_seen: int) -> float:
    """Return the learning rate: a linear rise over `warmup` patches, then half a cosine down.

    It ends at `final_learning_rate` times the highest rate.
    """
    if patches_seen < config.warmup:
        return config.learning_rate * (patches_seen + config.batch) / (config.warmup + config.batch)
    done = min(1.0, (patches_seen - config.warmup) / max(1, config.patches - config.warmup))
    floor = config.final_learning_rate
    return config.learning_rate * (floor + (1 - floor) * (1 + math.cos(math.pi * done)) / 2)


def _groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return the parameter groups: weight decay for what multiplies fields, none for biases and norms."""
    parameters = list(model.parameters())
    return [
        {"params": [each for each in parameters if each.dim() > 1], "weight_decay": weight_decay},
        {"params": [each for each in parameters if each.dim() <= 1], "weight_decay": 0.0},
    ]


def _seed(*words: int) -> int:
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> np.uint64(1))
