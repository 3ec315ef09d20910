"""The axes of a store's samples: valid times, or the init times of runs and their lead times."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from corrstore.datasets.recipe.periods import Times, format_time, time_key

Durations = NDArray[np.timedelta64]
NO_RUN = np.datetime64("NaT", "s")
"""The init time of a sample that is of no run."""


def sample_key(valid_time: np.datetime64, init_time: np.datetime64 = NO_RUN) -> str:
    """Return the name of a sample in file names: 20180101T0300 or, of a run, 20180101T0000_003h00."""
    if np.isnat(init_time):
        return time_key(valid_time)
    hours, minutes = divmod(_minutes(valid_time - init_time), 60)
    return f"{time_key(init_time)}_{hours:03d}h{minutes:02d}"


def sample_label(valid_time: np.datetime64, init_time: np.datetime64 = NO_RUN) -> str:
    """Return the name of a sample in messages: its valid time or, of a run, its init time and lead time."""
    if np.isnat(init_time):
        return format_time(valid_time)
    return f"{format_time(init_time)} + {format_lead(valid_time - init_time)}"


def format_lead(lead: np.timedelta64) -> str:
    """Return a lead time as 3h, 90min or 0h."""
    minutes = _minutes(lead)
    return f"{minutes}min" if minutes % 60 else f"{minutes // 60}h"


def _minutes(duration: np.timedelta64) -> int:
    return int(duration.astype("timedelta64[m]").astype(np.int64))


@dataclass(frozen=True, eq=False)
class SampleAxes:
    """The samples of a store: along valid times, or along init times and lead times.

    `due` [init, lead] tells which leads each run has by its schedule; a sample that is not due has no place in the
    ledger and no shard. Samples are counted along the last axis first: index = init * number of leads + lead.
    """

    valid_times: Times
    inits: Times | None = None
    leads: Durations | None = None
    schedule: NDArray[np.bool_] | None = None

    @classmethod
    def of_forecasts(cls, inits: Times, leads: Durations, schedule: NDArray[np.bool_]) -> SampleAxes:
        """Return the axes of the runs that start at `inits`, with the leads that their `schedule` has."""
        return cls((inits[:, np.newaxis] + leads).ravel(), inits, leads, schedule)

    def __len__(self) -> int:
        return len(self.valid_times)

    @property
    def names(self) -> tuple[str, ...]:
        """The dimensions' names."""
        return ("time",) if self.inits is None else ("init_time", "lead_time")

    @property
    def shape(self) -> tuple[int, ...]:
        """The dimensions' sizes."""
        if self.inits is None or self.leads is None:
            return (len(self.valid_times),)
        return len(self.inits), len(self.leads)

    @cached_property
    def init_times(self) -> Times:
        """The init time of each sample's run; NaT everywhere along valid times."""
        if self.inits is None or self.leads is None:
            return np.full(len(self.valid_times), NO_RUN)
        return np.repeat(self.inits, len(self.leads))

    @cached_property
    def lead_times(self) -> Durations:
        """The lead time of each sample; NaT everywhere along valid times."""
        return self.valid_times - self.init_times

    @cached_property
    def due(self) -> NDArray[np.bool_]:
        """True for each sample that its run has by schedule; along valid times, all of them."""
        return np.ones(len(self.valid_times), bool) if self.schedule is None else self.schedule.ravel()

    @property
    def due_samples(self) -> list[int]:
        """The indices of the samples that are due."""
        return [int(index) for index in np.flatnonzero(self.due)]

    def position(self, index: int) -> tuple[int, ...]:
        """Return the place of a sample along the axes."""
        return (index,) if self.leads is None else divmod(index, len(self.leads))

    def label(self, index: int) -> str:
        """Return the name of a sample in messages."""
        return sample_label(self.valid_times[index], self.init_times[index])
