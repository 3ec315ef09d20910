"""The coverage of time: which samples of which day, month and hour, or of which run and lead time, are not valid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from corrstore.datasets.recipe.periods import Times
from corrstore.datasets.recipe.sample_axes import format_lead

STATUSES = ("valid", "partial", "missing")
_MOST_DAYS = 45
_MOST_RUNS = 62


class Cell(NamedTuple):
    """The numbers of valid, partial and missing samples in a cell."""

    label: str
    valid: int
    partial: int
    missing: int

    @property
    def samples(self) -> int:
        """The number of samples in the cell; 0 outside the period."""
        return self.valid + self.partial + self.missing

    @property
    def lacking(self) -> int:
        """The number of samples in the cell that are not valid."""
        return self.partial + self.missing

    @property
    def status(self) -> str:
        """The status of the cell: valid or missing where all samples are, else partial; empty outside the period."""
        if not self.samples:
            return ""
        return "valid" if not self.lacking else "missing" if self.missing == self.samples else "partial"

    @property
    def words(self) -> str:
        """The cell in words."""
        parts = [f"{count} {name}" for name, count in zip(STATUSES, self[1:], strict=True) if count]
        return f"{self.label}: {', '.join(parts)}"


class Sheet(NamedTuple):
    """A table: what its columns are, their names, and rows of cells by their names."""

    columns_are: str
    columns: list[str]
    rows: list[tuple[str, list[Cell]]]

    @property
    def samples(self) -> int:
        """The number of samples in the sheet."""
        return sum(cell.samples for _, cells in self.rows for cell in cells)

    @property
    def lacking(self) -> int:
        """The number of samples in the sheet that are not valid."""
        return sum(cell.lacking for _, cells in self.rows for cell in cells)


class Page(NamedTuple):
    """The sheets of a year or month, or of a period of few days or runs, which has no title."""

    title: str
    sheets: list[Sheet]
    rows_are: str = "days"


class Samples(NamedTuple):
    """Samples: the init times of their runs (NaT of no run), valid times, and statuses as places in STATUSES."""

    inits: Times
    times: Times
    statuses: NDArray[np.int8]


def statuses_of(times: Times, step: np.timedelta64, coverage: list[dict[str, Any]]) -> NDArray[np.int8]:
    """The status of the sample at each of the regular times, as a place in STATUSES; missing where no row has it."""
    statuses = np.full(len(times), STATUSES.index("missing"), np.int8)
    for row in coverage:
        first, after = (-int((times[0] - np.datetime64(row[side], "s")) // step) for side in ("start", "end"))
        statuses[max(first, 0) : max(after, 0)] = STATUSES.index(row["status"])
    return statuses


def forecast_samples(step: np.timedelta64, coverage: list[dict[str, Any]]) -> Samples:
    """Return the samples of forecasts that are due, leads `step` apart, from rows of the table `coverage`."""
    rows = [row for row in coverage if row["init_time"] is not None]
    times = [np.arange(np.datetime64(row["start"], "s"), np.datetime64(row["end"], "s"), step) for row in rows]
    number = [len(each) for each in times]
    return Samples(
        np.repeat(np.array([row["init_time"] for row in rows], "datetime64[s]"), number),
        np.concatenate([np.zeros(0, "datetime64[s]"), *times]),
        np.repeat(np.array([STATUSES.index(row["status"]) for row in rows], np.int8), number),
    )


def run_pages(samples: Samples) -> list[Page]:
    """Return the samples of forecasts as sheets of runs by lead times; a cell without samples is not due.

    Of up to 62 runs one page, of more a page for each month.
    """
    runs = np.unique(samples.inits)
    months = samples.inits.astype("datetime64[M]")
    pages = [("", np.ones(len(months), bool))]
    if len(runs) > _MOST_RUNS:
        pages = [(str(month), months == month) for month in np.unique(months)]
    found = []
    for title, inside in pages:
        inits, statuses = samples.inits[inside], samples.statuses[inside]
        leads = samples.times[inside] - inits
        rows = np.char.replace(inits.astype("datetime64[m]").astype(str), "T", " ")
        heads = [format_lead(lead) for lead in np.unique(leads)]
        found.append(Page(title, [_sheet("lead time", "{} UTC + {}", rows, leads, statuses, heads)], "runs"))
    return found


def calendar(times: Times, step: np.timedelta64, coverage: list[dict[str, Any]]) -> list[Page]:
    """The samples at regular times, `step` apart, whose status is in rows of the table `coverage`.

    Of up to 45 days one sheet, days by hours; of more, for each year a sheet of months by days and, where samples are
    at several hours, a sheet of months by hours. Hours are UTC.
    """
    statuses = statuses_of(times, step, coverage)
    days, months, years = (times.astype(f"datetime64[{unit}]") for unit in "DMY")
    month_days, hours = (days - months).astype(int) + 1, (times - days).astype("timedelta64[h]").astype(int)
    if len(np.unique(days)) <= _MOST_DAYS:
        return [Page("", [_sheet("hour, UTC", "{} {} UTC", days, hours, statuses)])]
    pages = []
    for year in np.unique(years):
        inside = years == year
        sheets = [_sheet("day of the month", "{}-{}", months[inside], month_days[inside], statuses[inside])]
        if len(np.unique(hours)) > 1:
            sheets.append(_sheet("hour, UTC", "{} {} UTC", months[inside], hours[inside], statuses[inside]))
        pages.append(Page(str(year), sheets))
    return pages


def _sheet(
    columns_are: str,
    label: str,
    rows: NDArray[Any],
    columns: NDArray[Any],
    statuses: NDArray[np.int8],
    heads: Sequence[str] = (),
) -> Sheet:
    names, row_of = np.unique(rows, return_inverse=True)
    numbers, column_of = np.unique(columns, return_inverse=True)
    heads = list(heads) or [f"{number:02d}" for number in numbers]
    counts = np.zeros((len(names), len(heads), len(STATUSES)), np.int64)
    np.add.at(counts, (row_of, column_of, statuses), 1)
    return Sheet(
        columns_are,
        heads,
        [
            (str(name), [Cell(label.format(name, head), *cell) for head, cell in zip(heads, cells, strict=True)])
            for name, cells in zip(names, counts.tolist(), strict=True)
        ],
    )
