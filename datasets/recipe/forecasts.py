"""The runs and lead times of a store of forecasts."""

from __future__ import annotations

from typing import Annotated, Self

import numpy as np
from pydantic import Discriminator, Field, Strict, Tag, model_validator

from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.part import Duration, IntervalSpec, Part, PositiveDuration, Time
from corrstore.datasets.recipe.periods import Times, format_time, parse_duration, parse_time
from corrstore.datasets.recipe.sample_axes import SampleAxes, format_lead

MOST_SAMPLES = 1_000_000
LONGEST_LEAD = np.timedelta64(10 * 366 * 86400, "s")
"""The longest lead time: of a forecast of ten years. Valid times can then be kept to the nanosecond."""
Hour = Annotated[int, Field(ge=0, le=23)]


class InitsSpec(IntervalSpec):
    """The runs that start at these hours of each day, UTC, from start on, before end."""

    hours: Annotated[list[Annotated[Hour, Strict()]], Field(min_length=1, max_length=24, examples=[[0, 12]])]

    @model_validator(mode="after")
    def _not_too_many(self) -> Self:
        interval = self.interval
        _refuse_many(int((interval.end - interval.start) / np.timedelta64(1, "D")) * len(self.hours), "inits")
        return self

    @property
    def times(self) -> Times:
        """The init times, ascending."""
        interval = self.interval
        day, hour = np.timedelta64(86400, "s"), np.timedelta64(3600, "s")
        midnights: Times = np.arange(interval.start.astype("datetime64[D]").astype("datetime64[s]"), interval.end, day)
        times = np.concatenate([midnights + number * hour for number in sorted(set(self.hours))])
        return np.sort(times[interval.mask(times)])


def _kind_of_last(value: object) -> str:
    return "by_hour" if isinstance(value, dict) else "lead"


def _kind_of_inits(value: object) -> str:
    return "schedule" if isinstance(value, dict | InitsSpec) else "list"


LastLead = Annotated[
    Annotated[dict[Hour, Duration], Tag("by_hour"), Field(min_length=1)] | Annotated[Duration, Tag("lead")],
    Discriminator(_kind_of_last),
]


class LeadsSpec(Part):
    """The lead times: first, first + every, ... up to and including last.

    `last` may depend on the hour at which a run starts; later leads are then not due.
    """

    first: Duration
    last: LastLead = Field(examples=["72h", {0: "72h", 12: "36h"}])
    every: PositiveDuration = "3h"

    @property
    def longest(self) -> np.timedelta64:
        """The longest lead of any run."""
        ends = self.last.values() if isinstance(self.last, dict) else [self.last]
        return max(parse_duration(end) for end in ends)

    @property
    def times(self) -> np.ndarray[tuple[int], np.dtype[np.timedelta64]]:
        """The lead times, ascending."""
        every = parse_duration(self.every)
        return np.arange(parse_duration(self.first), self.longest + every, every)

    def last_of(self, init: np.datetime64) -> np.timedelta64:
        """Return the last lead time of a run; raise BadInput where `last` does not name its hour."""
        if not isinstance(self.last, dict):
            return parse_duration(self.last)
        hour = int((init - init.astype("datetime64[D]")) / np.timedelta64(3600, "s"))
        if hour not in self.last:
            raise BadInput(f"leads.last names the runs of {sorted(self.last)} UTC, but there are runs of {hour} UTC")
        return parse_duration(self.last[hour])

    @model_validator(mode="after")
    def _whole(self) -> Self:
        first, every = parse_duration(self.first), parse_duration(self.every)
        if self.longest > LONGEST_LEAD:
            raise BadInput(f"leads.last is {format_lead(self.longest)}, expected at most {format_lead(LONGEST_LEAD)}")
        _refuse_many(int((self.longest - first) / every), "leads")
        for end in self.last.values() if isinstance(self.last, dict) else [self.last]:
            reach = parse_duration(end) - first
            if reach < np.timedelta64(0, "s") or reach % every:
                raise BadInput(f"leads.last {end} is not leads.first {self.first} and a multiple of every {self.every}")
        return self


class ForecastSpec(Part):
    """The samples of a store of forecasts: each run of `inits` at each of its `leads`."""

    inits: Annotated[
        Annotated[InitsSpec, Tag("schedule")] | Annotated[list[Time], Tag("list")], Discriminator(_kind_of_inits)
    ]
    leads: LeadsSpec

    @property
    def init_times(self) -> Times:
        """The init times, ascending."""
        if isinstance(self.inits, InitsSpec):
            return self.inits.times
        return np.array([parse_time(time) for time in self.inits], "datetime64[s]")

    @property
    def axes(self) -> SampleAxes:
        """The axes of the samples."""
        inits, leads = self.init_times, self.leads.times
        schedule = leads <= np.array([self.leads.last_of(init) for init in inits])[:, np.newaxis]
        return SampleAxes.of_forecasts(inits, leads, schedule)

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        times = self.init_times
        if len(times) == 0:
            given = self.inits.model_dump() if isinstance(self.inits, InitsSpec) else []
            raise BadInput(f"inits: expected at least one run, got none in {given}")
        if (wrong := np.flatnonzero(np.diff(times) <= np.timedelta64(0, "s"))).size:
            before, after = (format_time(time) for time in times[wrong[0] :][:2])
            raise BadInput(f"inits: {after} follows {before}; write each run once, the earliest first")
        _refuse_many(len(times) * len(self.leads.times), "inits and leads")
        _ = self.axes
        return self


def _refuse_many(samples: int, key: str) -> None:
    """Raise BadInput where there are more samples than a store may have."""
    if samples > MOST_SAMPLES:
        raise BadInput(
            f"{key}: gives {samples:,} samples, expected at most {MOST_SAMPLES:,}; make it shorter or coarser"
        )
