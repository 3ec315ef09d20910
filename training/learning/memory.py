"""Memory that runs out while a model trains or samples: PyTorch's errors of it as one that a user can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from corrstore.datasets.errors import OutOfResources

_TEXTS = ("out of memory", "can't allocate memory")


@contextmanager
def bounded_memory(remedy: str) -> Iterator[None]:
    """Raise OutOfResources, with the remedy, where the block finds no memory on a device or for the CPU.

    The CPU allocator, and CUDA outside of the caching allocator, raise a bare RuntimeError.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error)
        known = isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(each in text for each in _TEXTS)
        if not known:
            raise
        reason = next(iter(text.splitlines()), "") or type(error).__name__
        raise OutOfResources(f"memory ran out ({reason}); {remedy}, and give the same command to go on") from None
