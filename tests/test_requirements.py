"""The requirements of `setup.py`: what the code imports, from the versions of `constraints-oldest.txt` on."""

from __future__ import annotations

import ast
import sys
from importlib.metadata import packages_distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.paths import ROOT

PACKAGES = ("datasets", "catalog", "training", "beam_pipelines")
UNSEEN = {"xesmf", "pydantic-core"}  # an extra, and a part of pydantic
PLUGINS = {"gcsfs", "netcdf4", "cfgrib"}  # fsspec imports the first, xarray the others


def required() -> list[Requirement]:
    """The requirements that `setup.py` gives to pip."""
    tree = ast.parse((ROOT / "setup.py").read_text())
    (listed,) = (node.value for node in ast.walk(tree) if getattr(node, "arg", None) == "install_requires")
    return [Requirement(text) for text in ast.literal_eval(listed)]


def version(requirement: Requirement) -> str:
    """The version of a requirement `name>=version` or `name==version`."""
    (bound,) = requirement.specifier
    return bound.version


def imported() -> set[str]:
    """The distributions whose modules the code imports; of several that share a module, that of the shortest name."""
    modules: set[str] = set()
    for file in (file for package in PACKAGES for file in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                modules.add(node.module.partition(".")[0])
    distributions = packages_distributions()
    others = modules - sys.stdlib_module_names - {"corrstore"}
    return {canonicalize_name(min(distributions.get(module, [module]), key=len)) for module in others}


def test_the_requirements_are_what_the_code_imports():
    assert {canonicalize_name(requirement.name) for requirement in required()} == (imported() - UNSEEN) | PLUGINS


def test_the_lower_bounds_are_the_oldest_tested_versions():
    pins = map(Requirement, (ROOT / "constraints-oldest.txt").read_text().splitlines())
    oldest = {canonicalize_name(pin.name): Version(version(pin)).base_version for pin in pins}
    for requirement in required():
        assert Version(version(requirement)) == Version(oldest[canonicalize_name(requirement.name)]), requirement
