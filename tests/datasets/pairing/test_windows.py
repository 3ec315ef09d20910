"""Sums and differences of accumulations."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from corrstore.datasets.pairing.windows import Accumulations

Interval = tuple[int, int]


def amount(intervals: list[tuple[int, Interval]], rate: list[int]) -> int:
    """The signed sum of what the intervals hold of hourly amounts."""
    return sum(sign * sum(rate[start:end]) for sign, (start, end) in intervals)


def test_hourly_amounts_chain():
    hours = Accumulations([(i, i + 1) for i in range(6)])
    assert hours.window(2, 5) == [(1, (2, 3)), (1, (3, 4)), (1, (4, 5))]


def test_run_totals_are_differenced():
    run = Accumulations([(0, 3), (0, 6), (0, 9)])
    assert run.window(3, 6) == [(-1, (0, 3)), (1, (0, 6))]


def test_the_first_total_of_a_run_is_the_window():
    assert Accumulations([(0, 3), (0, 6)]).window(0, 3) == [(1, (0, 3))]


def test_no_run_is_subtracted_from_another():
    """Run 0 lacks its total at 12; run 12 could fill it in only by a difference of forecasts."""
    runs = Accumulations([(0, 3), (0, 6), (0, 9), (0, 15), (12, 15), (12, 18)])
    assert runs.window(9, 12) is None
    assert runs.window(9, 15) == [(-1, (0, 9)), (1, (0, 15))]


def test_a_missing_hour_makes_the_window_missing():
    hours = Accumulations([(i, i + 1) for i in range(6) if i != 3])
    assert hours.window(2, 5) is None
    assert hours.window(0, 3) is not None


@given(
    rate=st.lists(st.integers(0, 9), min_size=12, max_size=12),
    intervals=st.lists(st.tuples(st.integers(0, 11), st.integers(1, 12)).filter(lambda i: i[0] < i[1]), max_size=12),
    window=st.tuples(st.integers(0, 11), st.integers(1, 12)).filter(lambda i: i[0] < i[1]),
)
def test_what_is_found_is_the_amount_in_the_window(rate, intervals, window):
    found = Accumulations(intervals).window(*window)
    if found is not None:
        assert amount(found, rate) == sum(rate[window[0] : window[1]])


@given(
    cuts=st.sets(st.integers(1, 11), max_size=8),
    window=st.tuples(st.integers(0, 11), st.integers(1, 12)).filter(lambda i: i[0] < i[1]),
)
def test_a_window_whose_ends_are_joined_is_found(cuts, window):
    """Run totals from 0 to each cut: any window between two of their ends can be told, no other."""
    ends = {0, *cuts}
    found = Accumulations([(0, cut) for cut in cuts]).window(*window)
    assert (found is not None) == (set(window) <= ends)
