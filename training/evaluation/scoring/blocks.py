"""Sums over pixels in blocks: each loop over a block's pixels is one that a processor does several pixels at once."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Members = NDArray[np.float32]
Counts = NDArray[np.int64]

BLOCK = 256
"""Pixels of a block: few enough for the processor's nearest cache."""


@njit(cache=True, nogil=True, error_model="numpy")
def add_pixels(
    ensemble: Members,
    truth: Floats,
    row_weights: Floats,
    lots: Floats,
    thresholds: Floats,
    quantiles: Floats,
    lowest: float,
    highest: float,
    ceiling: Members,
    errors: Floats,
    crps: Floats,
    tail_crps: Floats,
    quantile_loss: Floats,
    squares: Floats,
    standing: Floats,
    ranks: Floats,
    reached: Floats,
    beyond: Floats,
) -> None:
    """Add the pixels of an ensemble (member, lat, lon) to sums, whose axes `pixel_sums` tells.

    Up to `squares` they have a last axis [BLOCK]; the others are counted in each row before they get its weight.
    """
    members, height, width = ensemble.shape
    x, y, spare = np.empty((members, BLOCK)), np.empty(BLOCK), np.empty((3, BLOCK))
    sorting, sorted_members = np.empty((2, members, BLOCK), np.float32), np.empty((members, BLOCK))
    columns, below, equal = np.empty(BLOCK, np.int64), np.empty(BLOCK, np.int64), np.empty(BLOCK, np.int64)
    standing_count, rank_count = np.zeros(standing.shape, np.int64), np.zeros(ranks.shape, np.int64)
    reached_count = np.zeros(reached.shape, np.int64)
    for row in range(height):
        w, outside, above = row_weights[row], 0, 0
        for first in range(0, width, BLOCK):
            count = _present(truth[row], first, columns)
            for k in range(count):
                y[k] = truth[row, columns[k]]
            for i in range(members):
                _take(ensemble[i, row], columns, count, sorting[0, i], x[i])
            _sort(sorting[0], sorting[1], count, sorted_members)
            _add_errors(x, y, w, count, spare, errors)
            _add_squares(x, y, w, count, squares)
            _add_crps(sorted_members, y, -np.inf, w, count, spare, crps)
            for q in range(quantiles.size):
                _add_quantile_loss(sorted_members, y, quantiles[q], w, count, quantile_loss[q])
            _count(x, y, count, below, equal)
            for k in range(count):
                standing_count[below[k], equal[k]] += 1
                rank_count[below[k] + int((equal[k] + 1) * lots[row, columns[k]])] += 1
            for t in range(thresholds.size):
                _add_crps(sorted_members, y, thresholds[t], w, count, spare, tail_crps[t])
                _add_reached(x, y, thresholds[t], count, below, reached_count[t])
            for i in range(members):
                outside += _outside(x[i], lowest, highest, count)
                if len(ceiling):
                    above += _above(x[i], ceiling[min(i, len(ceiling) - 1), row], columns, count)
        _add_row(standing_count.ravel(), w, standing.ravel())
        _add_row(rank_count, w, ranks)
        _add_row(reached_count.ravel(), w, reached.ravel())
        beyond[0] += w * outside
        beyond[1] += w * above


