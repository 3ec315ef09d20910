"""The progress of a long command in a log: one line a minute, by a clock that the test sets."""

from __future__ import annotations

import io

from rich.console import Console

from corrstore.catalog.printing.progress import LogLines, shown_progress


class Clock:
    """A clock that stands where the test puts it."""

    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_a_line_a_minute_tells_the_work_its_rate_and_the_time_left():
    clock, text = Clock(), io.StringIO()
    lines = LogLines(Console(file=text), "regression", "patches", 4800, done=1200, clock=clock)
    for second in range(1, 180):
        clock.seconds = 1000.0 + second
        lines.show(1200 + 10 * second, f"loss 0.{second}")
    assert text.getvalue().splitlines() == [
        "regression: 1,800 of 4,800 patches, 10.0 patches/s, 0:05:00 left, loss 0.60",
        "regression: 2,400 of 4,800 patches, 10.0 patches/s, 0:04:00 left, loss 0.120",
    ]


def test_slow_work_tells_seconds_each_and_nothing_is_said_before_something_is_done():
    clock, text = Clock(), io.StringIO()
    lines = LogLines(Console(file=text), "sampling", "parts", 10, clock=clock)
    clock.seconds += 100
    lines.show(0)
    clock.seconds += 100
    lines.show(1)
    assert text.getvalue() == "sampling: 1 of 10 parts, 200.0 s each, 0:30:00 left\n"


def test_a_terminal_has_a_bar_instead():
    text = io.StringIO()
    with shown_progress(Console(file=text, force_terminal=True), "regression", "patches", 8) as show:
        show(8, "loss 0.5")
    assert "8/8" in text.getvalue() and "loss 0.5" in text.getvalue()
