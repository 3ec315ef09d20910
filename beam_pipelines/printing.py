"""The results of the commands: a table each, then the lines that a reader must not miss."""

from __future__ import annotations

from collections.abc import Iterable

from rich.filesize import decimal
from rich.table import Table

from corrstore.beam_pipelines.build import BuildResult
from corrstore.beam_pipelines.plan import Plan
from corrstore.beam_pipelines.verify import Verdict
from corrstore.datasets.commands import results
from corrstore.datasets.recipe.sample_axes import format_lead

_MOST_LINES = 20  # of one kind; --json has them all


def print_plan(plan: Plan) -> None:
    """Print the samples, the cost and the errors of storing; then what is missing or damaged."""
    recipe, missing = plan.recipe, plan.preparation.missing
    _print_facts(
        f"{recipe.name}: {recipe.interval}",
        {
            "samples": _samples(plan),
            "lack something": f"{len(missing)} ({plan.missing_share:.1%})",
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
    _print_lines("note", (f"{note}: {count}" for note, count in plan.preparation.notes.items()))
    _print_lines("problem", map(str, plan.preparation.problems))
    _print_lines("missing", (_first(plan.time_of(index), reasons) for index, reasons in sorted(missing.items())))
    _print_changes(plan.changed, plan.samples)


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
    _print_lines("note", (f"{note}: {count}" for note, count in report.notes.items()))
    _print_lines("note", (f"{name}: {pixels} numbers raised to the floor" for name, pixels in report.floored.items()))
    _print_lines("problem", report.problems)
    _print_lines("not valid", (_first(time, reasons) for time, reasons in report.reasons.items()))
    _print_changes(result.changed, report.samples)


def print_verdict(store: str, verdict: Verdict) -> None:
    """Print the verdict; then each fault, and how to repair."""
    faults = f"{len(verdict.faults)} samples and {len(verdict.damaged)} other objects have faults"
    state = "passed" if verdict.passed else faults
    if verdict.changed and not verdict.faults and not verdict.damaged:
        state = "made of files that are other ones now"
    compared = f", {verdict.compared} of them against the archives" if verdict.compared else ""
    results.print(f"{store}: {state}; {verdict.checked} samples checked{compared}", markup=False, highlight=False)
    _print_lines("fault", (f"{time}: {reason}" for time, reasons in verdict.faults.items() for reason in reasons))
    _print_lines("fault", (f"{key} is not there, or not what was written" for key in verdict.damaged))
    _print_lines("note", (f"{key} belongs to no sample" for key in verdict.unknown))
    _print_lines("note", (f"compared with the archives: {time}" for time in verdict.drawn))
    _print_lines("note", (f"{path} is not there, and is not compared" for path in verdict.absent))
    _print_changes(verdict.changed, verdict.checked)
    if verdict.faults or verdict.damaged:
        results.print(f"`corrstore build RECIPE --output {store} --repair` makes these again", markup=False)


def _print_changes(changed: dict[str, int], samples: int) -> None:
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
