"""Sums of errors in cells of pixels: for maps, not for scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MOST_CELLS = 48
"""The largest number of cells along a side."""


def cell_errors(
    ensemble: NDArray[np.float32], truth: NDArray[np.floating], scored: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return count, error and squared error of the ensemble mean in each cell [3, row, column].

    `ensemble` (member, lat, lon), `truth` and `scored` (lat, lon). Cells are squares of pixels, of which MOST_CELLS at
    most lie along the longer side; the last ones may be smaller. Sums are rounded to float32: it halves a record.
    """
    side = -(-max(truth.shape) // MOST_CELLS)
    rows, columns = (np.arange(0, size, side) for size in truth.shape)
    error = np.where(scored, ensemble.mean(axis=0, dtype=np.float64) - truth, 0)
    every = np.stack([scored.astype(np.float64), error, error**2])
    return np.add.reduceat(np.add.reduceat(every, rows, axis=1), columns, axis=2).astype(np.float32).astype(np.float64)


def cell_maps(sums: Floats) -> tuple[Floats, Floats]:
    """Return the mean error and the RMSE [row, column] of each cell; NaN where nothing was scored."""
    count, error, squares = sums
    known = count > 0
    mean, square = (np.divide(each, count, out=np.full(count.shape, np.nan), where=known) for each in (error, squares))
    return mean, np.sqrt(square)
