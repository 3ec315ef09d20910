"""Periods of time: half-open, regular, in UTC, to the second."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from corrstore.datasets.errors import BadInput

Times = NDArray[np.datetime64]
_TIME = re.compile(r"^\d{4}(-\d\d(-\d\d([T ]\d\d(:\d\d(:\d\d(\.0+)?)?)?)?)?)?Z?$", re.ASCII)
_MOMENT = re.compile(r"^\d{4}(-\d{2}(-\d{2}([T ]\d{2}(:\d{2}(:\d{2})?)?Z?)?)?)?$", re.ASCII)
_DURATION = re.compile(r"^([0-9]{1,7})\s*(min|h|d)$")
_EARLIEST, _LATEST = np.datetime64("1700", "s"), np.datetime64("2250", "s")  # nanoseconds end soon outside
_WHOLE = ("Y", "M", "D")
_SECONDS = {"min": 60, "h": 3600, "d": 86400}


def parse_time(text: str | datetime) -> np.datetime64:
    """Return a UTC time to the minute from ISO 8601 such as 2018-01-01T03; raise BadInput for other texts."""
    written = str(text).strip()
    try:
        known = written.removesuffix("Z").replace(" ", "T") if _TIME.match(written) else "NaT"
        time: np.datetime64 = np.datetime64(known, "s")
    except ValueError:
        time = np.datetime64("NaT", "s")
    if np.isnat(time) or time != time.astype("datetime64[m]"):
        raise BadInput(
            f"{written[:40]!r} is not a UTC time of whole minutes; write it as 2018-01-01 or 2018-01-01T03:00"
        )
    if not _EARLIEST <= time < _LATEST:
        raise BadInput(
            f"{written!r} is not in the years 1700 to 2249, in which every time can be kept to the nanosecond"
        )
    return time


def parse_duration(text: str) -> np.timedelta64:
    """Return a duration in seconds from text such as 30min, 3h or 5d; raise BadInput for other texts."""
    match = _DURATION.match(str(text))
    if match is None:
        raise BadInput(f"{str(text)[:40]!r} is not a duration of at most 7 digits; write it as 30min, 3h or 5d")
    return np.timedelta64(int(match.group(1)) * _SECONDS[match.group(2)], "s")


def format_time(time: np.datetime64) -> str:
    """The time as 2018-01-01T03:00Z."""
    return f"{np.datetime_as_string(time, 'm')}Z"


def time_key(time: np.datetime64) -> str:
    """The time as a file name: 20180101T0300."""
    return str(np.datetime_as_string(time, "m")).replace("-", "").replace(":", "")


@dataclass(frozen=True)
class Interval:
    """The half-open interval [start, end)."""

    start: np.datetime64
    end: np.datetime64

    def __post_init__(self) -> None:
        if not self.start < self.end:
            raise BadInput(
                f"a period must end after it starts: [{format_time(self.start)}, {format_time(self.end)}) is empty"
            )

    def __contains__(self, time: np.datetime64) -> bool:
        return bool(self.start <= time < self.end)

    def holds(self, other: Interval) -> bool:
        """Tell whether the other interval lies inside this one."""
        return bool(self.start <= other.start and other.end <= self.end)

    def mask(self, times: Times) -> NDArray[np.bool_]:
        """Return the mask of the times that lie inside."""
        return (times >= self.start) & (times < self.end)

    def times(self, frequency: np.timedelta64) -> Times:
        """The regular times from `start` on, before `end`."""
        return np.arange(self.start, self.end, frequency).astype("datetime64[s]")

    def __str__(self) -> str:
        return f"[{format_time(self.start)}, {format_time(self.end)})"


def parse_period(text: str | Interval) -> Interval:
    """Return the period that a text such as 2019-06/2019-09, 2019 or 2019-06-01T06/2019-06-02 stands for, in UTC.

    A year, month or day is meant whole, also as the end: 2019-06/2019-09 ends before 2019-10-01. A time of day as the
    end is where the period ends. Raises BadInput for other texts, and for a time of day alone.
    """
    if isinstance(text, Interval):
        return text
    first, slash, last = str(text).partition("/")
    start, end = _moment(first, text), _moment(last if slash else first, text)
    unit = np.datetime_data(end.dtype)[0]
    if unit in _WHOLE:
        end = end + 1
    elif not slash:
        later = start + np.timedelta64(1, "D")
        raise BadInput(f"period {text!r} is one moment; write a start and an end, such as {first}/{later}")
    if end <= start:
        raise BadInput(f"period {text!r} does not end after it starts; write the earlier date first")
    return Interval(start.astype("datetime64[s]"), end.astype("datetime64[s]"))


def _moment(part: str, text: object) -> np.datetime64:
    part = part.strip()
    try:
        if _MOMENT.match(part):
            return np.datetime64(part.removesuffix("Z").replace(" ", "T"))
    except ValueError:
        pass  # a 13th month and the like: said below
    raise BadInput(
        f"period {text!r}: {part!r} is no date; write 2019-06/2019-09, 2019-06-01/2019-06-30 or"
        " 2019-06-01T00/2019-06-02T12 (UTC)"
    )


def runs(times: Times, frequency: np.timedelta64) -> list[Interval]:
    """The ascending times as maximal half-open intervals, a gap wherever two are further apart than `frequency`."""
    if len(times) == 0:
        return []
    breaks = np.flatnonzero(np.diff(times) > frequency) + 1
    return [Interval(part[0], part[-1] + frequency) for part in np.split(times, breaks)]
