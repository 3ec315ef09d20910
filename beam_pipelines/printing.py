"""The results of the commands: a table each, then the lines that a reader must not miss."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from rich.filesize import decimal
from rich.table import Table

from corrstore.beam_pipelines.build import BuildResult
from corrstore.beam_pipelines.plan import Plan
from corrstore.beam_pipelines.verify import Verdict
from corrstore.datasets.commands import results
from corrstore.datasets.recipe.sample_axes import format_lead
from corrstore.datasets.statistics.shift import LEAST_MATCHED

_MOST_LINES = 20  # of one kind; --json has them all
_MOST_LEADS = 4  # of a channel's shift; --json has them all
Row = dict[str, Any]


def print_plan(plan: Plan) -> None:
    """Print the samples, the cost and the errors of storing; then what is missing or damaged."""
    recipe, missing = plan.recipe, plan.preparation.missing
    _print_facts(
        f"{recipe.name}: {recipe.interval}",
        {
            "samples": _samples(plan),
            "lack something": f"{len(missing)} ({plan.missing_share:.1%})",
            "would be": ", ".join(f"{count} {status}" for status, count in plan.statuses.items()),
            "read twice, for the constants": plan.measured_samples,
            "size": f"{decimal(plan.bytes)} in {len(recipe.roles) * plan.samples} shards",
            "time": f"{plan.hours_of_one_core:.2f} h on one core like this one",
            "memory of a worker": f"{decimal(plan.cost.peak_bytes)} at its peak",
            "files": len(plan.preparation.files),
        },
    )
    errors = Table("channel", "largest error of storing", title=f"kept as {recipe.store.dtype}", title_justify="left")
    for name, error in plan.storage_errors.items():
        errors.add_row(name, f"{error:.3g} {recipe.channel(name).variable.units}")
    results.print(errors)
    _print_shift(plan.shift)
    _print_lines("note", (f"{note}: {count}" for note, count in plan.notes.items()))
    _print_lines("problem", map(str, plan.preparation.problems))
    for status in ("missing", "partial"):
        lines = [
            _first(plan.time_of(index), reasons)
            for index, reasons in sorted(missing.items())
            if plan.status(index) == status
        ]
        _print_lines(status, lines)
    _print_changes(plan.changed, plan.samples, plan.gone)


def _samples(plan: Plan) -> str:
    axes = plan.recipe.axes
    if axes.inits is None or axes.leads is None:
        return f"{plan.samples}, every {plan.recipe.frequency}"
    return f"{plan.samples}: {len(axes.inits)} runs, {format_lead(axes.leads[0])} to {format_lead(axes.leads[-1])}"


def print_report(output: str, result: BuildResult) -> None:
    """Print samples by status; then what was noted, damaged, not valid, or made of files that have changed."""
    report = result.report
    _print_facts(
        output,
        {
            "samples": report.samples,
            "valid": report.valid,
            "partial": report.partial,
            "missing": report.missing,
            "written now": result.written or "none: the store was finished",
        },
    )
    _print_shift(result.shift)
    _print_lines("note", (f"{note}: {count}" for note, count in report.notes.items()))
    for moved, by_channel in (
        ("raised to the floor", report.floored),
        ("lowered to the cap", report.capped),
        ("moved to the end of the range, beyond which packing had rounded them", report.overshot),
    ):
        _print_lines("note", (f"{name}: {pixels} numbers {moved}" for name, pixels in by_channel.items()))
    _print_lines("problem", report.problems)
    _print_lines("not valid", (_first(time, reasons) for time, reasons in report.reasons.items()))
    _print_changes(result.changed, report.samples, result.gone)


def print_verdict(store: str, verdict: Verdict) -> None:
    """Print the verdict; then each fault, and how to repair."""
    faults = f"{len(verdict.faults)} samples and {len(verdict.damaged)} other objects have faults"
    state = "passed" if verdict.passed else faults
    if verdict.changed and not verdict.faults and not verdict.damaged:
        state = "made of files that are other ones now"
    elif not verdict.passed and not verdict.faults and not verdict.damaged:
        state = "not compared with the archives"
    compared = f", {verdict.compared} of them against the archives" if verdict.wanted else ""
    results.print(f"{store}: {state}; {verdict.checked} samples checked{compared}", markup=False, highlight=False)
    _print_lines("fault", (f"{time}: {reason}" for time, reasons in verdict.faults.items() for reason in reasons))
    _print_lines("fault", (f"{key} is not there, or not what was written" for key in verdict.damaged))
    _print_lines("note", (f"{key} belongs to no sample" for key in verdict.unknown))
    _print_lines("note", (f"compared with the archives: {time}" for time in verdict.drawn))
    not_compared = (f"{count} samples {reason}" for reason, count in verdict.not_compared.items())
    _print_lines("note", (f"cannot be compared with the archives: {line}" for line in not_compared))
    _print_lines("note", (f"{path} is not there, and is not compared" for path in verdict.absent))
    _print_changes(verdict.changed, verdict.checked)
    if verdict.faults or verdict.damaged:
        results.print(f"`corrstore build RECIPE --output {store} --repair` makes these again", markup=False)


def _print_changes(changed: dict[str, int], samples: int, gone: dict[str, int] | None = None) -> None:
    kept = (f"{path} is not there any more; {count} samples of it are kept" for path, count in (gone or {}).items())
    _print_lines("note", kept)
    lines = [
        f"{path} is another file now: {count} of {samples} samples were made of it as it was"
        for path, count in changed.items()
    ]
    _print_lines("changed", lines)
    if lines:
        results.print("`corrstore build RECIPE --output STORE --refresh` makes these samples again", markup=False)


def _print_facts(title: str, facts: dict[str, object]) -> None:
    table = Table(title=title, title_justify="left", show_header=False)
    for name, value in facts.items():
        table.add_row(name, str(value))
    results.print(table, markup=False)


def _print_lines(kind: str, lines: Iterable[str]) -> None:
    every = list(lines)
    for line in every[:_MOST_LINES]:
        results.print(f"{kind}: {line}", markup=False, highlight=False, soft_wrap=True)
    if len(every) > _MOST_LINES:
        results.print(f"{kind}: and {len(every) - _MOST_LINES} more; --json has them all")


def _first(time: str, reasons: list[str]) -> str:
    return f"{time}: {reasons[0]}" + (f" and {len(reasons) - 1} more" if len(reasons) > 1 else "")


def _print_shift(rows: Sequence[Row]) -> None:
    """Print the rows of the table of the input's shift, of each channel at most four leads; nothing for no rows."""
    if not rows:
        return
    leads = sorted({row["lead_seconds"] for row in rows if row["lead_seconds"] is not None})
    places = np.linspace(0, len(leads) - 1, min(len(leads), _MOST_LEADS)).round().astype(int)
    shown = {leads[place] for place in places} | {None}
    table = Table(
        *("channel", "lead", "mean shift", "ratio of std", "beyond the range", "small-scale power"),
        title="input, compared with what the model was trained on",
        title_justify="left",
    )
    for row in (row for row in rows if row["lead_seconds"] in shown):
        lead = "" if row["lead_seconds"] is None else format_lead(np.timedelta64(row["lead_seconds"], "s"))
        beyond = _with_error(row, "beyond", 100, "%")
        table.add_row(
            *(row["channel"], lead, _with_error(row, "mean_shift", sign="+"), _with_error(row, "std_ratio")),
            *(beyond, _with_error(row, "power_ratio")),
        )
    results.print(table)
    for line in _notes(rows, len(leads) - len(places)):
        results.print(f"note: {line}", markup=False, highlight=False, soft_wrap=True)


