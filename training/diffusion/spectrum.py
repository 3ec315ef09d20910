"""The spectrum of fields: their cosine modes, gathered into octaves of wavelength."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor


def octaves(height: int, width: int) -> list[int]:
    """Return the shortest wavelength in pixels of each octave of fields of this size: 2, 4, 8 and so on.

    The first has all modes below 4 pixels, the last the mean of the field alone.
    """
    return [2 ** (1 + octave) for octave in range(math.floor(math.log2(2 * max(height, width))) + 1)]


def cosine_modes(fields: Tensor) -> Tensor:
    """Return the modes (..., height, width) of fields by the orthonormal type-II cosine transform.

    It asks for no periodic field; the squares of the modes add up to those of the pixels.
    """
    rows, columns = (_cosines(size).to(fields) for size in fields.shape[-2:])
    return rows @ fields @ columns.T


def from_modes(modes: Tensor) -> Tensor:
    """Return the fields of these modes: the inverse of `cosine_modes`."""
    rows, columns = (_cosines(size).to(modes) for size in modes.shape[-2:])
    return rows.T @ modes @ columns


def octave_of_modes(height: int, width: int) -> Tensor:
    """Return the octave of each mode (height, width); mode (i, j) has i / height and j / width half waves a pixel."""
    return _octave_of_modes(height, width).reshape(height, width)


@lru_cache(maxsize=4)
def modes_of_octaves(height: int, width: int, count: int) -> Tensor:
    """Return the number of modes in each of `count` octaves, at least 1; the last has all longer ones too."""
    return torch.bincount(_octave_of_modes(height, width).clamp(max=count - 1), minlength=count).clamp(min=1)


def octave_power(fields: Tensor) -> Tensor:
    """Return the power of fields (..., height, width) in each octave, float64 (..., octaves): sums of squared modes."""
    height, width = fields.shape[-2:]
    power = cosine_modes(fields).double() ** 2
    count, octave = len(octaves(height, width)), _octave_of_modes(height, width).to(fields.device)
    sums = torch.zeros(*fields.shape[:-2], count, dtype=torch.float64, device=fields.device)
    return sums.index_add_(-1, octave, power.flatten(-2))


@lru_cache(maxsize=4)
def _cosines(size: int) -> Tensor:
    """The rows are the orthonormal cosines over `size` pixels."""
    mode, pixel = torch.arange(size).double()[:, None], torch.arange(size).double()
    cosines = torch.cos(torch.pi * mode * (pixel + 0.5) / size) * math.sqrt(2 / size)
    cosines[0] /= math.sqrt(2)
    return cosines


@lru_cache(maxsize=4)
def _octave_of_modes(height: int, width: int) -> Tensor:
    """The octave of each mode, row by row."""
    frequency = torch.hypot(*torch.meshgrid(*(torch.arange(n) / (2 * n) for n in (height, width)), indexing="ij"))
    octave = torch.floor(-torch.log2(frequency.flatten().double()) + 1e-6) - 1
    return octave.clamp(0, len(octaves(height, width)) - 1).long()
