"""Reversible transforms: what a physical number goes through before it is centred and scaled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from corrstore.datasets.errors import BadInput


class _Library(Protocol):
    """The functions of an array that a transform needs; the modules `numpy` and `torch` are such libraries."""

    abs: Callable[[Any], Any]
    copysign: Callable[[Any, Any], Any]
    sqrt: Callable[[Any], Any]
    log1p: Callable[[Any], Any]
    expm1: Callable[[Any], Any]
    exp: Callable[[Any], Any]
    ones_like: Callable[[Any], Any]
    where: Callable[[Any, Any, Any], Any]


_Function = Callable[[Any, _Library], Any]


@dataclass(frozen=True)
class Transform:
    """A strictly increasing function of a physical number and what undoes it, element by element.

    Each function takes an array and the `library` that computes on it: `numpy` by default, `torch` for tensors. It
    keeps shape and dtype (float32, float64).
    `lowest` is the lower bound of the domain, in physical units: `forward` gives NaN below it and never clamps, so
    that whoever wants a floor declares it. `inverse` goes on increasing below forward(lowest), because rounding and
    models reach there; `extended` undoes it there too.
    """

    name: str
    lowest: float
    _extended: _Function
    _inverse: _Function
    _inverse_slope: _Function

    def forward(self, physical: Any, library: Any = np) -> Any:
        """Return the transformed numbers; NaN below `lowest`."""
        return self._extended(library.where(physical >= self.lowest, physical, np.nan), library)

    def extended(self, physical: Any, library: Any = np) -> Any:
        """Return the transformed numbers, below `lowest` too: those that `inverse` takes there."""
        return self._extended(physical, library)

    def inverse(self, transformed: Any, library: Any = np) -> Any:
        """Return the physical numbers."""
        return self._inverse(transformed, library)

    def inverse_slope(self, transformed: Any, library: Any = np) -> Any:
        """Return the derivative of `inverse`."""
        return self._inverse_slope(transformed, library)

    def __reduce__(self) -> tuple[Callable[[str], Transform], tuple[str]]:
        return transform_named, (self.name,)


TRANSFORMS: dict[str, Transform] = {
    transform.name: transform
    for transform in (
        Transform("identity", -np.inf, lambda x, _: x, lambda y, _: y, lambda y, library: library.ones_like(y)),
        Transform(
            "log1p",
            0.0,
            lambda x, library: library.log1p(x),
            lambda y, library: library.expm1(y),
            lambda y, library: library.exp(y),
        ),
        Transform(
            "sqrt",
            0.0,
            lambda x, library: library.copysign(library.sqrt(library.abs(x)), x),
            lambda y, library: y * library.abs(y),
            lambda y, library: 2 * library.abs(y),
        ),
    )
}
"""The transforms that a variable or a recipe can name; each is the one definition for NumPy and torch."""


def transform_named(name: str) -> Transform:
    """Return the transform of that name; raise BadInput, with the names that exist, where there is none."""
    if name not in TRANSFORMS:
        raise BadInput(f"unknown transform {name!r}; corrstore knows {', '.join(TRANSFORMS)}")
    return TRANSFORMS[name]
