"""The work of each of two training processes: a module of its own, so that a new process imports little."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

from corrstore.datasets.store.opening import Store, open_store
from corrstore.training.learning.checkpoint import load_checkpoint
from corrstore.training.learning.learner import Learner
from corrstore.training.learning.processes import Processes, joined_processes
from corrstore.training.patches.loader import Loader, split_order
from corrstore.training.run_config import run_config

CPU = torch.device("cpu")


def gradients_of(stage: str, settings: dict, store: Store, regression: Path, processes: Processes, micro_batch: int):
    """The gradients of the first update and its loss, and the buckets of gradients that were exchanged for them."""
    config = run_config(stage, "demo", {**settings, "micro_batch": micro_batch, "dropout": 0})
    parent = load_checkpoint(regression, store) if stage == "diffusion" else None
    learner = Learner(config, store, CPU, parent, processes)
    exchanges = []

    def counted(state, bucket):
        exchanges.append(bucket.index())
        return allreduce_hook(state, bucket)

    if learner.distributed:
        learner.distributed.register_comm_hook(None, counted)
    loader = Loader(store, split_order(store, "train", config))
    learner.measure_residual_scale(loader.batches(processes.share(8, 4)))
    with torch.no_grad():
        for each in learner.model.parameters():
            each.add_(0.05 * torch.randn(each.shape, generator=torch.Generator().manual_seed(each.numel())))
    loss = learner.accumulate(loader.batches(list(learner.spans())[: learner.micro_batches]))
    return [each.grad for each in learner.model.parameters()], float(loss), exchanges


def one_of_two(rank: int, port: int, settings: dict, store: str, regression: Path, answers: Path) -> None:
    """Leave what this process found of both stages in the folder `answers`; the two meet at the parent's store."""
    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    os.environ["TORCHELASTIC_USE_AGENT_STORE"] = "True"  # as torchrun has it: whoever holds the port is another
    with joined_processes(CPU) as processes:
        for stage in ("regression", "diffusion"):
            found = gradients_of(stage, settings, open_store(store), regression, processes, micro_batch=2)
            torch.save(found, answers / f"{stage}{rank}.pt")
