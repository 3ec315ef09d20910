"""Histograms from the ledger's counts, as paths and ticks that a page draws in its own colours."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator
from numpy.typing import ArrayLike, NDArray

from corrstore.catalog.drawing.pictures import CHARACTERS, Tick, legible
from corrstore.catalog.printing.wording import number, power_of_ten, share, short_number, units
from corrstore.datasets.statistics.blocks import BlockStatistics
from corrstore.datasets.statistics.histograms import BinEdges, quantile, share_at_least
from corrstore.datasets.variables.variable import Variable

WIDTH, HEIGHT = 1000, 400
"""The size of the box that the paths are drawn in."""

_TAIL = 5e-4
_FAR_TAIL = 1e-5
_DECADES = 5
_HEADROOM = 1.3  # room above the highest density, for the marks of mean and std


class Counted(NamedTuple):
    """Merged statistics and the bin edges of their histogram."""

    statistics: BlockStatistics
    edges: BinEdges


class Curve(NamedTuple):
    """One histogram: its outline, and in per cent from the left the mean, mean - std and mean + std."""

    role: str
    path: str
    mean: float
    low: float
    high: float
    statistics: BlockStatistics


@dataclass(frozen=True)
class Histogram:
    """Densities over an axis of values."""

    curves: list[Curve]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    notes: list[str]
    alt: str


class _Axis(NamedTuple):
    """An axis from `low` to `high`; `along` is what it is linear in."""

    low: float
    high: float
    along: Callable[[NDArray[np.float64]], NDArray[np.float64]]

    def at(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the positions of the values on the axis, 0 to 1; those beyond the ends are at the ends."""
        low, high = self.along(np.array([self.low, self.high]))
        return (self.along(np.clip(values, self.low, self.high)) - low) / (high - low)


def channel_histogram(variable: Variable, counted: dict[str, Counted]) -> Histogram | None:
    """The histograms of a channel by role, one over the other; None where nothing was counted.

    Rain has a logarithmic axis from its wet threshold on; rain and reflectivity logarithmic densities.
    """
    counted = {role: each for role, each in counted.items() if each.statistics.count}
    if not counted:
        return None
    if all(each.statistics.minimum == each.statistics.maximum for each in counted.values()):
        return _constant(variable, counted)
    threshold = variable.wet_threshold
    wettest = max(each.statistics.maximum for each in counted.values())
    if threshold is not None and wettest > threshold:
        axis = _Axis(threshold, wettest, np.log10)
        notes = [_dry_note(role, each, threshold, variable) for role, each in counted.items()]
        return _histogram(variable, counted, axis, _decades(axis), notes, logarithmic=True)
    ends = [_ends(each, _TAIL) for each in counted.values()]
    axis = _linear(min(low for low, _ in ends), max(high for _, high in ends))
    return _histogram(variable, counted, axis, _round_ticks(axis), [], logarithmic=variable.units == "dBZ")


def residual_histogram(variable: Variable, counted: Counted) -> Histogram | None:
    """The histogram of a residual, about zero, its densities logarithmic; None where nothing was counted."""
    if not counted.statistics.count:
        return None
    if counted.statistics.minimum == counted.statistics.maximum:
        return _constant(variable, {"residual": counted})
    largest = max(abs(end) for end in _ends(counted, _FAR_TAIL))
    axis = _linear(-largest, largest)
    return _histogram(variable, {"residual": counted}, axis, _round_ticks(axis), [], logarithmic=True)


def _constant(variable: Variable, counted: dict[str, Counted]) -> Histogram:
    """Return the histogram of a channel that never changes: it has no outline, and a note."""
    unit = units(variable.units)
    notes = [f"every number of the {role} is {number(each.statistics.mean)} {unit}" for role, each in counted.items()]
    curves = [Curve(role, "", 50.0, 50.0, 50.0, each.statistics) for role, each in counted.items()]
    return Histogram(curves, [], [], notes, f"Histogram of {variable.long_name}: {'; '.join(notes)}")


