"""The stores and forecasts that fields are read from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corrstore.datasets.errors import BadInput
from corrstore.datasets.grids.fields import FieldArray
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.recipe.parts import StoredRole
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.opening import Store, open_store
from corrstore.training.forecasts.files import HEADER, Forecast, open_forecast
from corrstore.training.forecasts.header import Part

Window = tuple[slice, slice]
WHOLE: Window = (slice(None), slice(None))


@dataclass(frozen=True)
class StoreSource:
    """The targets of a store, of valid times or of runs, as a predictor or as the truth; of a `window` of its grid."""

    store: Store
    role: StoredRole = "target"
    window: Window = WHOLE

    @property
    def names(self) -> list[str]:
        """The channels."""
        return self.store.recipe.channel_names(self.role)

    @property
    def has_runs(self) -> bool:
        """True where it is of runs, and not of valid times."""
        return self.store.axes.inits is not None

    @property
    def grid(self) -> RectilinearGrid:
        """The grid of the fields."""
        return _cropped(self.store.grid(self.role), self.window)

    def within(self, box: RectilinearGrid) -> StoreSource:
        """Return the source in a box of its grid; raises BadInput where that is no part of it."""
        return replace(self, window=_window(self.store.grid(self.role), box, self.store.folder.url))

    def find(self, valid: np.datetime64, init: np.datetime64, available: np.timedelta64 | None = None) -> int | None:
        """Return the valid sample at the time, of the run itself or of the newest that was `available` before it."""
        axes = self.store.axes
        there = (self.store.times == valid) & self.store.valid
        if axes.inits is not None:
            there &= axes.init_times == init if available is None else axes.init_times <= init - available
        found = np.flatnonzero(there)
        return int(found[axes.init_times[found].argmax()]) if found.size else None

    def read(self, index: int, channel: str) -> FieldArray:
        """Return the field (1, lat, lon) of a sample."""
        position = self.names.index(channel)
        return self.store.plan.normalisations[self.role][position].decode_float32(
            self._stored(index)[position][self.window]
        )[None]

    def _stored(self, index: int) -> NDArray[Any]:
        held = self.__dict__.get("_held")
        if held is None or held[0] != index:
            held = self.__dict__["_held"] = (index, self.store.stored(self.role, index))
        return np.asarray(held[1])


@dataclass(frozen=True)
class ForecastSource:
    """A forecast that `corrstore sample` wrote, as a baseline: its members or, without any, its regression."""

    forecast: Forecast
    window: Window = WHOLE

    @property
    def names(self) -> list[str]:
        """The channels."""
        return list(self.forecast.header.channels)

    @property
    def has_runs(self) -> bool:
        """True as StoreSource.has_runs."""
        return bool(self.forecast.header.inits)

    @property
    def grid(self) -> RectilinearGrid:
        """The grid of the fields."""
        return _cropped(self.forecast.header.target_grid, self.window)

    def within(self, box: RectilinearGrid) -> ForecastSource:
        """Return the source in a box of its grid, as StoreSource.within."""
        return replace(self, window=_window(self.forecast.header.target_grid, box, self.forecast.folder.url))

    def find(self, valid: np.datetime64, init: np.datetime64, available: np.timedelta64 | None = None) -> int | None:
        """Return the position of the complete sample at that time, as StoreSource.find."""
        header = self.forecast.header
        there = header.valid_times == valid
        if header.inits:
            there &= header.init_times == init if available is None else header.init_times <= init - available
        found = [int(each) for each in np.flatnonzero(there) if all(map(self.forecast.has, self._parts(int(each))))]
        return max(found, key=lambda each: header.init_times[each], default=None)

    def read(self, index: int, channel: str) -> FieldArray:
        """Return the members (member, lat, lon) of a sample."""
        return np.stack([self.forecast.read(part, channel)[self.window] for part in self._parts(index)])

    def _parts(self, index: int) -> list[Part]:
        return [Part(index, member) for member in range(self.forecast.header.members)] or [Part(index, None)]


Source = StoreSource | ForecastSource


def source_at(url: str) -> Source:
    """Return the forecast or the store in a folder."""
    return ForecastSource(open_forecast(url)) if Folder(url).exists(HEADER) else StoreSource(open_store(url))


def _cropped(grid: RectilinearGrid, window: Window) -> RectilinearGrid:
    return grid if window == WHOLE else RectilinearGrid(grid.lat[window[0]], grid.lon[window[1]])


def _window(grid: RectilinearGrid, box: RectilinearGrid, url: str) -> Window:
    if grid == box:
        return WHOLE
    starts = [int(np.abs(whole - part[0]).argmin()) for whole, part in ((grid.lat, box.lat), (grid.lon, box.lon))]
    rows, columns = (slice(start, start + size) for start, size in zip(starts, box.shape, strict=True))
    if RectilinearGrid(grid.lat[rows], grid.lon[columns]) != box:
        raise BadInput(f"{url} is on {grid}, of which the forecast's, {box}, is no part; give the store of its grid")
    return rows, columns
