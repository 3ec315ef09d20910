"""One coordinate axis of a grid: its creation, its checks, its description, and the position of points on it."""

from __future__ import annotations

import math
from hashlib import blake2b
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from corrstore.datasets.errors import BadInput

Axis = NDArray[np.float64]


class LatLonPoints(Protocol):
    """Points whose latitudes and longitudes are known: a grid of any kind."""

    def latlon(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the latitudes and the longitudes of the points, two-dimensional, in degrees."""


SAME_POINT = 1e-4
"""Points closer than this part of a cell are the same point: archives round their coordinates."""


def regular_axis(first: float, last: float, count: int) -> Axis:
    """Return `count` evenly spaced coordinates from `first` to `last`, rounded to 1e-9.

    The increment that a GRIB message states is rounded, and would drift; its first and last point are not.
    """
    if count < 1 or (count == 1 and first != last):
        raise BadInput(f"axis: got {count} points from {first} to {last}, expected one for each end")
    return np.linspace(first, last, count, dtype=np.float64).round(9)


def steps_between(name: str, extent: float, step: float) -> int:
    """Return the number of steps in `extent`; raises BadInput unless it is a whole number."""
    steps = extent / step if step > 0 else -1.0
    if steps < 0 or abs(steps - round(steps)) > SAME_POINT:
        near = f", as {math.floor(steps) * step:g} or {math.ceil(steps) * step:g} is" if steps > 0 else ""
        raise BadInput(f"{name}: got {extent:g}, expected a whole number of positive steps, of {step:g} each{near}")
    return round(steps)


def checked_axis(name: str, values: ArrayLike) -> Axis:
    """Return a read-only float64 copy of `values`; raises BadInput unless it is 1-D, finite and monotonic."""
    axis = np.array(values, np.float64)
    if axis.ndim != 1 or axis.size == 0:
        raise BadInput(f"{name}: got an array of shape {axis.shape}, expected one dimension, not empty")
    if not np.isfinite(axis).all():
        raise BadInput(f"{name}: got {np.count_nonzero(~np.isfinite(axis))} missing coordinates, expected none")
    steps = np.diff(axis)
    if not ((steps > 0).all() or (steps < 0).all()):
        turn = int(np.argmax(steps * (steps[0] or 1.0) <= 0)) + 1
        raise BadInput(
            f"{name}: got {axis[turn]:g} after {axis[turn - 1]:g} at index {turn}, expected coordinates that "
            "only rise or only fall (add 360 to longitudes that have passed a wrap)"
        )
    axis.flags.writeable = False
    return axis


def spacing(axis: Axis) -> float:
    """Return the mean distance between neighbours; NaN for a single point."""
    return float(abs(axis[-1] - axis[0]) / (axis.size - 1)) if axis.size > 1 else float("nan")


def cell_edges(name: str, axis: Axis) -> Axis:
    """Return the cell edges [n + 1]: midway between points, the outermost as far out as the next are in."""
    if axis.size < 2:
        raise BadInput(f"{name}: got a lone point at {axis[0]:g}, expected at least two to tell a cell's edges")
    middle = (axis[:-1] + axis[1:]) / 2
    return np.concatenate([[2 * axis[0] - middle[0]], middle, [2 * axis[-1] - middle[-1]]])


def extended(name: str, axis: Axis, count: int) -> Axis:
    """Return `axis` with `count` more points on each side, at the spacing of its first two and its last two points."""
    if axis.size < 2:
        raise BadInput(f"{name}: got a lone point at {axis[0]:g}, expected at least two to extend the axis")
    away = np.arange(1, count + 1)
    before = (axis[0] - away[::-1] * (axis[1] - axis[0])).round(9)
    after = (axis[-1] + away * (axis[-1] - axis[-2])).round(9)
    return np.concatenate([before, axis, after])


def fractional_index(axis: Axis, points: ArrayLike) -> NDArray[np.float64]:
    """Return the positions of `points` on a monotonic `axis`, in units of its index; NaN beyond its ends.

    A point within SAME_POINT of a cell from an axis point counts as that point.
    """
    rising = axis if axis[-1] >= axis[0] else axis[::-1]
    points = np.asarray(points, np.float64)
    slack_before, slack_after = SAME_POINT * outer_cells(rising)
    inside = (points >= rising[0] - slack_before) & (points <= rising[-1] + slack_after)
    index = np.interp(points, rising, np.arange(rising.size, dtype=np.float64))
    nearest = np.rint(index)
    index = np.where(np.abs(index - nearest) <= SAME_POINT, nearest, index)
    index = np.where(inside, index, np.nan)
    return index if rising is axis else axis.size - 1 - index


def longitude_index(axis: Axis, points: ArrayLike, periodic: bool) -> NDArray[np.float64]:
    """Return `fractional_index` modulo 360 degrees; a periodic axis continues from its last point to its first."""
    start = axis[0] - SAME_POINT * outer_cells(axis)[0]
    unwrapped = (np.asarray(points, np.float64) - start) % 360.0 + start
    if not periodic:
        return fractional_index(axis, unwrapped)
    index = fractional_index(np.append(axis, axis[0] + 360.0), unwrapped)
    return np.where(index == axis.size, 0.0, index)


def outer_cells(axis: Axis) -> NDArray[np.float64]:
    """Return the distances between the first two and the last two points; 1 for a single point."""
    return np.abs([axis[1] - axis[0], axis[-1] - axis[-2]]) if axis.size > 1 else np.ones(2)


def within(axis: Axis, points: NDArray[np.float64], margin: float) -> bool:
    """Return whether all `points` lie between the ends of `axis`, at least `margin` from them."""
    slack = SAME_POINT * outer_cells(axis).max()
    low, high = min(axis[0], axis[-1]) + margin - slack, max(axis[0], axis[-1]) - margin + slack
    return bool(((points >= low) & (points <= high)).all())


def axis_to_json(axis: Axis) -> dict[str, Any] | list[float]:
    """Return first, last and count where `regular_axis` gives exactly this axis, else each coordinate."""
    first, last, count = float(axis[0]), float(axis[-1]), int(axis.size)
    if np.array_equal(regular_axis(first, last, count), axis):
        return {"first": first, "last": last, "count": count}
    return [float(point) for point in axis]


def axis_from_json(description: dict[str, Any] | list[float]) -> Axis:
    """Return the axis that `axis_to_json` described."""
    if isinstance(description, list):
        return np.array(description, np.float64)
    return regular_axis(description["first"], description["last"], description["count"])


def axis_text(name: str, axis: Axis) -> str:
    """Return an axis in a few words, for messages."""
    return f"{name} {axis[0]:g} .. {axis[-1]:g} ({axis.size})"


def axes_digest(kind: str, *axes: NDArray[np.int64]) -> str:
    """Return 16 hex digits that identify the kind of a grid and its rounded coordinates."""
    digest = blake2b(kind.encode(), digest_size=8)
    for axis in axes:
        digest.update(b"%d:" % axis.size)
        digest.update(axis.astype("<i8").tobytes())
    return digest.hexdigest()
