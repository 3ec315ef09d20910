"""Accumulations: the window of an amount, by the rule of its field."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import AfterValidator

from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.periods import Times, parse_duration

_NAMED = ("encoded", "hour", "day", "run", "step")


def _checked(value: str) -> str:
    if value not in _NAMED:
        try:
            parse_duration(value)
        except BadInput:
            raise BadInput(f"expected {', '.join(_NAMED)} or a length such as 6h, got {value!r}") from None
    return value


Accumulates = Annotated[str, AfterValidator(_checked)]
"""The window of an amount: a name, or the length of the window that ends at the valid time."""


def window_start(accumulates: str, valid_time: Times, init_time: Times, previous: Times | None = None) -> Times:
    """Return the start of each window that ends at the valid times; NaT where there is no such window.

    `init_time` is the start of the run, NaT of a field that belongs to none; no window begins before it, but that of
    a `day` begins with the run where the run began during that day. `previous` is the valid time of the run's lead
    before, which `step` needs.
    """
    if accumulates == "run":
        start = init_time
    elif accumulates == "step" and previous is not None:
        start = previous
    elif accumulates == "day":
        midnight = (valid_time - np.timedelta64(1, "s")).astype("M8[D]").astype("M8[s]")
        start = np.where(init_time > midnight, init_time, midnight)
    else:
        start = valid_time - parse_duration("1h" if accumulates == "hour" else accumulates)
    return np.where((start < init_time) | (start >= valid_time), np.datetime64("NaT", "s"), start)
