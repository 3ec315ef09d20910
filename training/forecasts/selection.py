"""The samples of a store that are drawn, by split, run, lead time, period and valid time, and the region."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from corrstore.catalog.queries.selection import parse_region
from corrstore.datasets.errors import BadInput
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.recipe.periods import format_time, parse_duration, parse_period, parse_time
from corrstore.datasets.recipe.sample_axes import format_lead
from corrstore.datasets.store.opening import Store
from corrstore.training.patches.patches import Patch

_NEAREST = 3


class Selection(NamedTuple):
    """What is drawn, as a user writes it; each part that is given leaves only the samples that it names.

    `inits` and `leads` name runs and lead times of a store of forecasts, `times` valid times, `period` the valid times
    in it. `split` is the name of a split, or `all`; None: `test`, but all where something else is given or the store
    has no split at all.
    """

    split: str | None = None
    inits: Sequence[str] = ()
    leads: Sequence[str] = ()
    times: Sequence[str] = ()
    period: str | None = None

    def chosen(self, store: Store) -> NDArray[np.bool_]:
        """Return which samples are chosen, valid or not; raise BadInput for what the store does not have."""
        axes, url = store.axes, store.folder.url
        if axes.inits is None and (self.inits or self.leads):
            raise BadInput(
                f"{url} has valid times, not runs; leave out --init and --lead, and give --times or --period"
            )
        intervals, split = store.recipe.splits.intervals, self._split(store)
        if split not in (*intervals, "all"):
            raise BadInput(f"{url} has no split {split!r}; give {'one of ' if intervals else ''}{_or(intervals)}")
        inside = axes.due.copy()
        if split != "all":
            inside &= intervals[split].mask(axes.valid_times)
        if self.period is not None:
            inside &= parse_period(self.period).mask(axes.valid_times)
        for option, texts, parse, there, form in (
            ("--init", self.inits, parse_time, axes.init_times, format_time),
            ("--lead", self.leads, parse_duration, axes.lead_times, format_lead),
            ("--times", self.times, parse_time, axes.valid_times, format_time),
        ):
            if texts:
                inside &= _named(f"{url}: {option}", texts, parse, there, axes.due, form)
        return inside

    def samples(self, store: Store) -> NDArray[np.int64]:
        """Return the indices of the valid samples; raise BadInput, with what there is, where none is chosen."""
        chosen, axes = self.chosen(store), store.axes
        if (found := np.flatnonzero(chosen & store.valid)).size:
            return found
        url, given = store.folder.url, {**self._asdict(), "split": self._split(store)}
        asked = ", ".join(f"{name} {_words(value)}" for name, value in given.items() if value)
        if chosen.any():
            raise BadInput(
                f"{url}: none of the {chosen.sum()} samples of {asked} is valid; `corrstore report` says why"
            )
        there = np.flatnonzero(axes.due & store.valid)
        what = f"{len(there)} valid ones" + (
            f", from {axes.label(there[0])} to {axes.label(there[-1])}" if there.size else ""
        )
        raise BadInput(f"{url} has no sample of {asked}; it has {what}")

    def _split(self, store: Store) -> str:
        others = (self.inits, self.leads, self.times, self.period)
        return self.split or ("all" if any(others) or not store.recipe.splits.intervals else "test")


def region_patch(text: str, grid: RectilinearGrid) -> Patch:
    """Return the points of a grid that lie in WEST,SOUTH,EAST,NORTH; raise BadInput where it is not inside the grid."""
    region = parse_region(text)
    south, west, north, east = grid.bounds
    half = np.array(grid.resolution) / 2 + 1e-9
    first = west - half[1] + (region.west - (west - half[1])) % 360
    last = first + region.east - region.west
    if region.south < south - half[0] or region.north > north + half[0] or last > east + half[1]:
        raise BadInput(
            f"--region {text} reaches beyond the domain, which is {west:g},{south:g},{east:g},{north:g}"
            " (WEST,SOUTH,EAST,NORTH); give a box inside it"
        )
    rows = np.flatnonzero((grid.lat >= region.south) & (grid.lat <= region.north))
    columns = np.flatnonzero((grid.lon >= first) & (grid.lon <= last))
    if not (rows.size and columns.size):
        raise BadInput(
            f"--region {text} lies between the points of the grid, which are {grid.resolution[0]:.3g} degrees apart"
        )
    return Patch(int(rows[0]), int(columns[0]), len(rows), len(columns))


def _named(
    where: str,
    texts: Sequence[str],
    parse: Callable[[str], Any],
    there: NDArray[Any],
    due: NDArray[np.bool_],
    form: Callable[[Any], str],
) -> NDArray[np.bool_]:
    """Return which of the values that are there are named; raise BadInput for one that no sample that is due has."""
    try:
        wanted = [parse(text) for text in texts]
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from None
    known = np.unique(there[due])
    for value in wanted:
        if value not in known:
            nearest = np.sort(known[np.argsort(np.abs(known - value), kind="stable")[:_NEAREST]])
            raise BadInput(
                f"{where} {form(value)} is not there; it has {len(known)}, from {form(known[0])} to {form(known[-1])};"
                f" the nearest are {', '.join(map(form, nearest))}"
            )
    return np.isin(there, np.array(wanted, there.dtype))


def _or(intervals: Iterable[str]) -> str:
    return ", ".join(intervals) + ", or all" if intervals else "all"


def _words(value: str | Sequence[str]) -> str:
    return value if isinstance(value, str) else ",".join(value)
