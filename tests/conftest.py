"""Small SYNTHETIC archives and a store built from them, made once a session."""

from __future__ import annotations

import os

os.environ.pop("COLUMNS", None)  # parallel pytest sets it, and the consoles that the imports below make would keep it
os.environ["NPY_DISABLE_CPU_FEATURES"] = "X86_V4 AVX512F AVX512_SKX AVX512_ICL AVX512_SPR"
"""SYNTHETIC fields are the same on every machine: the last bits of NumPy's exp and sin with AVX-512 are others."""

import fcntl
import io
import multiprocessing
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import numpy as np
import pytest
from rich.console import Console

from corrstore.datasets.recipe.files import load_recipe
from corrstore.datasets.recipe.recipe import Recipe, recipe_from
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.opening import Store, open_store
from tests.paths import SHARED

if TYPE_CHECKING:
    from corrstore.beam_pipelines.build import BuildResult

START, END = "2020-06-01T03", "2020-06-02T21"
SHAPE = (48, 64)
QUIET = Console(file=io.StringIO())
hypothesis.settings.register_profile("no clock", deadline=None, max_examples=50)
hypothesis.settings.load_profile("no clock")
multiprocessing.set_forkserver_preload(["tests.catalog_made", "tests.two_processes"])


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """One thread for every test: on busy cores several wait for one another, and some commands ask for them."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def spec(**changes):
    """Fourteen samples of a domain of 48 x 64 points."""
    from corrstore.datasets.synthetic import SyntheticSpec

    settings = {"start": np.datetime64(START), "end": np.datetime64(END), "shape": SHAPE, "margin": 6, "seed": 7}
    return SyntheticSpec(**{**settings, **changes})


def small_recipe_content(root: Path) -> dict:
    """The recipe of a store that the small archives fill."""
    return {
        "version": 1,
        "name": "small",
        "title": "Small SYNTHETIC store",
        "period": {"start": START, "end": END, "frequency": "3h"},
        "splits": {
            "train": {"start": START, "end": "2020-06-02T03"},
            "validation": {"start": "2020-06-02T06", "end": "2020-06-02T12"},
            "test": {"start": "2020-06-02T15", "end": END},
            "embargo": "3h",
        },
        "sources": {
            "era5": {"type": "era5", "path": str(root / "era5")},
            "cma_rra": {"type": "cma_rra", "path": str(root / "cma_rra")},
        },
        "input": {
            "source": "era5",
            "grid": {"north": 32.75, "south": 31.25, "west": 102.25, "east": 104.5, "step": 0.25},
            "halo": 2,
            "channels": ["t2m", "u10m", "v10m", "sp", "tp", {"z": [500]}, {"t": [850]}],
        },
        "target": {
            "source": "cma_rra",
            "grid": {"north": 32.71, "south": 31.30, "west": 102.49, "east": 104.38, "step": 0.03},
            "channels": ["t2m", "u10m", "v10m", "tp", {"z": [500]}, "refc"],
        },
        "static": [{"variable": "orog", "source": "cma_rra"}, {"variable": "lsm", "source": "cma_rra"}],
        "floors": {"refc": 0, "tp": 0},
        "store": {"chunk": 24},
    }


def few_are_measured(content: dict) -> dict:
    """The content with so short a train split that the driver measures it by itself, without processes."""
    content["splits"]["train"]["end"] = "2020-06-01T15"
    return content


def brief_content(root: Path) -> dict:
    """The content of a recipe of five samples of two channels, where neither of them matters."""
    content = few_are_measured(small_recipe_content(root))
    content["period"]["end"] = "2020-06-01T18"
    del content["splits"]["validation"], content["splits"]["test"]
    content["input"]["channels"] = content["target"]["channels"] = ["t2m", "tp"]
    return content | {"floors": {"tp": 0}}


def build_in_process(recipe: Recipe, folder: Path, **settings) -> BuildResult:
    """Build on Beam's embedded runner in this very process."""
    from corrstore.beam_pipelines.build import build
    from corrstore.beam_pipelines.spreading.spread import Runner

    return build(recipe, Folder(str(folder)), Runner(workers=1), QUIET, **settings)


def built(recipe: Recipe, folder: Path) -> tuple[str, BuildResult]:
    """Build in this very process; returns the folder too."""
    return str(folder), build_in_process(recipe, folder)


