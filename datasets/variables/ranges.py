"""The physical range of a variable: the one rule by which a number is outside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corrstore.datasets.variables.variable import Variable

_PACKING_NOT_TOLD = 2.0**-14
"""A share of the range's width: four steps of 16 bits, for archives that were packed once and do not tell it."""
_PERHAPS_A_MARK = (
    "; so far outside, it may be a mark for missing numbers that the file does not state: state it, as with"
    " `cdo setctomiss,NUMBER IN OUT`"
)


class InRange(NamedTuple):
    """Numbers of which `moved` are at the end of the range now, and in words what is outside it."""

    values: NDArray[np.float32]
    moved: int = 0
    outside: str | None = None


def within_range(values: NDArray[np.float32], variable: Variable, packing_step: Callable[[], float]) -> InRange:
    """Return the values, those beyond the physical range by no more than their packing explains at its end.

    `packing_step` returns the distance, in the variable's units, of two neighbouring numbers that the archive can hold;
    it is called where a number is beyond the range. Values of which one is further outside are returned as they are.
    """
    low, high = float(np.fmin.reduce(values, None)), float(np.fmax.reduce(values, None))
    beyond = excess(variable, low, high)
    if not beyond > 0:
        return InRange(values)
    lowest, highest = (np.float32(end) for end in variable.valid_range)
    step = packing_step()
    if beyond > explained_by_packing(variable, step):
        packed = f"; its packing has steps of {step:.3g}" if step else ""
        in_part = low <= highest and high >= lowest
        mark = _PERHAPS_A_MARK if in_part and beyond > float(highest - lowest) else ""
        return InRange(values, outside=outside(variable, low, high) + packed + mark)
    moved = int(np.count_nonzero((values < lowest) | (values > highest)))
    return InRange(np.clip(values, lowest, highest), moved)


def explained_by_packing(variable: Variable, step: float) -> float:
    """Return how far beyond the physical range packing in steps of that width can have moved a number."""
    lowest, highest = variable.valid_range
    return step + _PACKING_NOT_TOLD * (highest - lowest)


def excess(variable: Variable, low: float, high: float) -> float:
    """Return how far numbers from `low` to `high` reach beyond the physical range; 0 where they are inside."""
    lowest, highest = variable.valid_range
    return max(lowest - low, high - highest, 0.0)


def outside(variable: Variable, low: float, high: float) -> str:
    """Return in words that numbers from `low` to `high` are outside the physical range."""
    lowest, highest = variable.valid_range
    return f"{low:.7g} to {high:.7g} is outside the range {lowest:g} to {highest:g} {variable.units}"
