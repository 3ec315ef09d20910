"""The progress of a pipeline in a log."""

from __future__ import annotations

import io

from rich.console import Console

from corrstore.beam_pipelines.spreading.progress import Progress, counted_progress
from corrstore.datasets.storage.folder import Folder


def test_lines_of_a_log_count_the_new_records(tmp_path, monkeypatch):
    monkeypatch.setattr("corrstore.catalog.printing.progress.SECONDS_BETWEEN_LINES", 0.0)
    folder, text = Folder(str(tmp_path)), io.StringIO()
    folder.write("records/of-an-earlier-build", b"")
    with Progress("writing", Console(file=text)).watching(folder, "records", 4):
        folder.write("records/1", b"")
        folder.write("records/2", b"")
    assert text.getvalue().startswith("writing: 2 of 4 records, ") and text.getvalue().endswith(" left\n")


def test_lines_of_a_log_count_what_this_process_does(monkeypatch):
    monkeypatch.setattr("corrstore.catalog.printing.progress.SECONDS_BETWEEN_LINES", 0.0)
    text = io.StringIO()
    with counted_progress("synthesising", "files", 2, Console(file=text)) as one_more:
        one_more()
        one_more()
    assert [line.split(",")[0] for line in text.getvalue().splitlines()] == [
        "synthesising: 1 of 2 files",
        "synthesising: 2 of 2 files",
    ]
