"""A run that was repeated after a store of forecasts was made of it: told at every step, never passed, refreshed."""

from __future__ import annotations

import shutil

from corrstore.datasets.store.ledger import VERDICT
from corrstore.datasets.synthetic import rerun
from tests.command import corrstore
from tests.conftest import inputs_like
from tests.digests import digest


def test_a_store_of_a_repeated_run_passes_only_when_it_is_refreshed(demo_store, forecasts, tmp_path):
    """The file of lead 6 h has the rain of two samples: run totals are differenced, so lead 9 h needs it too."""
    archive = shutil.copytree(forecasts.directory / "cma_gfs", tmp_path / "gfs")
    recipe, store = tmp_path / "recipe.yaml", tmp_path / "store"
    recipe.write_text(inputs_like(demo_store, archive))

    def said(command: str, *words: object, code: int) -> str:
        ended = corrstore(command, *words)
        assert (ended.returncode, "Traceback" in ended.stderr) == (code, False), ended.stderr
        return " ".join(f"{ended.stdout} {ended.stderr}".split())

    said("build", recipe, "--output", store, code=0)
    before = digest(store)
    changed = archive / "2020060200" / "gmf.gra.2020060200006.grb2"
    size = changed.stat().st_size
    rerun(changed)
    assert changed.stat().st_size == size
    for command in ("plan", "build"):
        told = said(command, recipe, "--output", store, code=0)
        assert changed.name in told and "2 samples" in told, told
    assert digest(store) == before, "a finished store is not touched"
    assert changed.name in said("verify", store, "--workers", 1, code=1)
    said("build", recipe, "--output", store, "--repair", code=0)
    assert digest(store, VERDICT) == before, "to repair is not to refresh"
    assert changed.name in said("verify", store, "--workers", 1, code=1)
    said("build", recipe, "--output", store, "--refresh", "--workers", 1, code=0)
    said("verify", store, "--workers", 1, "--against-source", code=0)
    said("build", recipe, "--output", tmp_path / "anew", "--workers", 1, code=0)
    assert digest(store, VERDICT) == digest(tmp_path / "anew")
