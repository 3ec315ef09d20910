"""The catalog as a program asks it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corrstore.catalog.queries.availability import Intervals, valid_intervals
from corrstore.catalog.queries.matching import Stores
from corrstore.catalog.queries.query import Answer, Question, answer, fitting, with_reasons
from corrstore.catalog.queries.selection import Selection, parse_frequency, parse_region
from corrstore.catalog.queries.series import SeriesReader
from corrstore.catalog.tables.presence import PresenceCheck
from corrstore.catalog.tables.reading import Tables
from corrstore.catalog.tables.schemas import TableName
from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.periods import Interval, parse_period
from corrstore.datasets.storage.folder import Folder

if TYPE_CHECKING:
    from corrstore.catalog.queries.diff import Difference
    from corrstore.catalog.queries.statistics import ChannelStatistics


class Catalog:
    """A catalog in a folder or at a URL such as gs://bucket/catalog, as it is at the moment of each call.

    What was read is kept, so that a second question to the same object is fast. Every method raises BadInput where
    there is no catalog, and where a file of it is damaged or of a newer version.
    """

    def __init__(self, url: str, storage_options: dict[str, Any] | None = None) -> None:
        self.tables = Tables(Folder(str(url), storage_options or {}))
        self._presence = PresenceCheck(storage_options)
        self._series = SeriesReader(self.tables)
        self._stores: tuple[list[str], Stores] | None = None
        self._intervals: tuple[Stores, list[Intervals]] | None = None

    @property
    def stores(self) -> Stores:
        """The registered stores."""
        names = self.tables.registrations()
        if self._stores is None or self._stores[0] != names:
            self._stores = names, Stores(self.tables.kept("stores", names))
        return self._stores[1]

    def listing(self) -> list[dict[str, Any]]:
        """The row of each store in the table `stores`, and its `status` (see `PresenceCheck`)."""
        rows = self.stores.rows
        return [{**row, "status": status} for row, status in zip(rows, self._presence(rows), strict=True)]

    def table(self, table: TableName, store: str) -> pa.Table:
        """Return the rows of one store (name, location or id); raise BadInput where that is none or several."""
        return self.tables.rows(table, [self.stores.named(store)["registration"]])

    def query(
        self,
        variables: Sequence[str] = (),
        period: str | Interval | None = None,
        frequency: str | None = None,
        resolution: float | None = None,
        region: str | Sequence[float] | None = None,
        complete: bool = False,
        reasons: bool = False,
    ) -> Answer:
        """The stores that hold these variables in this period, those that hold it together, and what is missing.

        Where a period or a frequency is asked for, the answer is of stores of valid times alone: a time names no
        sample of a store of forecasts.
        Args: `variables` by channel name, in whatever role; `period` as `parse_period` reads it;
        `frequency` such as 3h: the store has valid samples at all such times of the day; `resolution` in degrees and
        `region` (west, south, east, north) of the target grid; `complete` keeps only stores that alone hold
        everything; `reasons` adds why something is missing. Only valid samples count. Raises BadInput for a variable
        that no store has, among others.
        """
        if resolution is not None and not 0 < resolution < math.inf:
            raise BadInput(f"resolution {resolution} is no size of a grid cell; write it in degrees, such as 0.03")
        question = Question(
            list(dict.fromkeys(variables)),
            None if period is None else parse_period(period),
            None if frequency is None else parse_frequency(frequency),
            resolution,
            None if region is None else parse_region(region),
            complete,
        )
        stores = self.stores
        stores.check_variables(variables)
        fit = fitting(stores, question)
        if question.period is not None or question.frequency is not None:
            fit = fit[~stores.of_forecasts[fit]]
        valid = None if question.period is None else self._valid(stores, fit)
        found = answer(stores, question, fit, self._presence([stores.rows[place] for place in fit]), valid)
        if reasons and question.period is not None:
            used = [match.row["registration"] for match in found.combination]
            coverage = self.tables.rows("coverage", used, ["start", "end", "reasons"])
            return Answer(found.stores, found.combination, with_reasons(found.missing, coverage))
        return found

    def statistics(
        self,
        variables: Sequence[str] = (),
        period: str | Interval | None = None,
        months: Sequence[int] = (),
        hours: Sequence[int] = (),
        residual: bool = False,
        quantiles: Sequence[float] = (),
        store: str | None = None,
    ) -> list[ChannelStatistics]:
        """Return statistics of the variables over the valid samples of a period, for each store and role that has them.

        Args: `variables` by channel name, all of them if none is named; `months` (1 to 12) and `hours` (0 to 23, UTC)
        of the valid time, in stores of forecasts at whatever lead; `residual` for that of target minus input in place
        of these two; `quantiles` between 0 and 1; `store` by name, location or id, for that store alone. Without a
        period, each store's own. Raises BadInput for a variable that no store has, among others.
        """
        from corrstore.catalog.queries.statistics import Asked, expected_forecasts, expected_samples
        from corrstore.catalog.queries.statistics import statistics as merged_statistics

        stores = self.stores
        stores.check_variables(variables)
        selection = Selection(None if period is None else parse_period(period), tuple(months), tuple(hours))
        fit = fitting(stores, Question([], selection.period))
        if store is not None:
            only = stores.named(store)
            fit = fit[[stores.rows[place] is only for place in fit]]
        asked = []
        for place, valid in zip(fit, self._valid(stores, fit), strict=True):
            row, counted = stores.rows[place], stores.counted(place, list(variables), residual)
            if row["runs"] is None:
                expected = expected_samples(row, selection) if counted else 0
            else:
                coverage = self.tables.rows("coverage", [row["registration"]], ["start", "end"])
                expected = expected_forecasts(coverage, row, selection)
            asked += [Asked(row, role, channel, valid, expected) for role, channel in counted]
        return merged_statistics(asked, selection, quantiles, self._series)

    def diff(self, one: str, two: str) -> list[Difference]:
        """Return the differences between two stores (name, location or id); raise BadInput for unknown ones."""
        from corrstore.catalog.queries.diff import differences

        rows = [self.stores.named(key) for key in (one, two)]
        return differences(self.tables, *rows)

    def _valid(self, stores: Stores, places: NDArray[np.int64]) -> list[Intervals]:
        """The valid intervals of these stores."""
        if self._intervals is None or self._intervals[0] is not stores:
            coverage = self.tables.kept("coverage", sorted(stores.registrations))
            self._intervals = stores, valid_intervals(coverage, stores.registrations)
        return [self._intervals[1][place] for place in places]
