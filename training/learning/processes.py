"""The processes of one training: one, or those that torchrun started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as distributed
from torch import Tensor

from corrstore.datasets.errors import BadInput


@dataclass(frozen=True)
class Processes:
    """This process's rank among `world` that train together."""

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def share(self, patches: int, micro_batch: int) -> Iterator[tuple[int, int]]:
        """This process's part of the micro-batches [start, stop) that `patches` are taken in."""
        for start in range(0, patches, micro_batch)[self.rank :: self.world]:
            yield start, min(start + micro_batch, patches)

    def summed(self, tensor: Tensor) -> Tensor:
        """The sum over the processes, in place."""
        if self.world > 1:
            distributed.all_reduce(tensor)
        return tensor

    def agreed(self, text: str) -> str:
        """The first process's text, in all of them."""
        texts = [text]
        if self.world > 1:
            distributed.broadcast_object_list(texts)
        return texts[0]

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether the flag is set in any of the processes."""
        return bool(self.summed(torch.tensor(float(flag), device=device)) > 0) if self.world > 1 else flag


ALONE = Processes()


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """The processes that torchrun started (NCCL between GPUs, else gloo), or this one alone."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield ALONE
        return
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(distributed.get_rank(), world)
    finally:
        distributed.destroy_process_group()


def chosen_device(name: str) -> torch.device:
    """`auto`: this process's GPU where there is one, else the CPU; BadInput for a device that is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise BadInput(f"unknown device {name!r}; name cpu, cuda, cuda:1 or auto") from None
    if device.type != "cuda":
        return device
    if not torch.cuda.is_available():
        raise BadInput(f"device {name!r}: PyTorch {torch.__version__} finds no GPU; take --device cpu")
    if device.index is None:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    return device
