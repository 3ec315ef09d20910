"""The summary of one store in a catalog: its channels, all their valid samples added up, and its coverage of time.

Nothing here needs the store itself, which may have vanished.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from corrstore.catalog.drawing.calendar import Page, Samples, calendar, forecast_samples, run_pages, statuses_of
from corrstore.catalog.drawing.charts import Counted
from corrstore.catalog.printing.output import several
from corrstore.catalog.queries.availability import Intervals
from corrstore.catalog.queries.series import MOMENTS, Series, SeriesReader
from corrstore.catalog.tables.presence import Presence
from corrstore.catalog.tables.reading import TableReader
from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.periods import Interval, Times
from corrstore.datasets.statistics.blocks import block_at, merge_columns
from corrstore.datasets.statistics.histograms import quantile, share_at_least
from corrstore.datasets.variables.normalisation import Normalisation, stored_type
from corrstore.datasets.variables.transforms import TRANSFORMS
from corrstore.datasets.variables.variable import Variable

_HIDDEN = "(hidden)"
_COUNTED_ROLES = ("input", "target", "residual")


@dataclass(frozen=True)
class ChannelSummary:
    """A channel: its row of the table `channels`, and its valid samples added up, None where nothing was counted."""

    row: dict[str, Any]
    counted: Counted | None

    @cached_property
    def variable(self) -> Variable:
        """The variable as it was registered, which this version of corrstore need not know."""
        return Variable.model_construct(
            name=self.row["channel"],
            standard_name=self.row["standard_name"] or "",
            long_name=self.row["long_name"] or "",
            units=self.row["units"] or "1",
            level_kind="surface",
            valid_range=(-np.inf, np.inf),
            wet_threshold=self.row["wet_threshold"],
        )

    @property
    def what(self) -> str:
        """The quantity and the pressure level in words."""
        level = self.row["level"]
        return f"{self.row['long_name'] or ''}{'' if level is None else f', {level:g} hPa'}"

    def quantile(self, q: float) -> float:
        """The number that the share `q` of all is at most; NaN where nothing was counted."""
        if self.counted is None:
            return np.nan
        block, edges = self.counted
        return quantile(block.histogram, edges, block.minimum, block.maximum, q)[0]

    @property
    def wet_share(self) -> float:
        """The share of wet pixels; NaN of a channel that has none."""
        threshold = self.row["wet_threshold"]
        if self.counted is None or threshold is None:
            return np.nan
        return share_at_least(self.counted.statistics.histogram, self.counted.edges, threshold)

    def storage_error(self, dtype: str | None) -> float:
        """The largest error of storing the valid samples as `dtype`, in physical units; NaN where it is not known."""
        transform = TRANSFORMS.get(self.row["transform"] or "")
        if self.counted is None or transform is None:
            return np.nan
        low, high = self.counted.statistics.minimum, self.counted.statistics.maximum
        constants = Normalisation(transform, self.row["mean"], self.row["std"])
        try:
            return constants.error_bound(max(low, transform.lowest), high, stored_type(str(dtype)))
        except BadInput:
            return np.nan


@dataclass(frozen=True)
class StoreSummary:
    """A store: its row of the table `stores`, its state, channels by role, and rows of the table `coverage`."""

    row: dict[str, Any]
    status: Presence
    channels: dict[str, list[ChannelSummary]]
    coverage: list[dict[str, Any]]

    @property
    def title(self) -> str:
        """The store's title or, where it has none, its name."""
        return str(self.row["title"] or self.row["name"])

    @property
    def frequency(self) -> np.timedelta64:
        """The step of the store's valid times."""
        return np.timedelta64(self.row["frequency_seconds"], "s")

    @property
    def of_forecasts(self) -> bool:
        """True for a store of forecasts, whose samples are of runs at lead times."""
        return self.row["runs"] is not None

    @property
    def cadence(self) -> str:
        """The step of the samples in words, such as every 3 h, or their runs and leads."""
        every = f"every {_hours(self.row['frequency_seconds'])}"
        if not self.of_forecasts:
            return every
        first, last = (_hours(self.row[f"{end}_lead_seconds"] or 0) for end in ("first", "last"))
        return f"of {several(self.row['runs'], 'run')} at leads of {first} to {last}, {every}"

    @property
    def start(self) -> np.datetime64:
        """The first valid time of the store's period."""
        return np.datetime64(self.row["start"], "s")

    @property
    def end(self) -> np.datetime64:
        """The end of the store's period, which is not in it."""
        return np.datetime64(self.row["end"], "s")

    @property
    def times(self) -> Times:
        """The times of the store's period, `frequency` apart: the valid times, but for forecasts, of its samples."""
        return Interval(self.start, self.end).times(self.frequency)

    @cached_property
    def samples(self) -> Samples:
        """The store's samples, whether these are valid or not; of forecasts, those that are due."""
        if self.of_forecasts:
            return forecast_samples(self.frequency, self.coverage)
        statuses = statuses_of(self.times, self.frequency, self.coverage)
        return Samples(np.full(len(self.times), np.datetime64("NaT", "s")), self.times, statuses)

    @property
    def pages(self) -> list[Page]:
        """The coverage of time: a calendar or, of forecasts, runs by lead times."""
        if self.of_forecasts:
            return run_pages(self.samples)
        return calendar(self.times, self.frequency, self.coverage)

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """The store's recipe; the values of storage options, which may be secrets, are hidden."""
        content = json.loads(self.row["recipe"] or "{}")
        for source in content.get("sources", {}).values():
            source["storage_options"] = dict.fromkeys(source.get("storage_options", {}), _HIDDEN)
        return content

    @property
    def recipe_text(self) -> str:
        """The store's recipe as YAML."""
        return yaml.safe_dump(_without_empty(self.recipe), sort_keys=False, allow_unicode=True, width=100)

    def channel(self, role: str, name: str) -> ChannelSummary | None:
        """The channel of that role and name, None where it has none."""
        return next((each for each in self.channels.get(role, ()) if each.row["channel"] == name), None)

    def explained(self, name: str) -> float:
        """Return the share of a channel that the upsampled input explains: 1 - Var(residual) / Var(target), or NaN."""
        target, residual = (self.channel(role, name) for role in ("target", "residual"))
        if not (target and residual and target.counted and residual.counted and target.counted.statistics.std > 0):
            return np.nan
        return 1 - (residual.counted.statistics.std / target.counted.statistics.std) ** 2


