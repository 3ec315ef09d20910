"""Scores of neighbouring pixels: events in the right neighbourhood, if not at the right pixel, and differences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WIDTHS = (1, 5, 13, 31)
"""Widths of the square neighbourhoods, in pixels; odd, so that they have a centre."""


def fraction_errors(
    ensemble: NDArray[np.floating], truth: NDArray[np.floating], threshold: float, widths: Sequence[int] = WIDTHS
) -> Floats:
    """Return the two terms of the fractions skill score [width, 2]; the score is 1 - first / second.

    `ensemble` (member, lat, lon), `truth` (lat, lon). The first is the mean squared difference of the fractions of
    pixels at or above the threshold in the neighbourhoods of forecast and truth, the second the most that it can be
    (Roberts and Lean 2008, Mon. Wea. Rev. 136, 78, equations 5 to 7). An ensemble's fraction is the mean of its
    members' (the neighbourhood ensemble probability of Schwartz et al. 2010, Wea. Forecasting 25, 263). Beyond the
    domain and where the truth is missing there is no event. Both may be summed over samples before they are divided.
    """
    present, errors = ~np.isnan(truth), np.zeros((len(widths), 2))
    forecast = np.zeros(truth.shape, np.int64)
    for member in ensemble:
        forecast += (member >= threshold) & present
    _add_fractions(_summed(forecast), _summed(truth >= threshold), len(ensemble), np.array(widths), errors)
    return errors / truth.size


def variogram_score(ensemble: NDArray[np.float32], truth: Floats, lags: Sequence[int]) -> float:
    """Return the variogram score of order 1/2 (Scheuerer and Hamill 2015, Mon. Wea. Rev. 143, 1321).

    The mean over the pairs of pixels that are so many lags apart along rows or columns and both have a truth; 0
    without any.
    """
    total, count = _variogram(ensemble, truth, np.array(lags))
    return total / count if count else 0.0


def _summed(events: NDArray[np.integer | np.bool_]) -> NDArray[np.int64]:
    """The number of events above and left of each corner of the pixels."""
    found = np.zeros(tuple(size + 1 for size in events.shape), np.int64)
    np.cumsum(np.cumsum(events, axis=0, dtype=np.int64), axis=1, out=found[1:, 1:])
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def _add_fractions(
    forecast: NDArray[np.int64], truth: NDArray[np.int64], members: int, widths: NDArray[np.int64], errors: Floats
) -> None:
    height, width = truth.shape[0] - 1, truth.shape[1] - 1
    for k in range(widths.size):
        half, area = widths[k] // 2, float(widths[k]) ** 2
        for row in range(height):
            top, bottom = max(row - half, 0), min(row + half + 1, height)
            differences = squares = 0.0
            for column in range(width):
                left, right = max(column - half, 0), min(column + half + 1, width)
                ours = forecast[bottom, right] - forecast[top, right] - forecast[bottom, left] + forecast[top, left]
                theirs = truth[bottom, right] - truth[top, right] - truth[bottom, left] + truth[top, left]
                a, b = ours / (members * area), theirs / area
                differences += (a - b) ** 2
                squares += a * a + b * b
            errors[k, 0] += differences
            errors[k, 1] += squares


@njit(cache=True, nogil=True, error_model="numpy")
def _variogram(ensemble: NDArray[np.float32], truth: Floats, lags: NDArray[np.int64]) -> tuple[float, int]:
    """The sum of the squared errors of mean root differences, and the number of pairs."""
    members, height, width = ensemble.shape
    ours, total, count = np.empty(width), 0.0, 0
    for lag in lags:
        for down, along in ((lag, 0), (0, lag)):
            pairs = max(width - along, 0)
            for row in range(height - down):
                ours[:] = 0.0
                for i in range(members):
                    near, far = ensemble[i, row], ensemble[i, row + down]
                    for column in range(pairs):
                        ours[column] += np.sqrt(np.abs(near[column] - far[column + along]))
                squares = 0.0
                for column in range(pairs):
                    difference = np.sqrt(np.abs(truth[row, column] - truth[row + down, column + along]))
                    square = (difference - ours[column] / members) ** 2
                    if not np.isnan(square):
                        squares += square
                        count += 1
                total += squares
    return total, count
