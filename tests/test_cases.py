"""The cases: faults that were found, as small inputs with what must happen."""

import os
import subprocess
import sys

import pytest

from tests.paths import ROOT

CASES = ROOT.parent / "shared" / "cases"
MET = [*range(1, 28), *range(30, 37), 41, 42]  # the scripts of 28 and 29 import modules by names that are gone

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("number", MET)
def test_the_case_is_met(number, tmp_path):
    if not CASES.is_dir():
        pytest.skip(f"there are no cases in {CASES}")
    command = tmp_path / "corrstore"
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m corrstore "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    script = next(CASES.glob(f"{number:02d}-*")) / "run.sh"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    run = subprocess.run(
        ["sh", str(script), str(command), sys.executable], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
