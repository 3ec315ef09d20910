"""The arrays of fields: float32, with the two dimensions of their grid last."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corrstore.datasets.errors import BadInput

FieldArray = NDArray[np.float32]
"""The values of a field, [..., row, column] of its grid."""


def check_shape(field: FieldArray, shape: tuple[int, int], where: str) -> None:
    """Raise BadInput unless the last two dimensions of `field` are `shape`, those of `where`."""
    if field.shape[-2:] != shape:
        raise BadInput(f"field: got the shape {field.shape}, expected (..., {shape[0]}, {shape[1]}) of {where}")


def output_array(field: FieldArray, shape: tuple[int, int], out: FieldArray | None) -> FieldArray:
    """Return `out`, or a new array with the leading dimensions of `field` and then `shape`.

    Raises BadInput where `out` has another shape or type.
    """
    expected = (*field.shape[:-2], *shape)
    if out is None:
        return np.empty(expected, np.float32)
    if out.shape != expected or out.dtype != np.float32 or not out.flags.c_contiguous:
        raise BadInput(f"out: got {out.dtype} {out.shape}, expected C-contiguous float32 {expected}")
    return out
