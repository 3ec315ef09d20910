"""The input's shift by lead time, as lines with errors that a page draws in its own colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from corrstore.catalog.drawing.charts import HEIGHT, WIDTH
from corrstore.catalog.drawing.pictures import CHARACTERS, Tick, legible
from corrstore.catalog.printing.wording import number, short_number

_MARGIN = 0.08  # of an axis, at both ends


class Line(NamedTuple):
    """One measure by lead: what it is, the colour's role, its path, and its last number and error."""

    name: str
    role: str
    path: str
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
    return [
        _chart(channel, "Mean shift", ordered, {"mean_shift": ("mean", "input")}, 0.0),
        _chart(
            channel, "Ratios", ordered, {"std_ratio": ("std", "input"), "power_ratio": ("small scales", "target")}, 1
        ),
    ]


def _chart(
    channel: str, title: str, rows: list[dict[str, Any]], measures: dict[str, tuple[str, str]], reference: float
) -> LeadChart:
    leads = np.array([(row["lead_seconds"] or 0) / 3600 for row in rows])
    known = {key: (_numbers(rows, key), _numbers(rows, f"{key}_error")) for key in measures}
    known = {key: pair for key, pair in known.items() if np.isfinite(pair[0]).any()}
    spans = [values + side * np.nan_to_num(errors) for values, errors in known.values() for side in (-1, 1)]
    across = _Axis.around(leads)
    up = _Axis.around(np.concatenate([[reference], *spans]))
    lines = []
    for key, (values, errors) in known.items():
        last = np.flatnonzero(np.isfinite(values))[-1]
        path = _path(across.at(leads), up, values, errors)
        lines.append(Line(*measures[key], path, float(values[last]), float(errors[last])))
    texts = [f"{line.name} {number(line.last, 3)} at {leads[-1]:g} h" for line in lines]
    level = round(HEIGHT * (1 - float(up.at(np.array([reference]))[0])))
    x_ticks = legible(across.ticks(leads if leads.size < 6 else None), CHARACTERS)
    alt = f"{title} of the input {channel} by lead time: {'; '.join(texts) or 'not known'}"
    return LeadChart(title, lines, f"M0 {level}H{WIDTH}", x_ticks, up.ticks(None), alt)


def _numbers(rows: list[dict[str, Any]], key: str) -> NDArray[np.float64]:
    return np.array([math.nan if row[key] is None else row[key] for row in rows])


class _Axis(NamedTuple):
    low: float
    high: float

    @classmethod
    def around(cls, values: NDArray[np.float64]) -> _Axis:
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        margin = _MARGIN * (high - low) or 1.0
        return cls(low - margin, high + margin)

    def at(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return (values - self.low) / (self.high - self.low)

    def ticks(self, wanted: NDArray[np.float64] | None) -> list[Tick]:
        values = np.asarray(MaxNLocator(4).tick_values(self.low, self.high)) if wanted is None else wanted
        values = values[(values >= self.low) & (values <= self.high)]
        return [Tick(100 * float(self.at(value)), short_number(round(float(value), 9))) for value in values]


def _path(x: NDArray[np.float64], up: _Axis, values: NDArray[np.float64], errors: NDArray[np.float64]) -> str:
    """The path through the known numbers, with a bar of one error to either side of each."""
    points, bars = [], []
    for place, value, error in zip(x, values, errors, strict=True):
        if not np.isfinite(value):
            continue
        across = round(WIDTH * place)
        low, here, high = np.rint(HEIGHT * (1 - up.at(value + np.nan_to_num(error) * np.array([-1, 0, 1])))).astype(int)
        points.append(f"{across} {here}")
        bars.append(f"M{across} {low}V{high}")
    return f"M{'L'.join(points)}{''.join(bars)}"
