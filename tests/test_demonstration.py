"""The demonstration of `make demo`: the very commands of the Makefile, run in a folder of their own."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT


def commands() -> list[str]:
    """The lines of the target `demo`, with this environment's programs."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", "")
    (lines,) = re.findall(r"^demo: install\n((?:\t.+\n)+)", makefile, re.MULTILINE)
    return [line.strip().replace("$(BIN)", str(Path(sys.executable).parent)) for line in lines.splitlines()]


def scores(file: Path) -> dict[tuple[str, str, str], float]:
    """The values of a scores.csv without thresholds, by channel, predictor and score."""
    with file.open(newline="", encoding="utf-8") as opened:
        rows = [row for row in csv.DictReader(opened) if not row["threshold"] and not row["quantile"]]
        rows = [row for row in rows if row["region"] == row["lead"] == row["period"] == "all"]
    return {(row["channel"], row["predictor"], row["score"]): float(row["value"]) for row in rows}


@pytest.mark.slow
def test_the_demonstration_shows_what_the_readme_says(tmp_path):
    for command in commands():
        subprocess.run(command, shell=True, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "demo" / "report.html").exists() and (tmp_path / "demo" / "page" / "index.html").exists()
    assert (tmp_path / "demo" / "evaluation" / "report.html").exists()
    assert ("t2m", "cma_meso", "mae") in scores(tmp_path / "demo" / "verdict" / "scores.csv")
    found = scores(tmp_path / "demo" / "evaluation" / "scores.csv")
    channels = sorted({channel for channel, _, _ in found})
    assert len(channels) == 8
    for channel in channels:
        mae = found[channel, "regression", "mae"]
        assert channel == "refc" or mae < found[channel, "interpolation", "mae"], channel
        assert found[channel, "CorrDiff ensemble", "crps"] < mae, channel
        distance = found[channel, "CorrDiff ensemble", "spectral_distance"]
        assert distance < found[channel, "regression", "spectral_distance"], channel
