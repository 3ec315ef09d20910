"""The formulas against MetPy, which has a folder of its own: xarray would load it, and with it pyproj after ecCodes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT

METPY = "metpy==1.7.1"


@pytest.mark.slow
def test_the_formulas_are_metpys(tmp_path):
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target", str(tmp_path)]
    subprocess.run(
        [sys.executable, *install, METPY, "pint", "flexcache", "flexparser", "pooch", "platformdirs", "traitlets"],
        check=True,
    )
    path = os.pathsep.join([str(ROOT), str(tmp_path)])
    file = Path(__file__).parent / "formulas_by_metpy.py"
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", str(file)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert " passed" in ended.stdout
