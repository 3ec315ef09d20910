"""An evaluation that a signal stops ends with 75, and the same command continues to the same scores."""

from __future__ import annotations

import signal

import pytest

from tests.beam_pipelines.test_stopped_build import running, waited
from tests.command import corrstore
from tests.results import forecast_of


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("when", ["fits", "scores"])
def test_a_stopped_evaluation_continues_to_the_same_scores(demo_store, tmp_path, stop, when):
    forecast_of(demo_store, str(tmp_path / "forecast"), list(range(1, 14)))
    arguments = ("evaluate", "--truth", demo_store.folder.url, "--forecast", tmp_path / "forecast", "--workers=1")
    whole = corrstore(*arguments, "--output", tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    output = tmp_path / "stopped"
    with running(*arguments, "--output", output) as process:
        assert waited(process, lambda: any(output.glob(f"records/*/{when}/*.parquet")))
        process.send_signal(stop)
        _, told = process.communicate()
    assert process.returncode == 75 and "continues" in told, told
    assert not (output / "scores.parquet").exists()
    made = {path: path.stat().st_mtime_ns for path in output.glob("records/*/*/*.parquet")}
    again = corrstore(*arguments, "--output", output)
    assert again.returncode == 0, again.stderr
    assert (output / "scores.parquet").read_bytes() == (tmp_path / "whole" / "scores.parquet").read_bytes()
    assert made and all(path.stat().st_mtime_ns == time for path, time in made.items() if "totals" not in path.parts)
