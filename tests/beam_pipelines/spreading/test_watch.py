"""A worker process that ends before its work is told with what is known of its end."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from corrstore.beam_pipelines.spreading import watch
from corrstore.beam_pipelines.spreading.watch import watching_workers
from corrstore.datasets.errors import OutOfResources
from tests.paths import ROOT

MINUTES = 300.0  # seconds, in which what would wait for ever is given up


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise ImportError('libproj is missing')", "ended with exit code 1: ImportError: libproj is missing; start"),
        ("import os; os._exit(3)", "ended with exit code 3; start the same command again to go on"),
        ("import os; os.kill(os.getpid(), 9)", "was killed, perhaps because memory ran out; .* fewer --workers"),
        pytest.param(
            "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)",
            "was stopped by a signal, and has been killed; start the same command",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_end_of_a_worker_is_told_with_its_reason(tmp_path, code, message, monkeypatch):
    monkeypatch.setattr(watch, "_SECONDS_OF_GRACE", 0.2)
    (tmp_path / "apache_beam.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    with (
        pytest.raises(OutOfResources, match=f"a worker process {message}"),
        watching_workers() as command,
        subprocess.Popen(command, shell=True, env=environment),
    ):
        time.sleep(MINUTES)


def test_a_worker_ends_with_its_driver(tmp_path):
    """Also before it has met the driver: Beam's own would wait for it."""
    (tmp_path / "apache_beam.py").write_text(f"import time; time.sleep({MINUTES})")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    with subprocess.Popen([sys.executable, "-c", ""]) as driver:
        pass
    worker = [sys.executable, "-m", "corrstore.beam_pipelines.spreading.worker", str(driver.pid)]
    assert subprocess.run(worker, env=environment, timeout=MINUTES, check=False).returncode == 75
