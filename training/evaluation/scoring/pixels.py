"""The sums of a tally that need every pixel once: errors, ranks, quantiles, events, and distances of whole fields."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corrstore.training.evaluation.scoring.blocks import BLOCK, add_classes, add_pixels, spread_pixels

Floats = NDArray[np.float64]
Members = NDArray[np.float32]


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
    ensemble: Members,
    truth: Floats,
    row_weights: Floats,
    lots: Floats,
    thresholds: Floats,
    quantiles: Floats,
    probabilities: int,
    valid_range: tuple[float, float],
    ceiling: Members | None,
) -> tuple[PixelSums, Floats]:
    """Return the sums of an ensemble (member, lat, lon) against the truth (lat, lon), NaN where missing.

    Beside them is the weight of the pixels by how many members are below the truth, and how many equal to it [members
    + 1, members + 1]. `lots` (lat, lon), 0 to 1, tell the rank of a truth that equals some members; `probabilities` is
    the number of bins of reliability. CRPS are fair: mean |x_i - y| - sum |x_i - x_j| / (2 m (m - 1)) estimates without
    bias the CRPS of what the m members are drawn from (Ferro 2014, Q. J. R. Meteorol. Soc. 140, 1917); of one member it
    is the absolute error.

    A sum is that of BLOCK sums, each of every so manieth pixel, so that large domains lose no digits.
    """
    members, events = len(ensemble), len(thresholds)
    limit = np.empty((0, *truth.shape), np.float32) if ceiling is None else ceiling
    shapes = (4,), (), (events,), (len(quantiles),), (members + 1, members + 1)
    sums = [np.zeros((*shape, BLOCK)) for shape in shapes]
    standing, ranks = np.zeros((members + 1, members + 1)), np.zeros(members + 1)
    reached, beyond = np.zeros((events, members + 1, 2)), np.zeros(2)
    lowest, highest = map(float, valid_range)
    add_pixels(
        *(ensemble, truth, row_weights, lots, thresholds, quantiles, lowest, highest, limit),
        *(*sums, standing, ranks, reached, beyond),
    )
    errors, crps, tail_crps, quantile_loss, squares = (each.sum(axis=-1) for each in sums)
    weight = standing.sum()
    hits, brier, reliability = _event_sums(reached, probabilities)
    found = PixelSums(
        weight=weight,
        error=errors[0],
        absolute_error=errors[1],
        squared_error=errors[2],
        crps=crps,
        variance=errors[3] if members > 1 else weight * np.nan,
        outside=beyond[0] / members,
        above=np.asarray(np.nan if ceiling is None else beyond[1] / members),
        ranks=ranks,
        quantile_loss=quantile_loss,
        events=hits,
        brier=brier,
        reliability=reliability,
        tail_crps=tail_crps,
        energy=np.asarray(_fair_energy(squares, float(weight))),
    )
    return found, standing


def spread_classes(ensemble: Members, truth: Floats, row_weights: Floats, classes: int) -> Floats:
    """Return the sums [3, class] of the pixels in classes of equally many, by the spread of every second member.

    They are of the other members: the weight, and what it multiplies, their variance and the squared error of their
    mean. Zero where there are fewer pixels with a truth than classes, NaN of fewer than four members.
    """
    count = np.count_nonzero(~np.isnan(truth))
    if count < classes or len(ensemble) < 4:
        return np.full((3, classes), 0.0 if count < classes else np.nan)
    keys, sums, found = np.empty(count, np.int64), np.empty((count, 3)), np.zeros((3, classes))
    spread_pixels(ensemble, truth, row_weights, keys, sums)
    starts = np.linspace(0, count, classes, endpoint=False).astype(np.intp)
    add_classes(keys, np.sort(keys)[starts], sums, found)
    return found


def _event_sums(weights: Floats, probabilities: int) -> tuple[Floats, Floats, Floats]:
    """The sums of events, Brier scores and reliability, of the weights [threshold, members + 1, 2].

    The second axis is the number of members that reach the threshold, the third whether the truth does.
    """
    members = weights.shape[1] - 1
    share = np.arange(members + 1) / members
    missed, met = weights[..., 0], weights[..., 1]
    events = np.stack([met @ share, missed @ share, met @ (1 - share), missed @ (1 - share)], axis=1)
    bins = (share * (probabilities - 1) + 0.5).astype(np.intp)
    of_bin = (bins == np.arange(probabilities)[:, None]).astype(np.float64)
    every = missed + met
    reliability = np.stack([each @ of_bin.T for each in (every, every * share, met)], axis=2)
    return events, missed @ share**2 + met @ (1 - share) ** 2, reliability


def _fair_energy(squares: Floats, weight: float) -> float:
    """The fair energy score, of the weighted squared distances of members, and of the truth, the last row."""
    if not weight:
        return 0.0
    members = len(squares) - 1
    norms = np.sqrt(np.tril(squares, -1) / weight)
    pairs = norms[:-1].sum() / (members * (members - 1)) if members > 1 else 0.0
    return float(norms[-1].sum() / members - pairs)