def made_once(tmp_path_factory, name: str, make: Callable[[Path], Any]) -> Any:
    """Return what `make(folder)` returns; of the workers of one session the first makes it, and the others wait."""
    own = tmp_path_factory.getbasetemp()
    root = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    kept = root / f"{name}.pickle"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            kept.write_bytes(pickle.dumps(make(root / name)))
    return pickle.loads(kept.read_bytes())


@pytest.fixture(scope="session")
def archive(tmp_path_factory) -> Path:
    """The folder of two whole SYNTHETIC archives."""
    from corrstore.datasets.synthetic import synthesise

    return made_once(tmp_path_factory, "archive", lambda folder: synthesise(folder, spec()).directory)


@pytest.fixture(scope="session")
def faulty(tmp_path_factory) -> tuple:
    """The folder of two SYNTHETIC archives with every fault, and what was damaged."""
    from corrstore.datasets.synthetic import synthesise

    every = frozenset({"truncated", "missing_hour", "corrupt_message", "expver_mix", "bitmap"})
    damaged = made_once(tmp_path_factory, "faulty", lambda folder: synthesise(folder, spec(faults=every)))
    return damaged.directory, damaged


@pytest.fixture(scope="session")
def forecasts(tmp_path_factory):
    """SYNTHETIC forecasts of CMA-GFS, CMA-MESO and SFF: the runs of 06-01T12 and 06-02T00, leads 3, 6, 9 and 12 h."""
    from corrstore.datasets.synthetic import ForecastSpec, synthesise_forecasts

    return made_once(
        tmp_path_factory, "forecasts", lambda folder: synthesise_forecasts(folder, ForecastSpec(spec(), leads=4))
    )


@pytest.fixture(scope="session")
def input_store(demo_store, forecasts, tmp_path_factory) -> Store:
    """A store of CMA-GFS's inputs alone, like the small one: three runs, a lead that is not due, a run that is missing.

    Do not change it.
    """
    folder = tmp_path_factory.mktemp("inputs")
    path = folder / "recipe.yaml"
    path.write_text(inputs_like(demo_store, forecasts.directory / "cma_gfs"))
    build_in_process(load_recipe(str(path)), folder / "store")
    return open_store(str(folder / "store"))


def inputs_like(like: Store, archive: Path) -> str:
    """The recipe of a store of three runs of CMA-GFS in `archive`, of which the third is not there."""
    return (
        f"name: inputs\ntitle: SYNTHETIC runs of CMA-GFS\nlike: {like.folder.url}\n"
        "input: {source: gfs}\nmax_missing_share: 0.5\n"
        f"sources: {{gfs: {{type: cma_gfs, path: {archive}}}}}\n"
        "forecast:\n  inits: [2020-06-01T12, 2020-06-02T00, 2020-06-02T06]\n"
        "  leads: {first: 3h, last: {12: 9h, 0: 12h, 6: 12h}, every: 3h}\n"
    )


@pytest.fixture(scope="session")
def recipe(archive) -> Recipe:
    """The small recipe over the whole archives."""
    return recipe_from(small_recipe_content(archive))


@pytest.fixture(scope="session")
def demo_store(recipe, tmp_path_factory) -> Store:
    """A finished store; do not change it."""
    return open_store(made_once(tmp_path_factory, "store", lambda folder: built(recipe, folder))[0])


@pytest.fixture(scope="session")
def faulty_build(faulty, tmp_path_factory) -> tuple[str, BuildResult]:
    """The folder of the store that the archives with every fault give, and what its build did; do not change it."""
    recipe = recipe_from(small_recipe_content(faulty[0]) | {"name": "faulty", "max_missing_share": 0.5})
    return made_once(tmp_path_factory, "faulty-store", lambda folder: built(recipe, folder))


@pytest.fixture(scope="session")
def faulty_store(faulty_build) -> Store:
    """A store of which some samples are not valid; do not change it."""
    return open_store(faulty_build[0])


@pytest.fixture(scope="session")
def hrrr_build(tmp_path_factory) -> tuple[str, BuildResult]:
    """The store of the shipped recipe over 41 hours of real HRRR, and what its build did; do not change it."""
    recipe = load_recipe("hrrr_rme", [f"sources.hrrr.path={SHARED / 'km' / 'hrrr_rme_hourly'}"])
    return made_once(tmp_path_factory, "hrrr", lambda folder: built(recipe, folder))
