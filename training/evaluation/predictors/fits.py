"""What some predictors need to know of other samples: the input's mean error, and the regression's residual."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from corrstore.training.evaluation.scoring.spectra import Wavenumbers
from corrstore.training.evaluation.sums import Key, SumsRecord

Floats = NDArray[np.float64]
INPUT_ERROR, RESIDUAL, SPECTRUM = "input_error", "residual", "residual_spectrum"


@dataclass(frozen=True)
class Fit:
    """The sums of the other runs at one lead, or of the other times: `total` without the sample's `own`."""

    total: Mapping[Key, Floats]
    own: Mapping[Key, Floats]

    def input_error(self, channel: str) -> Floats | None:
        """Return the mean error of the input [lat, lon] of its own grid; None where nothing is known of it.

        The cells around those that hold target points have the error of the nearest one.
        """
        found = self._others(channel, INPUT_ERROR)
        if found is None or not (found[0] > 0).any():
            return None
        count, total = found
        rows, columns = (np.flatnonzero((count > 0).any(axis=axis)) for axis in (1, 0))
        inside = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        mean = total[inside] / np.maximum(count[inside], 1)
        edges = [(line[0], size - line[-1] - 1) for line, size in zip((rows, columns), count.shape, strict=True)]
        return np.pad(mean, edges, mode="edge")

    def residual(self, channel: str) -> tuple[float, float] | None:
        """Return the mean and standard deviation of the normalised residual; None where nothing is known of it."""
        found = self._others(channel, RESIDUAL)
        if found is None or found[0] <= 0:
            return None
        count, total, squares = found
        return float(total / count), float(np.sqrt(max(squares / count - (total / count) ** 2, 0.0)))

    def spectrum(self, channel: str) -> Floats | None:
        """Return the share of the residual's variance in each bin; None where no other sample was whole."""
        found = self._others(channel, SPECTRUM)
        if found is None or found[0] <= 0:
            return None
        mean, square, *bins = found[1:] / found[0]
        return np.maximum(bins, 0) / (square - mean**2) if square > mean**2 else None

    def _others(self, channel: str, name: str) -> Floats | None:
        key = ("", channel, "", name)
        return self.total[key] - self.own[key] if key in self.total and key in self.own else None


def totals(every: Iterable[Mapping[Key, Floats]]) -> dict[Key, Floats]:
    """Return the sums of them all, added in their order."""
    found: dict[Key, Floats] = {}
    for sums in every:
        for key, values in sums.items():
            found[key] = found[key] + values if key in found else values
    return found


def block_record(name: str, samples: Iterable[Mapping[Key, Floats]]) -> SumsRecord:
    """Return the record of a block of samples; the sums of grid cells are rounded to float32, which halves it."""
    found = totals(samples)
    for key in found:
        if key[3] == INPUT_ERROR:
            found[key] = found[key].astype(np.float32).astype(np.float64)
    return SumsRecord(name, found)


def residual_sums(residual: Floats) -> Floats:
    """Return count, sum and sum of squares of the present numbers."""
    known = residual[np.isfinite(residual)]
    return np.array([known.size, known.sum(), np.square(known).sum()])


def spectrum_sums(residual: Floats, waves: Wavenumbers) -> Floats:
    """Return 1, mean, mean square and the variance in each bin of a whole field; zeros of one that lacks pixels."""
    if not np.isfinite(residual).all():
        return np.zeros(3 + len(waves.widths))
    return np.array([1.0, residual.mean(), np.square(residual).mean(), *waves.variance(residual)])


def cell_sums(error: Floats, rows: NDArray[np.intp], columns: NDArray[np.intp], shape: tuple[int, int]) -> Floats:
    """Return count and sum [2, lat, lon] of the present errors of fine points, each in its cell (row, column)."""
    known = np.isfinite(error)
    cells = (rows[:, None] * shape[1] + columns)[known]
    count = np.bincount(cells, minlength=shape[0] * shape[1])
    total = np.bincount(cells, error[known], minlength=shape[0] * shape[1])
    return np.stack([count, total]).reshape(2, *shape).astype(np.float64)
