"""Imports go downwards only: datasets, catalog, training, beam_pipelines, corrstore."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLOORS = ["datasets", "catalog", "training", "beam_pipelines", "corrstore"]
HEAVY = {"apache_beam": "beam_pipelines", "xarray_beam": "beam_pipelines", "torch": "training"}
FILES = [file for floor in FLOORS[:-1] for file in sorted((ROOT / floor).rglob("*.py"))]


def imported(file: Path) -> set[str]:
    """The top-level packages that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_imports_nothing_above_its_floor(file):
    floor = file.relative_to(ROOT).parts[0]
    above = set(FLOORS[FLOORS.index(floor) + 1 :])
    assert not imported(file) & above


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_beam_and_torch_stay_on_their_floors(file):
    floor = file.relative_to(ROOT).parts[0]
    for package in imported(file) & set(HEAVY):
        lowest = HEAVY[package]
        assert floor == lowest or (package == "torch" and floor == "beam_pipelines"), f"{file} imports {package}"
