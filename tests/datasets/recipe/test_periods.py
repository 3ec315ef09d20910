"""Periods read from short texts."""

from __future__ import annotations

import pytest

from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.periods import Interval, parse_period, parse_time


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2019-06/2019-09", "2019-06-01", "2019-10-01"),
        ("2019-12/2020-02", "2019-12-01", "2020-03-01"),
        ("2019", "2019-01-01", "2020-01-01"),
        ("2019/2020", "2019-01-01", "2021-01-01"),
        ("2020-02", "2020-02-01", "2020-03-01"),
        ("2019-06-30", "2019-06-30", "2019-07-01"),
        ("2019-06-01/2019-06-30", "2019-06-01", "2019-07-01"),
        ("2019-06-01T06/2019-06-02T12:30", "2019-06-01T06", "2019-06-02T12:30"),
        ("2019-06-01T06Z/2019-06", "2019-06-01T06", "2019-07-01"),
        ("2019-06-01 06:00/2019-06-01 09:00", "2019-06-01T06", "2019-06-01T09"),
    ],
)
def test_short_texts_are_read_as_periods(text, start, end):
    assert parse_period(text) == Interval(parse_time(start), parse_time(end))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "today",
        "NaT",
        "2019-13",
        "2019-6",
        "2019-02-30",
        "2019-06-01T06",
        "2019/",
        "a/b",
        "2019/2020/2021",
    ],
)
def test_other_texts_are_refused_as_periods(text):
    with pytest.raises(BadInput, match="period"):
        parse_period(text)


def test_an_end_before_the_start_is_refused_with_both():
    with pytest.raises(BadInput, match="'2019-09/2019-06' does not end after it starts"):
        parse_period("2019-09/2019-06")


def test_one_moment_is_answered_with_a_period_that_begins_there():
    with pytest.raises(BadInput, match="such as 2020-08-28T00/2020-08-29T00"):
        parse_period("2020-08-28T00")
