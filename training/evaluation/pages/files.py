"""The files of an evaluation: the report, and the table of all scores as Parquet and as comma-separated values."""

from __future__ import annotations

from pathlib import Path

from corrstore.datasets.commands import notices
from corrstore.datasets.storage.folder import write_file_atomically
from corrstore.datasets.store.ledger import parquet_bytes
from corrstore.training.evaluation.agenda import Agenda
from corrstore.training.evaluation.pages.report import left_out, write_evaluation_report
from corrstore.training.evaluation.results import Evaluation
from corrstore.training.forecasts.files import Forecast


def write_evaluation(evaluation: Evaluation, agenda: Agenda, output: Path, drawn: Forecast | None = None) -> None:
    """Write the files of an evaluation into its folder, and print what a reader must know."""
    for note in [*evaluation.notes, *left_out(evaluation), *([evaluation.marked] if evaluation.marked else [])]:
        notices.print(note, highlight=False, soft_wrap=True, markup=False)
    write_file_atomically(output / "scores.csv", evaluation.csv.encode())
    write_file_atomically(output / "scores.parquet", parquet_bytes(evaluation.table))
    write_evaluation_report(evaluation, agenda, output / "report.html", drawn)
    notices.print(f"wrote {output / 'report.html'}, scores.csv and scores.parquet", highlight=False, soft_wrap=True)
