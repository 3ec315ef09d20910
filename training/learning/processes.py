"""The processes of one run: one, or those that `--processes` or torchrun started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as distributed
from torch import Tensor

from corrstore.datasets.commands import process_rank
from corrstore.datasets.errors import BadInput
from corrstore.training.learning.process_group import MEETING_FILE, in_process_group

_TO_MEET = timedelta(minutes=10)
"""The time that a process waits for another: to meet, and in each exchange."""


@dataclass(frozen=True)
class Processes:
    """The rank of this process among the `world_size` processes that work together."""

    rank: int = 0
    world_size: int = 1

    @property
    def is_first(self) -> bool:
        """True in the process of rank 0, the only one that prints and writes."""
        return self.rank == 0

    def share(self, patches: int, micro_batch: int) -> Iterator[tuple[int, int]]:
        """Yield this process's part of the micro-batches [start, stop) into which `patches` are divided."""
        for start in range(0, patches, micro_batch)[self.rank :: self.world_size]:
            yield start, min(start + micro_batch, patches)

    def summed(self, tensor: Tensor) -> Tensor:
        """Return the sum of the tensor over the processes, computed in place."""
        if self.world_size > 1:
            distributed.all_reduce(tensor)
        return tensor

    def from_first(self, text: str) -> str:
        """Return the first process's text in all processes."""
        texts = [text]
        if self.world_size > 1:
            distributed.broadcast_object_list(texts)
        return texts[0]

    def any_process(self, flag: bool, device: torch.device) -> bool:
        """Return True where the flag is set in at least one process."""
        return bool(self.summed(torch.tensor(float(flag), device=device)) > 0) if self.world_size > 1 else flag


SINGLE_PROCESS = Processes()


@contextmanager
def joined_processes(device: torch.device) -> Iterator[Processes]:
    """Yield the processes that were started together (NCCL between GPUs, else gloo), or this one alone."""
    world = int(os.environ["WORLD_SIZE"]) if in_process_group() else 1
    if world == 1:
        yield SINGLE_PROCESS
        return
    backend, meeting = "nccl" if device.type == "cuda" else "gloo", os.environ.get(MEETING_FILE)
    place = f"file://{meeting}" if meeting else "env://"
    distributed.init_process_group(backend, place, rank=process_rank(), world_size=world, timeout=_TO_MEET)
    try:
        yield Processes(distributed.get_rank(), world)
    finally:
        distributed.destroy_process_group()


def chosen_device(name: str) -> torch.device:
    """Return the device of a name; `auto` is this process's GPU, or the CPU where there is none.

    Raises BadInput for a device that is not there.
    """
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
