"""The coverage of time: how many samples of each split are valid, and the reasons of the gaps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from corrstore.catalog.drawing.calendar import STATUSES
from corrstore.catalog.pages.store_summary import StoreSummary
from corrstore.datasets.recipe.periods import Interval, format_time, parse_time
from corrstore.datasets.recipe.sample_axes import format_lead

_NO_SPLIT = "no split"


class Gap(NamedTuple):
    """Neighbouring samples that are not valid, of one run if any, with one status and the same reasons."""

    start: np.datetime64
    end: np.datetime64
    status: str
    samples: int
    reasons: list[str]
    init_time: np.datetime64

    @property
    def leads(self) -> str:
        """The lead times of the samples of a run, such as 18h to 24h."""
        step = (self.end - self.start) // self.samples
        ends = [format_lead(time - self.init_time) for time in (self.start, self.end - step)]
        return " to ".join(dict.fromkeys(ends))


class SplitCount(NamedTuple):
    """A split, None for the samples outside of all splits, and its number of samples with each status."""

    name: str
    interval: Interval | None
    counts: dict[str, int]


def splits(summary: StoreSummary) -> dict[str, Interval]:
    """Return the splits of a store's recipe by name; a recipe may lack validation and test."""
    declared = summary.recipe.get("splits") or {}
    found = {name: declared.get(name) for name in ("train", "validation", "test")}
    return {name: Interval(parse_time(spec["start"]), parse_time(spec["end"])) for name, spec in found.items() if spec}


def split_counts(summary: StoreSummary) -> list[SplitCount]:
    """Return the counts of each split and, where there are such, of the samples in no split."""
    statuses, times = summary.samples.statuses, summary.samples.times

    def counts(mask: np.ndarray) -> dict[str, int]:
        return dict(zip(STATUSES, np.bincount(statuses[mask], minlength=len(STATUSES)).tolist(), strict=True))

    outside, found = np.ones(len(statuses), bool), []
    for name, interval in splits(summary).items():
        inside = interval.mask(times)
        outside &= ~inside
        found.append(SplitCount(name, interval, counts(inside)))
    return [*found, *([SplitCount(_NO_SPLIT, None, counts(outside))] if found and outside.any() else [])]


def gaps(coverage: list[dict[str, Any]]) -> list[Gap]:
    """Return the gaps in rows of the table `coverage`; a sample's own time is left out of its reasons."""
    found: list[Gap] = []
    for gap in _invalid(coverage):
        last = found[-1] if found else None
        same_run = last and (np.isnat(gap.init_time) or gap.init_time == last.init_time)
        if last and same_run and (last.end, last.status, last.reasons) == (gap.start, gap.status, gap.reasons):
            found[-1] = last._replace(end=gap.end, samples=last.samples + gap.samples)
        else:
            found.append(gap)
    return found


def _invalid(coverage: list[dict[str, Any]]) -> Iterator[Gap]:
    for row in coverage:
        if row["status"] != "valid":
            start, end, init_time = (np.datetime64(row[side], "s") for side in ("start", "end", "init_time"))
            own_time = f" at {format_time(start)}"
            reasons = [reason.replace(own_time, "") for reason in row["reasons"] or []]
            yield Gap(start, end, row["status"], row["samples"] or 1, reasons, init_time)
