"""The output of a catalog's commands: its answers as rows, and the same in few words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from corrstore.catalog.printing.listing import print_rows
from corrstore.catalog.printing.output import shown
from corrstore.catalog.queries.diff import Difference
from corrstore.catalog.queries.query import Answer, Missing
from corrstore.catalog.queries.statistics import ChannelStatistics
from corrstore.datasets.commands import results
from corrstore.datasets.recipe.periods import Interval, format_time

_MOST_LINES = 20
_LIST = {
    "name": "name",
    "status": "status",
    "store": "id",
    "period": "period",
    "every": "every",
    "runs": "runs",
    "leads": "leads",
    "validity": "valid",
    "target": "target",
    "size": "size",
    "location": "location",
}
_QUERY = {
    "name": "name",
    "status": "status",
    "used": "",
    "percent": "share",
    "holds": "holds",
    "period": "period",
    "every": "every",
    "location": "location",
}
_DIFF = {"item": "", "one": "first", "two": "second"}


def print_stores(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows of the table `stores`."""
    if not rows:
        _say("the catalog has no stores")
        return
    columns = dict(_LIST)
    if all(row["runs"] is None for row in rows):
        del columns["runs"], columns["leads"]
    print_rows([{**row, **_in_words(row)} for row in rows], columns, heading=2)


def rows_of_answer(answer: Answer) -> list[dict[str, Any]]:
    """A row for each store that matches."""
    used = {match.row["store"] for match in answer.combination}
    return [
        {
            **{key: match.row[key] for key in ("store", "name", "location", "start", "end", "frequency_seconds")},
            "status": match.status,
            "holds": [f"{role} {name}" for name, roles in match.roles.items() for role in roles],
            "share": match.share,
            "in_combination": match.row["store"] in used,
        }
        for match in answer.stores
    ]


def missing_rows(missing: Sequence[Missing]) -> list[dict[str, Any]]:
    """A row for each stretch that is missing."""
    return [
        {
            "variables": each.variables,
            "start": each.start,
            "end": each.end,
            "hours": each.hours,
            "reasons": each.reasons,
        }
        for each in missing
    ]


def print_answer(answer: Answer, alone: bool) -> None:
    """Print the stores that match, the combination of them, and what it lacks.

    `alone`: only stores that hold everything were asked for.
    """
    if alone and not answer.stores:
        _say("no store alone holds all of it; without --complete, stores that hold it together are found")
        return
    rows = [
        {
            **row,
            **_in_words(row),
            "percent": f"{100 * row['share']:.4g} %",
            "holds": ", ".join(row["holds"]),
            "used": "in the combination" if row["in_combination"] else "",
        }
        for row in rows_of_answer(answer)
    ]
    if rows:
        print_rows(rows, _QUERY, heading=3)
    names = ", ".join(shown(match.name) for match in answer.combination)
    if answer.complete:
        _say(f"all of it is in {names}")
        return
    holds = f"{'hold' if len(answer.combination) > 1 else 'holds'} the most"
    _say(f"{names} {holds}; missing:" if names else "no store holds any of it; missing:")
    for each in answer.missing[:_MOST_LINES]:
        what = " ".join(each.variables) or "everything"
        when = "" if np.isnat(each.start) else f" {Interval(each.start, each.end)}, {each.hours:g} h"
        _say(f"  {shown(what)}{when}{_why(each.reasons)}")
    _say_more(len(answer.missing))


def print_statistics(statistics: Sequence[ChannelStatistics]) -> None:
    """Print statistics, and name those that lack samples that were asked for."""
    if not statistics:
        _say("no store has statistics of that; `corrstore catalog query` shows which have the variables, and when")
        return
    quantiles = {f"q{each.q:g}": f"q{each.q:g}" for one in statistics for each in one.quantiles}
    rows = [
        {
            **one.row,
            **{f"q{each.q:g}": f"{each.value:.6g} ± {each.error:.1g}" for each in one.quantiles},
            "of": f"{one.samples} of {one.expected}",
        }
        for one in statistics
    ]
    several = len({one.store for one in statistics}) > len({one.name for one in statistics})
    ids = {"store": "id"} if several else {}
    heading = {"name": "name", **ids, "role": "role", "channel": "channel", "units": "units"}
    columns = {name: name for name in ("mean", "std", "minimum", "maximum")}
    wet = {"wet_share": "wet share"} if any(one.wet_share is not None for one in statistics) else {}
    counts = {"of": "samples", "count": "count", "missing": "missing"}
    print_rows(rows, heading | columns | quantiles | wet | counts, len(heading))
    _say_incomplete(statistics, ids)


def _say_incomplete(statistics: Sequence[ChannelStatistics], ids: Iterable[str]) -> None:
    lacking = [one for one in statistics if not one.complete]
    for (_, samples, expected), found in groupby(lacking, key=lambda one: (one.store, one.samples, one.expected)):
        first, *others = found
        store = " ".join(shown(getattr(first, key)) for key in ("name", *ids))
        what = f"{len(others) + 1} channels" if others else f"{first.role} {shown(first.channel)}"
        _say(f"incomplete: {store} {what}: {samples} of {expected} samples are there and valid")


def print_differences(differences: Sequence[Difference]) -> None:
    """Print what differs, part by part."""
    if not differences:
        _say("nothing differs")
    for part, found in groupby(differences, key=lambda each: each.part):
        listed = list(found)
        print_rows([each._asdict() for each in listed[:_MOST_LINES]], _DIFF, title=f"{part}: {len(listed)} differ")
        _say_more(len(listed))


def _in_words(row: Mapping[str, Any]) -> dict[str, str]:
    start, end = (format_time(np.datetime64(row[key], "s")) for key in ("start", "end"))
    words = {"period": f"{start} to {end}", "every": _duration(row["frequency_seconds"])}
    if "target_grid" in row:
        leads = [row["first_lead_seconds"], row["last_lead_seconds"]]
        words["leads"] = "" if None in leads else " to ".join(_duration(lead) for lead in leads)
        grid = row["target_grid"] or {}
        words["validity"] = f"{row['valid']} of {row['samples']}"
        words["target"] = f"{grid['rows']} x {grid['columns']}, {grid['lat_step']:.4g}" if grid else ""
        words["size"] = _size(row["bytes"] or 0)
    return words


def _duration(seconds: int) -> str:
    return next(f"{seconds // unit}{name}" for name, unit in (("h", 3600), ("min", 60), ("s", 1)) if not seconds % unit)


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            break
        count /= 1000
    return f"{count:.3g} {unit}"


def _why(reasons: Sequence[str]) -> str:
    if not reasons:
        return ""
    return f": {shown(reasons[0])}" + (f" and {len(reasons) - 1} more" if len(reasons) > 1 else "")


def _say(text: str) -> None:
    results.print(text, markup=False, highlight=False, soft_wrap=True)


def _say_more(count: int) -> None:
    if count > _MOST_LINES:
        _say(f"  and {count - _MOST_LINES} more; --json shows all")
