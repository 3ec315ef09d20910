"""Memory that runs out in training and sampling ends a command with 75 and a setting that needs less."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from corrstore.datasets.errors import OutOfResources
from corrstore.training.learning.memory import bounded_memory
from tests.brief_run import BRIEF_RUN
from tests.paths import ROOT

TOO_MANY = 2**50


@pytest.mark.parametrize("allocate", [torch.empty, np.empty], ids=["PyTorch", "NumPy"])
def test_memory_that_runs_out_is_said_with_the_remedy(allocate):
    said = r"memory ran out \(.*allocate.*\); take less, and give the same command"
    with pytest.raises(OutOfResources, match=said), bounded_memory("take less"):
        allocate(TOO_MANY)


def test_another_error_passes_unchanged():
    with pytest.raises(RuntimeError, match="must match"), bounded_memory("take less"):
        torch.zeros(2) + torch.zeros(3)


@pytest.mark.slow
def test_training_that_needs_more_than_there_is_ends_with_75(demo_store, tmp_path):
    """The process may take 150 MB more than it has when its libraries are loaded; the network wants more."""
    code = """
import resource, sys
import psutil
import scipy.linalg  # OpenBLAS, loaded where memory is short, waits for ever
import corrstore.training.learning.trainer
from corrstore.command_line import main
most = psutil.Process().memory_info().vms + 150_000_000
resource.setrlimit(resource.RLIMIT_AS, (most, most))
main()
"""
    settings = {**BRIEF_RUN, "size": "small", "micro_batch": 64, "batch": 64, "patches": 128}
    words = ["train", "--store", demo_store.folder.path(), "--preset", "demo", "--output", tmp_path / "run"]
    changes = [f"--set={key}={value}".replace("(", "[").replace(")", "]") for key, value in settings.items()]
    ended = subprocess.run(
        [sys.executable, "-c", code, *map(str, words), *changes],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 75, ended.stderr
    assert "memory ran out" in ended.stderr and "smaller micro_batch" in ended.stderr
    assert "Traceback" not in ended.stderr
