"""The most active sample of a store, found in the catalog's statistics."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from corrstore.catalog.pages.portrait import ChannelPortrait, Portrait, is_valid
from corrstore.catalog.queries.series import Series, SeriesReader

Activity = tuple[np.datetime64, str]
Score = Callable[[Series], NDArray[np.float64]]


def most_active(of: Portrait, read: SeriesReader) -> Activity | None:
    """The valid time with most rain or, where it never rains, with the largest residuals, and why; None without any."""
    rain = of.channel("target", "tp")
    if rain and rain.wet_share > 0:
        return _highest(of, read, rain, _wet_shares, "the one with most rain")
    for residual in of.channels["residual"]:
        if residual.counted:
            why = f"the one with the largest residual of {residual.row['channel']}"
            return _highest(of, read, residual, _mean_squares, why)
    first = next((each["start"] for each in of.coverage if each["status"] == "valid"), None)
    return None if first is None else (np.datetime64(first, "s"), "the first valid one")


def _highest(of: Portrait, read: SeriesReader, channel: ChannelPortrait, score: Score, why: str) -> Activity | None:
    (series,) = read([(of.row["registration"], channel.row["role"], channel.row["channel"])])
    if series is None:
        return None
    scores = np.where(is_valid(series.times, of.coverage), score(series), -1.0)
    return series.times[int(scores.argmax())], why


def _wet_shares(series: Series) -> NDArray[np.float64]:
    wet = int(np.searchsorted(series.edges, series.channel["wet_threshold"])) + 1
    counts = series.histograms[:, max(wet - series.first_bin, 0) :].sum(axis=1)
    return counts / np.maximum(series.moments["count"], 1)


def _mean_squares(series: Series) -> NDArray[np.float64]:
    return series.moments["m2"] / np.maximum(series.moments["count"], 1) + series.moments["mean"] ** 2
