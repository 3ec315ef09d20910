"""Reversible transforms: what a physical number goes through before it is centred and scaled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corrstore.datasets.errors import BadInput

Floats = NDArray[Any]  # float32 or float64


@dataclass(frozen=True)
class Transform:
    """One strictly increasing function of a physical number and what undoes it, element by element.

    `forward`, `inverse` and `inverse_slope` (the inverse's derivative) keep shape and dtype (float32, float64).
    `lowest` is the lower bound of the domain, in physical units: `forward` gives NaN below it and never clamps, so
    that whoever wants a floor declares it. `inverse` goes on increasing below forward(lowest), because rounding and
    models reach there.
    """

    name: str
    lowest: float
    forward: Callable[[Floats], Floats]
    inverse: Callable[[Floats], Floats]
    inverse_slope: Callable[[Floats], Floats]

    def __reduce__(self) -> tuple[Callable[[str], Transform], tuple[str]]:
        return transform_named, (self.name,)


def _in_domain(values: Floats, lowest: float) -> Floats:
    return np.where(values >= lowest, values, values.dtype.type(np.nan))


TRANSFORMS: dict[str, Transform] = {
    transform.name: transform
    for transform in (
        Transform("identity", -np.inf, lambda x: x, lambda y: y, lambda y: np.ones_like(y)),
        Transform("log1p", 0.0, lambda x: np.log1p(_in_domain(x, 0.0)), np.expm1, np.exp),
        Transform(
            "sqrt",
            0.0,
            lambda x: np.sqrt(_in_domain(x, 0.0)),
            lambda y: y * np.abs(y),
            lambda y: 2 * np.abs(y),
        ),
    )
}


def transform_named(name: str) -> Transform:
    """The transform of that name; BadInput, with the names that exist, where there is none."""
    if name not in TRANSFORMS:
        raise BadInput(f"unknown transform {name!r}; corrstore knows {', '.join(TRANSFORMS)}")
    return TRANSFORMS[name]