def _with_error(row: Row, measure: str, factor: float = 1, unit: str = "", sign: str = "") -> str:
    value, error = row[measure], row[f"{measure}_error"]
    if value is None:
        return "not known"
    return f"{factor * value:{sign}.2f}{unit} ± {'?' if error is None else f'{factor * error:.2f}'}"


def _notes(rows: Sequence[Row], more_leads: int) -> Iterator[str]:
    few, many = (end(row["samples"] for row in rows) for end in (min, max))
    of_each = f"{few}" if few == many else f"{few} to {many}"
    yield f"mean shift is in standard deviations of the training data; {of_each} samples of each lead"
    for matched in (True, False):
        counts = {row["training_samples"] for row in rows if row["matched"] is matched}
        span = " to ".join(str(count) for count in sorted({min(counts), max(counts)})) if counts else ""
        if counts and matched:
            yield f"compared with {span} training samples of the same months and hours of day"
        elif counts:
            leads = {row["lead_seconds"] for row in rows if not row["matched"]}
            yield (
                f"fewer than {LEAST_MATCHED} training samples have the same months and hours of day as {len(leads)} of"
                f" the leads: these are compared with all {span} of them, whatever their season and hour"
            )
    if any(row["mean_shift_error"] is None for row in rows):
        yield "? is the error of samples of a single day, which do not tell it"
    if all(row["power_ratio"] is None for row in rows):
        yield "small-scale power is not known of the training store, which was built before it was counted"
    if more_leads:
        yield f"{more_leads} more leads; --json has them all"
