"""Imports go one way: between packages, between the rooms of a package, and between the files of a room."""

from __future__ import annotations

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib import import_module

import pytest

from tests.paths import ROOT

ROOMS = {
    "datasets": "errors storage grids variables recipe archives pairing statistics store samples synthetic commands",
    "catalog": "tables queries printing drawing pages exports catalog_commands page_commands commands",
    "training": "networks diffusion run_config patches learning forecasts evaluation nvidia evaluation_options"
    " sampling_commands commands",
    "beam_pipelines": "spreading tasks changes finish healing verify build plan convert printing commands evaluation",
    "corrstore": "",
}
"""The packages, each with its rooms and the files beside them: whoever comes later may import what comes before."""

HEAVY = {"apache_beam": ("beam_pipelines",), "xarray_beam": ("beam_pipelines",), "torch": ("training",)}
PACKAGES = list(ROOMS)
FILES = [
    file
    for package in PACKAGES
    for file in sorted((ROOT / package).rglob("*.py"))
    if package != "corrstore" or file.parent == ROOT / "corrstore"
]


def module_of(file) -> str:
    """The dotted name of a file of the project, without the leading `corrstore.` of the four packages."""
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(file): file for file in FILES}


@cache
def imported(file) -> set[str]:
    """The modules that a file imports, wherever in it: in functions and for type checking too."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                names.add(whole if whole.removeprefix("corrstore.") in MODULES else str(node.module))
    return names


def ours(file) -> set[str]:
    """The project's own modules among them."""
    return {name.removeprefix("corrstore.") for name in imported(file) if name.startswith("corrstore.")}


def place(module: str) -> tuple[int, int]:
    """Return the place of a module: its package, and its room there (a package's own __init__ is before all rooms)."""
    package, *rest = module.split(".")
    rooms = ROOMS[package].split()
    return PACKAGES.index(package), rooms.index(rest[0]) if rest and rooms else -1


def test_a_file_imports_only_what_comes_before_its_room():
    later = [
        f"{module} imports {name}"
        for module, file in MODULES.items()
        for name in ours(file)
        if name in MODULES and place(name) > place(module)
    ]
    assert not later


def test_a_file_imports_by_the_name_of_the_project():
    bare = [(file, name) for file in FILES for name in imported(file) if name.split(".")[0] in PACKAGES[:-1]]
    assert not bare, "write corrstore. before them"


def test_no_files_import_each_other_in_a_circle():
    graph = {module: ours(file) - {module} for module, file in MODULES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(" -> ".join(circle.args[1]))


def test_beam_and_torch_stay_in_their_packages():
    for file in FILES:
        package = file.relative_to(ROOT).parts[0]
        for name in {name.split(".")[0] for name in imported(file)} & set(HEAVY):
            assert package in HEAVY[name], f"{file} imports {name}"


def test_the_design_lists_the_rooms_in_their_order():
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    for package, rooms in ROOMS.items():
        assert not rooms or f"| `{package}/` | {', '.join(rooms.split())} |" in text, package


@pytest.mark.parametrize("file", sorted((ROOT / "benchmarks").rglob("*.py")), ids=lambda file: file.stem)
def test_what_a_benchmark_imports_of_the_project_is_there(file):
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("corrstore."):
            module = import_module(str(node.module))
            for alias in node.names:
                assert hasattr(module, alias.name), f"{node.module} has no {alias.name}"


def test_no_room_has_more_than_twelve_names():
    rooms = {file.parent for file in FILES}
    crowded = {
        str(room.relative_to(ROOT)): len(names)
        for room in rooms
        if len(names := [each for each in room.iterdir() if each.name not in ("__init__.py", "__pycache__")]) > 12
    }
    assert not crowded


def test_every_room_says_what_it_knows_what_it_never_does_and_where_to_start():
    for room in {file.parent for file in FILES} - {ROOT / "corrstore"}:
        text = " ".join((room / "__init__.py").read_text(encoding="utf-8").split())
        assert "never" in text and "Start reading at" in text, room
