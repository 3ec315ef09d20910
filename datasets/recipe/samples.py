"""The samples of a store: the valid times of a period, or the runs and lead times of forecasts; and their splits."""

from __future__ import annotations

from itertools import pairwise
from typing import Self

from pydantic import model_validator

from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.forecasts import MOST_SAMPLES, ForecastSpec
from corrstore.datasets.recipe.part import Duration, IntervalSpec, Part, PositiveDuration
from corrstore.datasets.recipe.periods import Interval, Times, format_time, parse_duration
from corrstore.datasets.recipe.sample_axes import SampleAxes


class PeriodSpec(IntervalSpec):
    """The valid times of the store: from start on, before end, every `frequency`."""

    frequency: PositiveDuration = "3h"

    @model_validator(mode="after")
    def _has_samples(self) -> Self:
        samples = (self.interval.end - self.interval.start) / parse_duration(self.frequency)
        if not 1 <= samples <= MOST_SAMPLES:
            raise BadInput(
                f"frequency {self.frequency} gives {samples:,.2g} samples in {self.interval}; expected 1 to"
                f" {MOST_SAMPLES:,}: give the time between two samples, such as 3h"
            )
        return self


class SplitsSpec(Part):
    """The parts of the period for train, validation and test; at least `embargo` lies between train and the others.

    Only a store whose constants come from another one may lack `train`.
    """

    train: IntervalSpec | None = None
    validation: IntervalSpec | None = None
    test: IntervalSpec | None = None
    embargo: Duration = "0h"

    @property
    def intervals(self) -> dict[str, Interval]:
        """The splits that there are, by name."""
        named = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: spec.interval for name, spec in named.items() if spec is not None}

    @model_validator(mode="after")
    def _apart(self) -> Self:
        gap = parse_duration(self.embargo)
        ordered = sorted(self.intervals.items(), key=lambda item: item[1].start)
        for (name, one), (later, two) in pairwise(ordered):
            if two.start < one.end + gap:
                raise BadInput(
                    f"splits {name} {one} and {later} {two} must lie at least the embargo of {self.embargo} apart;"
                    f" start {later} at {format_time(one.end + gap)} or later"
                )
        return self


class SamplesSpec(Part):
    """The samples: the valid times of a `period`, or the runs and lead times of a `forecast`; and their splits."""

    period: PeriodSpec | None = None
    forecast: ForecastSpec | None = None
    splits: SplitsSpec = SplitsSpec()

    @property
    def axes(self) -> SampleAxes:
        """The axes of the samples."""
        if self.forecast is not None:
            return self.forecast.axes
        assert self.period is not None
        return SampleAxes(self.period.interval.times(parse_duration(self.period.frequency)))

    @property
    def times(self) -> Times:
        """The valid time of each sample."""
        return self.axes.valid_times

    @property
    def frequency(self) -> str:
        """The step between the valid times, or between the lead times."""
        if self.forecast is not None:
            return self.forecast.leads.every
        assert self.period is not None
        return self.period.frequency

    @property
    def interval(self) -> Interval:
        """The period, or the shortest interval that holds the valid times of all forecasts."""
        if self.period is not None:
            return self.period.interval
        times = self.times
        return Interval(times.min(), times.max() + parse_duration(self.frequency))

    @model_validator(mode="after")
    def _has_samples(self) -> Self:
        if (self.period is None) == (self.forecast is None):
            raise BadInput(
                "expected one of period (valid times) and forecast (runs and lead times), got"
                f" {'neither' if self.period is None else 'both'}"
            )
        period = self.interval
        for name, split in self.splits.intervals.items():
            if not period.holds(split):
                what = "period" if self.forecast is None else "valid times of forecast,"
                raise BadInput(f"splits.{name} {split} is not inside the {what} {period}")
        return self
