"""The input's shift by lead time, as lines with errors that a page draws in its own colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator
from numpy.typing import NDArray

from corrstore.catalog.drawing.charts import HEIGHT, WIDTH
from corrstore.catalog.drawing.pictures import CHARACTERS, Tick, legible
from corrstore.catalog.printing.wording import number_beside, short_number

Floats = NDArray[np.float64]

_MARGIN = 0.08  # of an axis, at both ends
_APART = 16  # between the bars of two lines at one lead
_ROOM = 12  # per cent of an axis that the label of a tick needs
_FAR = 4.0  # ratio of the ends of an axis from which on 1, 2 and 5 are the round numbers


class Line(NamedTuple):
    """One measure by lead: what it is, the colour's role, its path, its points, and its last number and error."""

    name: str
    role: str
    path: str
    points: str
    last: float
    error: float


class LeadChart(NamedTuple):
    """Lines over an axis of lead times, and the path of what they would be without a shift."""

    title: str
    lines: list[Line]
    reference: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    alt: str


def shift_charts(channel: str, rows: Sequence[dict[str, Any]]) -> list[LeadChart]:
    """Return the charts of a channel's shift, from its rows of the table of the input's shift: mean, and ratios."""
    ordered = sorted(rows, key=lambda row: row["lead_seconds"] or 0)
    ratios = {"std_ratio": ("std", "input"), "power_ratio": ("small scales", "target")}
    return [
        _chart(channel, "Mean shift", ordered, {"mean_shift": ("mean", "input")}, 0.0),
        _chart(channel, "Ratios", ordered, ratios, 1.0, logarithmic=True),
    ]


def _chart(
    channel: str,
    title: str,
    rows: list[dict[str, Any]],
    measures: dict[str, tuple[str, str]],
    reference: float,
    logarithmic: bool = False,
) -> LeadChart:
    leads = np.array([(row["lead_seconds"] or 0) / 3600 for row in rows])
    known = {key: (_numbers(rows, key, logarithmic), _numbers(rows, f"{key}_error")) for key in measures}
    known = {key: pair for key, pair in known.items() if np.isfinite(pair[0]).any()}
    across = _Axis.around(leads, False)
    spans = [end for values, errors in known.values() for end in _ends(values, errors, logarithmic)]
    up = _Axis.around(np.concatenate([[reference], *spans]), logarithmic)
    lines: list[Line] = []
    texts = []
    for key, (values, errors) in known.items():
        last = np.flatnonzero(np.isfinite(values))[-1]
        x = WIDTH * across.at(leads) + _APART * (len(lines) - (len(known) - 1) / 2)
        low, high = (HEIGHT * (1 - up.at(end)) for end in _ends(values, errors, logarithmic))
        drawn = _path(x, HEIGHT * (1 - up.at(values)), low, high)
        lines.append(Line(*measures[key], *drawn, float(values[last]), float(errors[last])))
        texts.append(f"{lines[-1].name} {number_beside(*lines[-1][-2:], 2)} at {leads[last]:g} h")
    level = round(HEIGHT * (1 - float(up.at(np.array([reference]))[0])))
    x_ticks = legible(across.ticks(leads if leads.size < 6 else across.round_numbers()), CHARACTERS)
    alt = f"{title} of the input {channel} by lead time: {'; '.join(texts) or 'not known'}"
    return LeadChart(title, lines, f"M0 {level}H{WIDTH}", x_ticks, up.ticks_beside(reference), alt)


def _numbers(rows: list[dict[str, Any]], key: str, above_zero: bool = False) -> Floats:
    """Return the numbers of a column, NaN where they are not known or not drawn: none but those above zero."""
    numbers = np.array([math.nan if row[key] is None else row[key] for row in rows])
    return np.where(numbers > 0, numbers, math.nan) if above_zero else numbers


def _ends(values: Floats, errors: Floats, logarithmic: bool) -> tuple[Floats, Floats]:
    """Return the ends of bars of one error to either side, which a logarithmic axis draws of one length."""
    errors = np.nan_to_num(errors)
    if not logarithmic:
        return values - errors, values + errors
    factors = np.exp(errors / values)
    return values / factors, values * factors


class _Axis(NamedTuple):
    low: float
    high: float
    logarithmic: bool

    @classmethod
    def around(cls, values: Floats, logarithmic: bool) -> _Axis:
        along = np.log(values) if logarithmic else values
        low, high = float(np.nanmin(along)), float(np.nanmax(along))
        margin = _MARGIN * (high - low) or 1.0
        low, high = low - margin, high + margin
        return cls(math.exp(low), math.exp(high), True) if logarithmic else cls(low, high, False)

    def at(self, values: Floats) -> Floats:
        """Return the places of the values between the ends, 0 to 1."""
        ends, along = np.array([self.low, self.high]), values
        if self.logarithmic:
            ends, along = np.log(ends), np.log(values)
        return (along - ends[0]) / (ends[1] - ends[0])

    def round_numbers(self) -> Floats:
        """Return about four round numbers."""
        if self.logarithmic and self.high > _FAR * self.low:
            subs = (1.0, 2.0, 5.0) if self.high < _FAR**3 * self.low else (1.0,)
            return np.asarray(LogLocator(subs=subs).tick_values(self.low, self.high))
        return np.asarray(MaxNLocator(4).tick_values(self.low, self.high))

    def ticks(self, values: Floats) -> list[Tick]:
        values = values[(values >= self.low) & (values <= self.high)]
        places = 100 * self.at(values)
        return [Tick(float(at), short_number(round(float(each), 9))) for at, each in zip(places, values, strict=True)]

    def ticks_beside(self, reference: float) -> list[Tick]:
        """Return the tick of the reference, and those of the round numbers that leave room for its label."""
        (first,) = self.ticks(np.array([reference]))
        others = [tick for tick in self.ticks(self.round_numbers()) if abs(tick.at - first.at) > _ROOM]
        return sorted([first, *others])


def _path(x: Floats, y: Floats, low: Floats, high: Floats) -> tuple[str, str]:
    """Return the path through the known numbers, with a bar from `low` to `high` at each, and that of their points."""
    points, bars = [], []
    for across, here, bottom, top in zip(x, y, low, high, strict=True):
        if np.isfinite(here):
            points.append(f"{across:.0f} {here:.0f}")
            bars.append(f"M{across:.0f} {bottom:.0f}V{top:.0f}")
    return f"M{'L'.join(points)}{''.join(bars)}", "".join(f"M{each}h0" for each in points)
