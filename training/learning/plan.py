"""The plan of a run before it starts: parameters, memory, bytes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from rich.filesize import decimal
from torch import Tensor

from corrstore.datasets.recipe.parts import ROLES
from corrstore.datasets.store.ledger import SHARDS
from corrstore.datasets.store.opening import Store
from corrstore.training.diffusion.edm import Denoiser
from corrstore.training.diffusion.levels import NoiseLevels
from corrstore.training.learning.models import condition_channels, denoiser_for, regression_for
from corrstore.training.networks.layers import ResidualBlock
from corrstore.training.networks.regression import Regression
from corrstore.training.patches.loader import ReadCost, split_order
from corrstore.training.patches.patches import Geometry, Patch
from corrstore.training.run_config import RunConfig

_FLOAT = 4
_PER_PARAMETER = 5 * _FLOAT
"""The bytes of a parameter's weight, gradient, AdamW's two moments and average."""
_DRAWS = 256

Storages = dict[int, torch.UntypedStorage]


@dataclass(frozen=True)
class TrainingPlan:
    """Numbers of parameters, samples, patches; sizes in bytes.

    `memory_activations` is what the network keeps for its backward pass, reckoned by running it on tensors without
    data; with bfloat16 it is about half of that. `bytes_read` is of decoded inner chunks; `bytes_from_disk` of them as
    they are compressed. `noise_levels` are a diffusion's.
    """

    parameters: int
    samples: int
    skipped: int
    patches: int
    patch: tuple[int, int]
    memory_model: int
    memory_activations: int
    bytes_used_a_patch: int
    bytes_read_a_patch: int
    bytes_read: int
    bytes_from_disk: int
    noise_levels: NoiseLevels | None = None

    @property
    def facts(self) -> dict[str, str]:
        """The plan as texts by name."""
        overhead = self.bytes_read_a_patch / self.bytes_used_a_patch
        return {
            "parameters": f"{self.parameters:,}",
            "samples": f"{self.samples:,}, and {self.skipped:,} skipped as not valid",
            "patches": f"{self.patches:,} of {self.patch[0]} x {self.patch[1]}",
            "memory of weights": f"{decimal(self.memory_model)} (with gradient, moments and average)",
            "memory of activations": f"about {decimal(self.memory_activations)} a micro-batch",
            "bytes of a patch": f"{decimal(self.bytes_used_a_patch)}, read {overhead:.2f} for each used",
            "bytes of the run": f"{decimal(self.bytes_read)}, {decimal(self.bytes_from_disk)} as compressed on disk",
        } | ({"noise levels": f"{self.noise_levels}"} if self.noise_levels else {})


def training_plan(store: Store, config: RunConfig, noise_levels: NoiseLevels | None = None) -> TrainingPlan:
    """Return the plan of a run on one device; raise BadInput for settings that do not fit the store."""
    config = config.for_processes(1)
    order = split_order(store, "train", config)
    geometry = Geometry(store.grid("input"), store.grid("target"))
    cost = ReadCost(store, geometry)
    sizes = [cost.bytes_read_and_used(draw.patch) for draw in order.draws(0, _DRAWS)]
    read, used = (sum(each) // len(sizes) for each in zip(*sizes, strict=True))
    with torch.device("meta"):
        model: Regression | Denoiser
        fields = store.attributes["fingerprint_fields"]
        whole = config.model_copy(update={"recompute": False})
        model = (denoiser_for if config.stage == "diffusion" else regression_for)(whole, fields)
    parameters = sum(each.numel() for each in model.parameters())
    config.weights(fields["target"]["channels"])
    channels = condition_channels(config, fields), len(fields["target"]["channels"])
    kept = _kept_for_backward(model, *channels, order.patch, config.recompute)
    return TrainingPlan(
        parameters,
        len(order.samples),
        order.skipped,
        config.patches,
        (order.patch.height, order.patch.width),
        parameters * _PER_PARAMETER,
        kept * config.micro_batch // (2 if config.precision == "bfloat16" else 1),
        used,
        read,
        read * config.patches,
        int(read * config.patches * _compressed_share(store)),
        noise_levels,
    )


def _kept_for_backward(
    model: Regression | Denoiser, condition: int, targets: int, patch: Patch, recompute: bool
) -> int:
    """Bytes that one patch's backward pass needs, beside the parameters."""
    own = {id(each.untyped_storage()) for each in [*model.parameters(), *model.buffers()]}
    parts: list[Storages] = [{}]  # before the first block, in it, between it and the second, and so on
    inputs: Storages = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()  # without data every address is 0: the object tells storages apart
        if id(storage) not in own:
            parts[-1][id(storage)] = storage
        return tensor

    def begin(x: Tensor) -> None:
        storage = x.untyped_storage()
        inputs[id(storage)] = storage
        parts.append({})

    def fields(channels: int) -> Tensor:
        return torch.empty(1, channels, patch.height, patch.width, device="meta")

    for block in model.modules():
        if isinstance(block, ResidualBlock):
            block.register_forward_pre_hook(lambda *given: begin(given[1][0]))
            block.register_forward_hook(lambda *_: parts.append({}))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        if isinstance(model, Denoiser):
            model(fields(targets), torch.empty(1, device="meta"), fields(condition + 2 * targets))
        else:
            model(fields(condition))
    if recompute:  # the blocks' inputs, what lies between them, and one block at a time
        held = {key: storage for part in parts[::2] for key, storage in part.items()} | inputs
        return _bytes(held) + max(map(_bytes, parts[1::2]))
    return _bytes({key: storage for part in parts for key, storage in part.items()})


def _bytes(storages: Storages) -> int:
    return sum(each.nbytes() for each in storages.values())


def _compressed_share(store: Store) -> float:
    """Bytes on disk for each byte of decoded inner chunks."""
    shards = store.table(SHARDS)
    decoded = 0
    for role in ROLES:
        layout = store.plan.shard_layout(role)
        whole = int(np.prod(layout.shard_shape)) * np.dtype(layout.dtype).itemsize
        decoded += whole * shards["role"].to_pylist().count(role)
    return sum(shards["bytes"].to_pylist()) / decoded
