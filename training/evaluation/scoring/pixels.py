"""The sums of a tally that need every pixel once: errors, ranks, quantiles, events, and distances of whole fields."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class PixelSums(NamedTuple):
    """The sums over one sample's pixels that have a truth: those of the same names in a Tally."""

    weight: Floats
    error: Floats
    absolute_error: Floats
    squared_error: Floats
    crps: Floats
    variance: Floats
    outside: Floats
    above: Floats
    ranks: Floats
    quantile_loss: Floats
    events: Floats
    brier: Floats
    reliability: Floats
    tail_crps: Floats
    energy: Floats


def pixel_sums(
    ensemble: NDArray[np.float32],
    truth: Floats,
    row_weights: Floats,
    lots: Floats,
    thresholds: Floats,
    quantiles: Floats,
    probabilities: int,
    valid_range: tuple[float, float],
    ceiling: NDArray[np.float32] | None,
) -> tuple[PixelSums, Floats]:
    """Return the sums of an ensemble (member, lat, lon) against the truth (lat, lon), NaN where missing.

    Beside them is the weight of the pixels by how many members are below the truth, and how many equal to it [members
    + 1, members + 1]. `lots` (lat, lon), 0 to 1, tell the rank of a truth that equals some members; `probabilities` is
    the number of bins of reliability. The rows are summed one by one, so that large domains lose no digits.
    """
    members, rows, events = len(ensemble), len(row_weights), len(thresholds)
    of_rows = [
        np.zeros((rows, *shape))
        for shape in (
            *((8,), (members + 1,), (len(quantiles),), (events, 4), (events,), (events, probabilities, 3), (events,)),
            *((members + 1, members + 1), (members + 1, members + 1)),
        )
    ]
    lowest, highest = map(float, valid_range)
    limit = np.empty((0, *truth.shape), np.float32) if ceiling is None else ceiling
    _add_pixels(ensemble, truth, row_weights, lots, thresholds, quantiles, lowest, highest, limit, *of_rows)
    summed = [each.sum(axis=0) for each in of_rows]
    plain, ranks, quantile_loss, counts, brier, reliability, tail_crps, squares, standing = summed
    if ceiling is None:
        plain[7] = np.nan
    energy = np.asarray(_fair_energy(squares, plain[0]))
    sums = (*map(np.asarray, plain), ranks, quantile_loss, counts, brier, reliability, tail_crps, energy)
    return PixelSums._make(sums), standing


def pixel_spreads(ensemble: NDArray[np.float32], truth: Floats, row_weights: Floats) -> tuple[Floats, Floats]:
    """Return the spread of every second member at the pixels that have a truth [pixel], and sums of the others.

    The sums [3, pixel] are the weight, and what it multiplies: their variance, and the squared error of their mean.
    """
    found = np.empty((4, np.count_nonzero(~np.isnan(truth))))
    _spread_pixels(ensemble, truth, row_weights, found)
    return found[0], found[1:]


def fair_crps(ensemble: NDArray[np.floating], truth: NDArray[np.floating]) -> Floats:
    """Return the fair continuous ranked probability score at each pixel, (member, ...) and (...) to (...).

    Mean |x_i - y| - sum |x_i - x_j| / (2 m (m - 1)), which estimates the CRPS of the distribution that the m members
    are drawn from without bias (Ferro 2014, Q. J. R. Meteorol. Soc. 140, 1917). Of one member: its absolute error.
    """
    ordered = np.sort(ensemble.reshape(len(ensemble), -1).astype(np.float64), axis=0)
    pixels = zip(ordered.T, truth.ravel().astype(np.float64), strict=True)
    return np.array([_fair_crps(np.ascontiguousarray(each), y) for each, y in pixels]).reshape(truth.shape)


def _fair_energy(squares: Floats, weight: float) -> float:
    """The fair energy score, of the weighted squared distances of members, and of the truth, the last row."""
    if not weight:
        return 0.0
    members = len(squares) - 1
    norms = np.sqrt(np.tril(squares, -1) / weight)
    pairs = norms[:-1].sum() / (members * (members - 1)) if members > 1 else 0.0
    return float(norms[-1].sum() / members - pairs)


