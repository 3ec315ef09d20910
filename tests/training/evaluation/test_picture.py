"""The README's picture, made by its command of a report: whole, and with its label."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest
from PIL import Image

from corrstore.training.evaluation.agenda import make_agenda
from corrstore.training.evaluation.evaluate import evaluate
from corrstore.training.evaluation.pages.report import write_evaluation_report
from corrstore.training.evaluation.predictors.comparison import compare
from tests.paths import ROOT
from tests.results import forecast_of

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium; apt-get install chromium")
def test_the_picture_of_the_readme_is_made_of_a_report(demo_store, tmp_path):
    url, forecast = demo_store.folder.url, str(tmp_path / "forecast")
    forecast_of(demo_store, forecast, [11])
    write_evaluation_report(evaluate(url, forecast), make_agenda(compare(url, forecast)), tmp_path / "report.html")
    command = [sys.executable, ROOT / "docs/images/evaluation.py", tmp_path / "report.html", tmp_path / "picture.png"]
    subprocess.run(command, check=True, cwd=ROOT)
    made = Image.open(tmp_path / "picture.png").convert("RGB")
    assert made.width == 1710 and made.height > 1000
    sides = [(x, 8, x + 4, made.height - 8) for x in (8, made.width - 12)]
    edges = [made.crop(side).getcolors(1 << 24) for side in sides]
    assert all(len(colours) < 4 for colours in edges)  # nothing reaches the edge: no title is cut off
