"""Builds that are killed at random moments, and builds that begin at once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml

from corrstore.datasets.recipe.recipe import Recipe
from tests.chaos.outcomes import Outcomes
from tests.conftest import build_in_process
from tests.digests import digest
from tests.paths import ROOT


def _build(recipe: Path, store: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "corrstore", "build", str(recipe), "--output", str(store), "--workers", "1"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _written(recipe: Recipe, place: Path) -> Path:
    (place / "recipe.yaml").write_text(yaml.safe_dump(recipe.content))
    return place / "recipe.yaml"


def kills(recipe: Recipe, place: Path, whole: str, count: int, seconds: float = 12.0, seed: int = 0) -> Outcomes:
    """Kill a build by SIGKILL at a random moment, and give the same command again, `count` times."""
    outcomes, random = Outcomes("kills of builds"), np.random.default_rng(seed)
    text, store = _written(recipe, place), place / "killed"
    for _ in range(count):
        moment = float(random.uniform(0, seconds))
        started = _build(text, store)
        try:
            started.communicate(timeout=moment)
        except subprocess.TimeoutExpired:
            started.kill()
            started.communicate()

        def go_on() -> str:
            build_in_process(recipe, store)
            return "went on to the same store" if digest(store) == whole else "another store"

        outcomes.attempt(go_on, f"after {moment:.2f} s")
        shutil.rmtree(store, ignore_errors=True)
    return outcomes


def races(recipe: Recipe, place: Path, whole: str, count: int) -> Outcomes:
    """Begin two builds of a recipe at once, `count` times: one is done, the other is refused or finds it done."""
    outcomes = Outcomes("races of two builds")
    text, store = _written(recipe, place), place / "raced"
    for number in range(count):
        both = [_build(text, store) for _ in range(2)]
        said = [each.communicate()[1] for each in both]
        codes = sorted(each.returncode for each in both)
        right = codes in ([0, 0], [0, 75]) and digest(store) == whole
        outcomes.add("went on to the same store" if right else f"ended with {codes}", f"{number}: {said}")
        shutil.rmtree(store, ignore_errors=True)
    return outcomes