@njit(cache=True, nogil=True, error_model="numpy")
def _fair_crps(ordered: Floats, truth: float) -> float:
    """The fair CRPS of members in ascending order, in which the differences of all pairs are a weighted sum."""
    members = ordered.size
    distance = pairs = 0.0
    for i in range(members):
        value = ordered[i] - truth
        distance += abs(value)
        pairs += (2 * i - members + 1) * value
    return distance / members - (pairs / (members * (members - 1)) if members > 1 else 0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def _add_pixels(
    ensemble: NDArray[np.float32],
    truth: Floats,
    row_weights: Floats,
    lots: Floats,
    thresholds: Floats,
    quantiles: Floats,
    lowest: float,
    highest: float,
    ceiling: NDArray[np.float32],
    plain: Floats,
    ranks: Floats,
    quantile_loss: Floats,
    events: Floats,
    brier: Floats,
    reliability: Floats,
    tail_crps: Floats,
    squares: Floats,
    standing: Floats,
) -> None:
    """Add each row's pixels to its sums."""
    members, height, width = ensemble.shape
    x, ordered, raised = np.empty(members + 1), np.empty(members), np.empty(members)
    for row in range(height):
        w = row_weights[row]
        for column in range(width):
            y = truth[row, column]
            if np.isnan(y):
                continue
            below = tied = outside = above = place = 0
            total = variance = 0.0
            for i in range(members):
                value = float(ensemble[i, row, column])
                x[i] = value
                total += value
                below += value < y
                tied += value == y
                outside += value < lowest or value > highest
                if ceiling.shape[0]:
                    above += value > ceiling[min(i, ceiling.shape[0] - 1), row, column]
                place = i
                while place > 0 and ordered[place - 1] > value:
                    ordered[place] = ordered[place - 1]
                    place -= 1
                ordered[place] = value
            x[members] = y
            mean = total / members
            for i in range(members):
                variance += (x[i] - mean) ** 2
            plain[row, 0] += w
            plain[row, 1] += w * (mean - y)
            plain[row, 2] += w * abs(mean - y)
            plain[row, 3] += w * (mean - y) ** 2
            plain[row, 4] += w * _fair_crps(ordered, y)
            plain[row, 5] += w * variance / (members - 1) if members > 1 else np.nan
            plain[row, 6] += w * outside / members
            plain[row, 7] += w * above / members
            standing[row, below, tied] += w
            ranks[row, below + int((tied + 1) * lots[row, column])] += w
            for i in range(members + 1):
                for j in range(i):
                    squares[row, i, j] += w * (x[i] - x[j]) ** 2
            for k in range(quantiles.size):
                at = quantiles[k] * (members - 1)
                lower = int(at)
                upper = min(lower + 1, members - 1)
                missed = y - ordered[lower] - (ordered[upper] - ordered[lower]) * (at - lower)
                quantile_loss[row, k] += w * max(quantiles[k] * missed, (quantiles[k] - 1) * missed)
            for k in range(thresholds.size):
                seen, reached = y >= thresholds[k], 0
                for i in range(members):
                    reached += x[i] >= thresholds[k]
                    raised[i] = max(ordered[i], thresholds[k])
                share = reached / members
                events[row, k, 0] += w * share * seen
                events[row, k, 1] += w * share * (1 - seen)
                events[row, k, 2] += w * (1 - share) * seen
                events[row, k, 3] += w * (1 - share) * (1 - seen)
                brier[row, k] += w * (share - seen) ** 2
                place = int(share * (reliability.shape[2] - 1) + 0.5)
                reliability[row, k, place, 0] += w
                reliability[row, k, place, 1] += w * share
                reliability[row, k, place, 2] += w * seen
                if reached or seen:
                    tail_crps[row, k] += w * _fair_crps(raised, max(y, thresholds[k]))


@njit(cache=True, nogil=True, error_model="numpy")
def _spread_pixels(ensemble: NDArray[np.float32], truth: Floats, row_weights: Floats, found: Floats) -> None:
    members, height, width = ensemble.shape
    pixel = 0
    for row in range(height):
        for column in range(width):
            if np.isnan(truth[row, column]):
                continue
            for half in range(2):
                count, mean, variance = (members + 1 - half) // 2, 0.0, 0.0
                for i in range(half, members, 2):
                    mean += ensemble[i, row, column] / count
                for i in range(half, members, 2):
                    variance += (ensemble[i, row, column] - mean) ** 2
                if half:
                    found[1, pixel] = row_weights[row]
                    found[2, pixel] = row_weights[row] * variance / (count - 1)
                    found[3, pixel] = row_weights[row] * (mean - truth[row, column]) ** 2
                else:
                    found[0, pixel] = variance
            pixel += 1
