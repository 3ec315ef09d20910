"""The examples of CONTRIBUTING.md, done as it says in a copy of the repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import CONTRIBUTING, blocks
from tests.paths import ROOT

STEP = re.compile(r"(at the end of|new file|in)\s`([\w/.]+)`(?:, before `(.+?)`)?:$", re.IGNORECASE)


def change(copy: Path, before: str, text: str) -> str:
    """Do what the words before a block say: write a new file, or add to one; return the file's name."""
    words, name, line = STEP.search(before).groups()
    file = copy / name
    if words == "new file":
        assert not file.exists(), name
        file.write_text(text)
    elif line is None:
        file.write_text(file.read_text() + text)
    else:
        assert file.read_text().count(f"\n{line}") == 1, line
        file.write_text(file.read_text().replace(f"\n{line}", f"\n{text}{line}"))
    return name


@pytest.mark.slow
def test_the_examples_can_be_followed_and_pass_their_own_tests(tmp_path):
    copy = tmp_path / "corrstore"
    shutil.copytree(ROOT, copy, symlinks=True, ignore=shutil.ignore_patterns(".*", "__pycache__", "demo", "*.egg-info"))
    *examples, commands = blocks(CONTRIBUTING)
    changed = {change(copy, block.before, block.text) for block in examples}
    assert len([name for name in changed if name.startswith("tests/")]) == 5
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PYTHONPATH": str(copy), "PATH": path}
    environment["NUMBA_DISABLE_JIT"] = "1"  # to compile for a copy takes longer than its tests
    ended = subprocess.run(
        ["sh", "-e", "-c", commands.text],
        cwd=copy,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
