"""The most active sample of a store, found in the catalog's statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corrstore.catalog.pages.store_summary import ChannelSummary, StoreSummary, valid_mask
from corrstore.catalog.printing import wording
from corrstore.catalog.printing.wording import share, short_number, units
from corrstore.catalog.queries.series import Series, SeriesReader
from corrstore.datasets.recipe.sample_axes import format_lead

Score = Callable[[Series], NDArray[np.float64]]


class ActiveSample(NamedTuple):
    """The valid time of a sample, the init time of its run (NaT of no run), and why it is shown."""

    time: np.datetime64
    init_time: np.datetime64
    why: str

    @property
    def label(self) -> str:
        """The sample in words: its valid time, or its run and lead time."""
        if np.isnat(self.init_time):
            return wording.time(self.time)
        return f"{wording.time(self.init_time)} + {format_lead(self.time - self.init_time)}"


def most_active(summary: StoreSummary, read: SeriesReader) -> ActiveSample | None:
    """Return the valid sample whose target is wettest or, where none is wet, with the largest residuals of a channel.

    Wet is a number from the variable's `wet_threshold` up. None where no sample is valid.
    """
    for target in summary.channels["target"]:
        if target.wet_share > 0:
            time, run, wet = _highest(summary, read, target, _wet_shares)
            limit = f"{short_number(target.row['wet_threshold'])} {units(target.row['units'])}"
            why = f"the one with most {target.what}: {share(wet)} of the target has {limit} or more"
            return ActiveSample(time, run, why)
    for residual in summary.channels["residual"]:
        if residual.counted:
            time, run, _ = _highest(summary, read, residual, _mean_squares)
            return ActiveSample(time, run, f"the one with the largest residual of {residual.row['channel']}")
    first = next((each for each in summary.coverage if each["status"] == "valid"), None)
    if first is None:
        return None
    return ActiveSample(
        np.datetime64(first["start"], "s"), np.datetime64(first["init_time"], "s"), "the first valid one"
    )


def _highest(
    summary: StoreSummary, read: SeriesReader, channel: ChannelSummary, score: Score
) -> tuple[np.datetime64, np.datetime64, float]:
    (series,) = read([(summary.row["registration"], channel.row["role"], channel.row["channel"])])
    if series is None:
        raise ValueError(f"{channel.row['channel']} was counted, and has no statistics")
    scores = np.where(valid_mask(series, summary.coverage), score(series), -1.0)
    place = int(scores.argmax())
    return series.times[place], series.inits[place], float(scores.max())


def _wet_shares(series: Series) -> NDArray[np.float64]:
    wet = int(np.searchsorted(series.edges, series.channel["wet_threshold"])) + 1
    counts = series.histograms[:, max(wet - series.first_bin, 0) :].sum(axis=1)
    return counts / np.maximum(series.moments["count"], 1)


def _mean_squares(series: Series) -> NDArray[np.float64]:
    return series.moments["m2"] / np.maximum(series.moments["count"], 1) + series.moments["mean"] ** 2