def _histogram(
    variable: Variable,
    counted: dict[str, Counted],
    axis: _Axis,
    x_ticks: list[Tick],
    notes: list[str],
    logarithmic: bool,
) -> Histogram:
    densities = {role: _densities(*each, axis) for role, each in counted.items()}
    peak = max(float(heights.max()) for _, heights in densities.values())
    if logarithmic:
        upright = _Axis(peak * 10.0**-_DECADES, peak * _HEADROOM**_DECADES, np.log10)
    else:
        upright = _Axis(0.0, peak * _HEADROOM, lambda heights: heights)
    curves = []
    for role, (edges, heights) in densities.items():
        block = counted[role].statistics
        mean, low, high = 100 * axis.at(np.array([block.mean, block.mean - block.std, block.mean + block.std]))
        path = _outline(axis.at(edges), upright.at(heights))
        curves.append(Curve(role, path, float(mean), float(low), float(high), block))
    texts = [f"{c.role} mean {number(c.statistics.mean)}, std {number(c.statistics.std)}" for c in curves]
    alt = f"Histogram of {variable.long_name} in {units(variable.units)}: {'; '.join([*texts, *notes])}"
    return Histogram(curves, x_ticks, _powers(upright) if logarithmic else [], notes, alt)


def _densities(block: BlockStatistics, edges: BinEdges, axis: _Axis) -> tuple[BinEdges, NDArray[np.float64]]:
    """The bins on the axis: their edges [n + 1], and the share of the block's numbers in each, per unit [n].

    The two open bins end with the block's extremes.
    """
    bounds = np.concatenate([[min(block.minimum, edges[0])], edges, [max(block.maximum, edges[-1])]])
    first = int(np.searchsorted(bounds, axis.low, "right")) - 1
    last = int(np.searchsorted(bounds, axis.high, "left"))
    counts, widths = block.histogram[first:last], np.diff(bounds[first : last + 1])
    heights = np.divide(counts, widths * block.count, out=np.zeros(counts.size), where=widths > 0)
    return bounds[first : last + 1], heights


def _outline(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    """The closed path of a staircase over `x` [n + 1] as high as `y` [n], both 0 to 1."""
    across, down = np.rint(x * WIDTH).astype(int), np.rint((1 - y) * HEIGHT).astype(int)
    steps = "".join(f"V{height}H{right}" for height, right in zip(down, across[1:], strict=True))
    return f"M{across[0]} {HEIGHT}{steps}V{HEIGHT}Z"


def _ends(counted: Counted, tail: float) -> tuple[float, float]:
    """The numbers that all but the share `tail` on each side lie between; the extremes where they are one number."""
    block, edges = counted
    low, high = (quantile(block.histogram, edges, block.minimum, block.maximum, q)[0] for q in (tail, 1 - tail))
    return (low, high) if low < high else (block.minimum, block.maximum)


def _dry_note(role: str, counted: Counted, threshold: float, variable: Variable) -> str:
    dry = 1 - share_at_least(counted.statistics.histogram, counted.edges, threshold)
    return f"{share(dry)} of the {role} is below {short_number(threshold)} {units(variable.units)}"


def _linear(low: float, high: float) -> _Axis:
    return _Axis(low, high, lambda values: values)


def _round_ticks(axis: _Axis) -> list[Tick]:
    ticks = MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]).tick_values(axis.low, axis.high)
    return legible(_ticks(axis, ticks), CHARACTERS)


def _decades(axis: _Axis) -> list[Tick]:
    few = math.log10(axis.high / axis.low) < 4
    return _ticks(axis, LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)).tick_values(axis.low, axis.high))


def _powers(axis: _Axis) -> list[Tick]:
    exponents = np.arange(math.ceil(math.log10(axis.low)), math.floor(math.log10(axis.high)) + 1)
    return _ticks(axis, 10.0**exponents, power_of_ten)


def _ticks(axis: _Axis, numbers: ArrayLike, text: Callable[[float], str] = short_number) -> list[Tick]:
    values = np.asarray(numbers, np.float64)
    shown = values[(values >= axis.low) & (values <= axis.high)]
    return [Tick(100 * float(at), text(float(value))) for at, value in zip(axis.at(shown), shown, strict=True)]
