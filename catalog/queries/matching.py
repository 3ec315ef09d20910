"""The stores of a catalog that fit a question, by channel, time step, grid, place and time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corrstore.catalog.queries.selection import Region
from corrstore.catalog.tables.names import location_of
from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.periods import Interval
from corrstore.datasets.storage.folder import Folder

Roles = dict[str, list[str]]
_SAME_STEP = 1e-2  # of a resolution: archives and users round theirs


class Stores:
    """The rows of the table `stores`, ready to be searched; they are in the order of name and location."""

    def __init__(self, table: pa.Table) -> None:
        rows = table.set_column(0, "registration", table["registration"].cast(pa.string())).to_pylist()
        self.rows: list[dict[str, Any]] = sorted(rows, key=lambda row: (row["name"], row["location"]))
        self.registrations = [str(row["registration"]) for row in self.rows]
        self.frequency = np.array([row["frequency_seconds"] or 0 for row in self.rows], np.int64)
        self.of_forecasts = np.array([row["runs"] is not None for row in self.rows], bool)
        self.start, self.end = (np.array([row[key] for row in self.rows], "datetime64[s]") for key in ("start", "end"))
        self._target = [row["target_grid"] or {} for row in self.rows]
        self._roles: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
        for place, row in enumerate(self.rows):
            for role in ("input", "target", "static"):
                for channel in row[f"{role}_channels"] or []:
                    self._roles[channel][place].append(role)

    def roles(self, place: int, variables: list[str]) -> Roles:
        """The roles that each of the variables has in a store, those that it has."""
        return {name: self._roles[name][place] for name in variables if place in self._roles.get(name, ())}

    def check_variables(self, variables: Sequence[str]) -> None:
        """Raise BadInput, with the nearest names, for a variable that no store has in any role."""
        for name in variables:
            if name not in self._roles and self._roles:
                nearest = ", ".join(get_close_matches(name.lower(), self._roles, cutoff=0))
                raise BadInput(f"no store of the catalog has the variable {name!r}; the nearest names are {nearest}")

    def counted(self, place: int, variables: list[str], residual: bool) -> list[tuple[str, str]]:
        """Return each (role, channel) of a store that has statistics, of the named variables or of all."""
        row = self.rows[place]
        both = [name for name in row["target_channels"] or [] if name in (row["input_channels"] or [])]
        channels = (
            {"residual": both} if residual else {role: row[f"{role}_channels"] or [] for role in ("input", "target")}
        )
        return [(role, name) for role in channels for name in channels[role] if not variables or name in variables]

    def having(self, variables: list[str]) -> NDArray[np.bool_]:
        """Return a mask [stores, variables] of the variables in each store."""
        has = np.zeros((len(self.rows), len(variables)), bool)
        for column, name in enumerate(variables):
            has[list(self._roles.get(name, ())), column] = True
        return has

    def sampled_every(self, seconds: int) -> NDArray[np.bool_]:
        """Return a mask of the stores that have times `seconds` apart, perhaps with others between."""
        return (self.frequency > 0) & (seconds % np.maximum(self.frequency, 1) == 0)

    def with_resolution(self, degrees: float) -> NDArray[np.bool_]:
        """Return a mask of the stores whose target grids have this spacing in both directions, to a hundredth of it."""
        steps = np.stack([self._of_target("lat_step"), self._of_target("lon_step")])
        return np.asarray((np.abs(steps - degrees) <= _SAME_STEP * degrees).all(axis=0))

    def covering(self, region: Region) -> NDArray[np.bool_]:
        """Return a mask of the stores whose target grids have the whole region inside their outermost cells' edges."""
        south, north, west, east = (self._of_target(side) for side in ("south", "north", "west", "east"))
        half_lat, half_lon = self._of_target("lat_step") / 2, self._of_target("lon_step") / 2
        inside = (region.south >= south - half_lat) & (region.north <= north + half_lat)
        width = east - west + 2 * half_lon
        from_west = (region.west - (west - half_lon)) % 360
        return inside & ((width >= 360) | (from_west + region.east - region.west <= width))

    def touching(self, period: Interval) -> NDArray[np.bool_]:
        """Return a mask of the stores whose periods overlap this one."""
        return (self.start < period.end) & (self.end > period.start)

    def named(self, key: str) -> dict[str, Any]:
        """Return the row of the store with this name, location or id; raise BadInput where that is none or several."""
        place = location_of(Folder(key))
        found = [row for row in self.rows if key in (row["store"], row["name"]) or place == row["location"]]
        if not found:
            raise BadInput(f"the catalog has no store {key!r}; `corrstore catalog list` shows what it has")
        if len(found) > 1:
            which = ", ".join(f"{row['store']} at {row['location']}" for row in found[:10])
            raise BadInput(f"the catalog has {len(found)} stores {key!r}: {which}; say which by its id or location")
        return found[0]

    def _of_target(self, key: str) -> NDArray[np.float64]:
        return np.array([np.nan if grid.get(key) is None else grid[key] for grid in self._target], np.float64)