def summarise_store(tables: TableReader, read: SeriesReader, row: dict[str, Any], status: Presence) -> StoreSummary:
    """Return the summary of a store by its row of the table `stores`; raise DamagedData for a damaged file."""
    registration = row["registration"]
    order = [("init_time", "ascending"), ("start", "ascending")]
    coverage = tables.rows("coverage", [registration]).sort_by(order).to_pylist()
    channels: dict[str, list[ChannelSummary]] = {role: [] for role in (*_COUNTED_ROLES, "static")}
    for described in tables.rows("channels", [registration]).sort_by("position").to_pylist():
        role, name = described["role"], described["channel"]
        series = read([(registration, role, name)])[0] if role in _COUNTED_ROLES else None
        counted = None if series is None else _added_up(series, valid_mask(series, coverage))
        channels.setdefault(role, []).append(ChannelSummary(described, counted))
    return StoreSummary(row, status, channels, coverage)


def valid_mask(series: Series, coverage: list[dict[str, Any]]) -> NDArray[np.bool_]:
    """Return a mask of the valid samples, from rows of the table `coverage` in the order of runs and times."""
    valid = [each for each in coverage if each["status"] == "valid"]
    sides = (np.array([each[side] for each in valid], "datetime64[s]") for side in ("start", "end", "init_time"))
    return Intervals(*(side.astype(np.int64) for side in sides)).hold(
        series.times.astype(np.int64), series.inits.astype(np.int64)
    )


def _hours(seconds: int) -> str:
    """Return a step in words, such as 3 h or 30 min."""
    hours, rest = divmod(seconds, 3600)
    return f"{seconds / 60:g} min" if rest else f"{hours} h"


def _added_up(series: Series, chosen: NDArray[np.bool_]) -> Counted | None:
    if not chosen.any() or series.edges.size < 2:
        return None
    moments = merge_columns({name: series.moments[name][chosen] for name in MOMENTS}, np.zeros(chosen.sum(), int), 1)
    counts = np.zeros(series.edges.size + 1, np.int64)
    used = series.histograms[chosen].sum(axis=0, dtype=np.int64)
    counts[series.first_bin : series.first_bin + used.size] = used
    block = block_at(moments, 0, counts)
    return Counted(block, series.edges) if block.count else None


def _without_empty(content: Any) -> Any:
    """Return the content without the keys that have no value."""
    if isinstance(content, dict):
        return {key: _without_empty(value) for key, value in content.items() if value not in (None, {}, [], "")}
    return content
