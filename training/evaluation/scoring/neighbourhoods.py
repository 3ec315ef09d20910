"""Scores of neighbouring pixels: events in the right neighbourhood, if not at the right pixel, and differences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int32]

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
    level = ensemble.dtype.type(threshold)
    reached, met = np.zeros(truth.shape, np.int32), (truth >= np.float64(level)).astype(np.int32)
    _count_reached(np.ascontiguousarray(ensemble), truth, level, reached)
    errors = np.zeros((len(widths), 2))
    for k, width in enumerate(widths):
        lanes = np.zeros((2, truth.shape[1]))
        _add_fractions(reached, met, len(ensemble), width, lanes)
        errors[k] = lanes.sum(axis=1) / (len(ensemble) * width**2) ** 2
    return errors / truth.size


def variogram_score(ensemble: NDArray[np.float32], truth: Floats, lags: Sequence[int]) -> Floats:
    """Return the variogram score of order 1/2 (Scheuerer and Hamill 2015, Mon. Wea. Rev. 143, 1321), and 1.

    The mean over the pairs of pixels that are so many lags apart along rows or columns and both have a truth; 0 and 0
    without any.
    """
    total, count = _variogram(ensemble, truth, np.array(lags))
    return np.array([total / count, 1.0]) if count else np.zeros(2)


@njit(cache=True, nogil=True, error_model="numpy")
def _count_reached(
    ensemble: NDArray[np.floating], truth: NDArray[np.floating], threshold: np.floating, reached: Counts
) -> None:
    """Count the members at or above the threshold at each pixel that has a truth."""
    members, height, width = ensemble.shape
    for row in range(height):
        counts, observed = reached[row], truth[row]
        for i in range(members):
            member = ensemble[i, row]
            for column in range(width):
                counts[column] += member[column] >= threshold
        for column in range(width):
            counts[column] = 0 if np.isnan(observed[column]) else counts[column]


@njit(cache=True, nogil=True, error_model="numpy")
def _add_fractions(reached: Counts, met: Counts, members: int, side: int, lanes: Floats) -> None:
    """Add both terms at the pixels of each column [2, column], times (members side^2)^2, which makes them whole.

    The sums of the events of `side` rows move down row by row; their sums from the left tell those of `side` columns.
    """
    height, width = reached.shape
    half = side // 2
    rows, left = np.zeros((2, width), np.int32), np.zeros((2, width + side), np.int32)
    differences, squares, forecast, observed = lanes[0], lanes[1], left[0], left[1]
    forecast_ahead, observed_ahead = forecast[side:], observed[side:]
    for lowest in range(height + half):
        for each, counts in enumerate((reached, met)):
            total = rows[each]
            if lowest < height:
                added = counts[lowest]
                for column in range(width):
                    total[column] += added[column]
            if lowest >= side:
                removed = counts[lowest - side]
                for column in range(width):
                    total[column] -= removed[column]
        if lowest < half:
            continue
        for each in range(2):
            total, sums, before = rows[each], left[each, half + 1 :], np.int32(0)
            for column in range(width):
                before += total[column]
                sums[column] = before
            sums[width:] = before
        for column in range(width):
            ours = float(forecast_ahead[column] - forecast[column])
            theirs = members * float(observed_ahead[column] - observed[column])
            differences[column] += (ours - theirs) ** 2
            squares[column] += ours * ours + theirs * theirs


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
