"""The fractions skill score: events forecast in the right neighbourhood, if not at the right pixel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

WIDTHS = (1, 5, 13, 31)
"""Widths of the square neighbourhoods, in pixels; odd, so that they have a centre."""


def fraction_errors(
    ensemble: NDArray[np.floating], truth: NDArray[np.floating], threshold: float, widths: Sequence[int] = WIDTHS
) -> NDArray[np.float64]:
    """Return the two terms of the fractions skill score [width, 2]; the score is 1 - first / second.

    `ensemble` (member, lat, lon), `truth` (lat, lon). The first is the mean squared difference of the fractions of
    pixels at or above the threshold in the neighbourhoods of forecast and truth, the second the most that it can be
    (Roberts and Lean 2008, Mon. Wea. Rev. 136, 78, equations 5 to 7). An ensemble's fraction is the mean of its
    members' (the neighbourhood ensemble probability of Schwartz et al. 2010, Wea. Forecasting 25, 263). Beyond the
    domain and where the truth is missing there is no event. Both may be summed over samples before they are divided.
    """
    present = ~np.isnan(truth)
    forecast = np.mean((ensemble >= threshold) & present, axis=0, dtype=np.float64)
    observed = (truth >= threshold).astype(np.float64)
    errors = []
    for width in widths:
        ours, theirs = (uniform_filter(events, width, mode="constant") for events in (forecast, observed))
        errors.append((np.mean((ours - theirs) ** 2), np.mean(ours**2) + np.mean(theirs**2)))
    return np.array(errors)
