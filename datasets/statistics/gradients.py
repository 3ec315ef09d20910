"""Small-scale power: how much neighbouring grid points differ, which smoothing takes away and noise adds."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class GradientPower(NamedTuple):
    """The mean squared difference of the `pairs` of neighbouring grid points; NaN of none.

    Two of them merge as means do, weighted by their pairs.
    """

    pairs: int
    power: float


def gradient_power(values: NDArray[Any]) -> GradientPower:
    """Return the mean squared difference of neighbours along both axes of physical values [ny, nx], in squared units.

    A pair with a NaN is not counted.
    """
    squares = [np.square(np.diff(values, axis=axis).astype(np.float64)).ravel() for axis in (0, 1)]
    known = np.concatenate(squares)
    known = known[np.isfinite(known)]
    return GradientPower(known.size, float(known.mean()) if known.size else np.nan)