@njit(cache=True, nogil=True, error_model="numpy")
def spread_pixels(ensemble: Members, truth: Floats, row_weights: Floats, keys: Counts, sums: Floats) -> None:
    """Write, of each pixel that has a truth, the key of its spread [pixel], and what a class of spread adds [pixel, 3].

    The spread is the variance of every second member, from the first; the sums are the weight, and what it multiplies:
    the variance of the others, and the squared error of their mean. The key is the spread's bits as float32, in which
    larger numbers are larger, above the pixel's number: so no two are equal.
    """
    members, height, width = ensemble.shape
    single, columns = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.int64)
    halves = np.empty(((members + 1) // 2, BLOCK)), np.empty((members // 2, BLOCK))
    moments, bits, pixel = np.empty((2, BLOCK)), single.view(np.int32), 0
    mean, squares = moments[0], moments[1]
    for row in range(height):
        w = row_weights[row]
        for first in range(0, width, BLOCK):
            count = _present(truth[row], first, columns)
            for i in range(members):
                _take(ensemble[i, row], columns, count, single, halves[i % 2][i // 2])
            _moments(halves[0], count, mean, squares)
            for k in range(count):
                single[k] = squares[k]
            for k in range(count):
                keys[pixel + k] = np.int64(bits[k]) << 32 | (pixel + k)
            _moments(halves[1], count, mean, squares)
            for k in range(count):
                sums[pixel + k, 0] = w
                sums[pixel + k, 1] = w * squares[k] / (members // 2 - 1)
                sums[pixel + k, 2] = w * (mean[k] - truth[row, columns[k]]) ** 2
            pixel += count


@njit(cache=True, nogil=True, error_model="numpy")
def add_classes(keys: Counts, starts: Counts, sums: Floats, found: Floats) -> None:
    """Add the sums of each pixel to those of its class [3, class]: the last one that starts at its key or below."""
    for pixel in range(keys.size):
        place = 0
        for each in range(1, starts.size):
            place += keys[pixel] >= starts[each]
        for each in range(3):
            found[each, place] += sums[pixel, each]


@njit(cache=True, nogil=True, error_model="numpy")
def _present(truth: Floats, first: int, columns: Counts) -> int:
    """Write the columns of a block that have a truth, and return their number."""
    count = 0
    for column in range(first, min(first + BLOCK, truth.size)):
        columns[count] = column
        count += not np.isnan(truth[column])
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def _moments(x: Floats, count: int, mean: Floats, squares: Floats) -> None:
    """Write the members' mean, and the sum of their squared differences from it."""
    mean[:count], squares[:count] = 0.0, 0.0
    for i in range(len(x)):
        a = x[i]
        for k in range(count):
            mean[k] += a[k]
    for k in range(count):
        mean[k] /= len(x)
    for i in range(len(x)):
        a = x[i]
        for k in range(count):
            squares[k] += (a[k] - mean[k]) ** 2


@njit(cache=True, nogil=True, error_model="numpy")
def _add_row(counts: Counts, w: float, sums: Floats) -> None:
    """Add the counts of a row, and begin the next one's from 0."""
    for k in range(counts.size):
        sums[k] += w * counts[k]
        counts[k] = 0


@njit(cache=True, nogil=True, error_model="numpy")
def _take(member: Members, columns: Counts, count: int, single: Members, double: Floats) -> None:
    for k in range(count):
        single[k] = member[columns[k]]
    for k in range(count):
        double[k] = single[k]


@njit(cache=True, nogil=True, error_model="numpy")
def _sort(members: Members, spare: Members, count: int, found: Floats) -> None:
    """Sort the members of each pixel in ascending order by odd-even transposition: the same steps for all pixels."""
    size = len(members)
    for turn in range(size):
        for i in range(size):
            other = i + 1 if (i + turn) % 2 == 0 else i - 1
            other = other if 0 <= other < size else i
            a, b, least, most = members[i], members[other], spare[i], i > other
            if most:
                for k in range(count):
                    least[k] = a[k] if a[k] > b[k] else b[k]
            else:
                for k in range(count):
                    least[k] = a[k] if a[k] < b[k] else b[k]
        members, spare = spare, members
    for i in range(size):
        a, out = members[i], found[i]
        for k in range(count):
            out[k] = a[k]


@njit(cache=True, nogil=True, error_model="numpy")
def _outside(x: Floats, lowest: float, highest: float, count: int) -> int:
    found = 0
    for k in range(count):
        found += (x[k] < lowest) | (x[k] > highest)
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def _above(x: Floats, ceiling: Members, columns: Counts, count: int) -> int:
    found = 0
    for k in range(count):
        found += x[k] > ceiling[columns[k]]
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def _add_errors(x: Floats, y: Floats, w: float, count: int, spare: Floats, sums: Floats) -> None:
    """Add error, absolute and squared error of the members' mean, and the members' variance."""
    mean, squares = spare[0], spare[1]
    _moments(x, count, mean, squares)
    error, absolute, squared, variance = sums[0], sums[1], sums[2], sums[3]
    for k in range(count):
        error[k] += w * (mean[k] - y[k])
        absolute[k] += w * abs(mean[k] - y[k])
        squared[k] += w * (mean[k] - y[k]) ** 2
        variance[k] += w * (squares[k] / (len(x) - 1))


@njit(cache=True, nogil=True, error_model="numpy")
def _add_squares(x: Floats, y: Floats, w: float, count: int, sums: Floats) -> None:
    """Add the squared distances of each pair of members, and, in the last row, of each member and the truth."""
    for i in range(len(x) + 1):
        a = x[i] if i < len(x) else y
        for j in range(i):
            b, out = x[j], sums[i, j]
            for k in range(count):
                out[k] += w * (a[k] - b[k]) ** 2


@njit(cache=True, nogil=True, error_model="numpy")
def _add_crps(ordered: Floats, y: Floats, floor: float, w: float, count: int, spare: Floats, sums: Floats) -> None:
    """Add the fair CRPS of values raised to the floor; the differences of all pairs are a sum over ordered members."""
    raised, distance, pairs, members = spare[0], spare[1], spare[2], len(ordered)
    for k in range(count):
        raised[k] = y[k] if y[k] > floor else floor
    distance[:count], pairs[:count] = 0.0, 0.0
    for i in range(members):
        a, weight = ordered[i], (2.0 * i - members + 1) / max(members - 1, 1)
        for k in range(count):
            value = (a[k] if a[k] > floor else floor) - raised[k]
            distance[k] += abs(value)
            pairs[k] += weight * value
    for k in range(count):
        sums[k] += w * ((distance[k] - pairs[k]) / members)


@njit(cache=True, nogil=True, error_model="numpy")
def _add_quantile_loss(ordered: Floats, y: Floats, quantile: float, w: float, count: int, sums: Floats) -> None:
    at = quantile * (len(ordered) - 1)
    lower = int(at)
    below, above, share = ordered[lower], ordered[min(lower + 1, len(ordered) - 1)], at - lower
    for k in range(count):
        missed = y[k] - below[k] - (above[k] - below[k]) * share
        sums[k] += w * (quantile * missed if missed > 0 else (quantile - 1) * missed)


@njit(cache=True, nogil=True, error_model="numpy")
def _count(x: Floats, y: Floats, count: int, below: Counts, equal: Counts) -> None:
    """Count the members below the truth, and those equal to it."""
    below[:count], equal[:count] = 0, 0
    for i in range(len(x)):
        a = x[i]
        for k in range(count):
            below[k] += a[k] < y[k]
            equal[k] += a[k] == y[k]


@njit(cache=True, nogil=True, error_model="numpy")
def _add_reached(x: Floats, y: Floats, threshold: float, count: int, reached: Counts, counts: Counts) -> None:
    """Add the pixels by the number of members that reach the threshold, and whether the truth does."""
    reached[:count] = 0
    for i in range(len(x)):
        a = x[i]
        for k in range(count):
            reached[k] += a[k] >= threshold
    for k in range(count):
        counts[reached[k], int(y[k] >= threshold)] += 1
