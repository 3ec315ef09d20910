"""Groups of samples that are scored together, by region, lead and part of the period."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corrstore.datasets.recipe.periods import Times
from corrstore.datasets.recipe.sample_axes import format_lead

ALL = "all"
SEASONS = ("DJF", "MAM", "JJA", "SON")


class Group(NamedTuple):
    """Samples that are scored together, in a region."""

    region: str
    lead: str
    period: str
    samples: NDArray[np.bool_]


def groups(times: Times, inits: Times, regions: Iterable[str]) -> list[Group]:
    """Return all samples, then each lead, then each season, month and hour of the day, in every region.

    `times` are the valid times of the samples, `inits` their init times, NaT of samples without runs.
    """
    everything = np.ones(len(times), bool)
    leads = {ALL: everything}
    if not np.isnat(inits).all():
        for lead in np.unique(times - inits):
            leads[format_lead(lead)] = times - inits == lead
    months, hours = times.astype("datetime64[M]").astype(int) % 12, times.astype("datetime64[h]")
    labels = [
        np.array(SEASONS)[(months + 1) % 12 // 3],
        np.array([f"month {month + 1:02d}" for month in months]),
        np.array([f"{hour:02d} UTC" for hour in hours.astype(int) % 24]),
    ]
    periods = {ALL: everything}
    for each in labels:
        names = np.unique(each)
        periods |= {str(name): each == name for name in names if len(names) > 1}
    return [
        Group(region, lead, period, of_lead & of_period)
        for region in regions
        for lead, of_lead in leads.items()
        for period, of_period in periods.items()
        if (of_lead & of_period).any()
    ]
