"""The noise of ensemble members: a function of seed, time and member, which may be correlated in time."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.periods import Times, parse_duration
from corrstore.datasets.recipe.sample_axes import NO_RUN, format_lead

_INDEPENDENT, _SHARED = "independent", "shared"
_LEAST_WEIGHT = 1e-9
"""The weight below which an innovation changes no float32 number of the sum."""


_THREADS = 4
"""Fields that are drawn at once; one of 24 channels of 1600 x 2400 takes 0.4 GB."""


class TemporalNoise(NamedTuple):
    """The correlation of a member's noise in time: exp(-gap / `e_folding`), the gap and `e_folding` in seconds.

    0 makes the noise of all times independent, infinity the same.
    """

    e_folding: float = 0.0

    @classmethod
    def from_text(cls, text: str) -> TemporalNoise:
        """Return what independent, shared, or an e-folding time such as 12h says; raise BadInput for other texts."""
        if text in (_INDEPENDENT, _SHARED):
            return cls(0.0 if text == _INDEPENDENT else math.inf)
        try:
            return cls(float(parse_duration(text).astype(np.int64)))
        except BadInput:
            raise BadInput(
                f"temporal noise {text!r} is unknown; write {_INDEPENDENT}, {_SHARED}, or the time in which its"
                " correlation falls to 1/e, such as 12h"
            ) from None

    def __str__(self) -> str:
        if self.e_folding in (0.0, math.inf):
            return _SHARED if self.e_folding else _INDEPENDENT
        return format_lead(np.timedelta64(int(self.e_folding), "s"))

    def weights(self, times: Times) -> NDArray[np.float64]:
        """Return the weights of the innovations of these ascending times, which give the noise of the last one.

        Noise n_k = r_k n_(k-1) + sqrt(1 - r_k^2) e_k, n_0 = e_0, of unit normal innovations e: an autoregression of
        first order, r_k = exp(-(t_k - t_(k-1)) / e_folding). The squares of the weights sum to one.
        """
        gaps = np.diff(times.astype("datetime64[s]").astype(np.int64))
        with np.errstate(divide="ignore"):
            correlations = np.exp(-np.divide(gaps, self.e_folding))
        kept = np.cumprod([1.0, *correlations[::-1]])[::-1]
        return kept * np.sqrt([1.0, *(1 - correlations**2)])


INDEPENDENT = TemporalNoise()


class Innovation(NamedTuple):
    """Unit normal fields by the key of their generator, and their weight in a sum of such fields."""

    key: int
    weight: float


def innovations(
    times: Times, init_time: np.datetime64, member: int, seed: int, correlation: TemporalNoise
) -> list[Innovation]:
    """Return the innovations of a member's noise at the last of the times of its run, or of a store without runs.

    The times ascend from the first that the run has, whether it is drawn or not, so that the noise does not depend on
    what is drawn. Without correlation the last time's own is the only one.
    """
    weights = correlation.weights(times)
    return [
        Innovation(member_key(time, member, seed, init_time), float(weight))
        for time, weight in zip(times, weights, strict=True)
        if weight > _LEAST_WEIGHT
    ]


def member_key(valid_time: np.datetime64, member: int, seed: int = 0, init_time: np.datetime64 = NO_RUN) -> int:
    """Return the 128-bit key of one member at one time: BLAKE2b of `seed/time/member`, time in seconds since 1970.

    Of a run it is that of `seed/init time/lead time/member`. Raises BadInput where there is no valid time.
    """
    if np.isnat(valid_time):
        raise BadInput(f"member {member} has no valid_time: its noise is drawn by valid_time and member")
    times = [_seconds(valid_time)] if np.isnat(init_time) else [_seconds(init_time), _seconds(valid_time - init_time)]
    text = "/".join(map(str, [seed, *times, member]))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")


def member_noise(key: int, draw: int, shape: Sequence[int]) -> Tensor:
    """Return unit normal float32 noise of a member: a function of key, draw and shape alone.

    It is drawn on the CPU, whatever the device, by NumPy's counter-based Philox: the key is Philox's own, the
    draw is the highest word of its counter.
    """
    philox = np.random.Philox(key=key, counter=draw << 192)
    return torch.from_numpy(np.random.Generator(philox).standard_normal(tuple(shape), dtype=np.float32))


def summed_noise(parts: Sequence[Innovation], draw: int, shape: Sequence[int]) -> Tensor:
    """Return the weighted sum of the innovations' fields, float32, unit normal again.

    Threads draw a few of them at once; the order of the sum is that of the parts.
    """

    def weighted(part: Innovation) -> Tensor:
        return member_noise(part.key, draw, shape).mul_(part.weight)

    total = weighted(parts[0])
    with ThreadPoolExecutor(_THREADS) as pool:
        for start in range(1, len(parts), _THREADS):
            for field in pool.map(weighted, parts[start : start + _THREADS]):
                total += field
    return total


def _seconds(time: np.datetime64 | np.timedelta64) -> np.int64:
    return time.astype("datetime64[s]" if time.dtype.kind == "M" else "timedelta64[s]").astype(np.int64)
