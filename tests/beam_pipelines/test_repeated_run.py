"""A run that was repeated after a store of forecasts was made of it: told at every step, never passed, refreshed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import xarray as xr
import zarr

from corrstore.beam_pipelines.plan import plan
from corrstore.beam_pipelines.spreading.spread import Runner
from corrstore.beam_pipelines.verify import verify
from corrstore.datasets.recipe.recipe import recipe_from
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.ledger import VERDICT
from corrstore.datasets.store.opening import open_store
from corrstore.datasets.synthetic import rerun
from tests.command import corrstore
from tests.conftest import QUIET, build_in_process, inputs_like
from tests.digests import digest
from tests.forecasts_made import RUNS, forecast_content, truth, write_sff, write_weatherbench


@pytest.mark.slow
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


def add_to_group(path: Path, fields: xr.Dataset) -> None:
    """Write runs into one group of all, or append them."""
    if not path.exists():
        write_weatherbench(path, fields)
        return
    write_weatherbench(path.with_name("later.zarr"), fields)
    xr.open_zarr(path.with_name("later.zarr")).drop_encoding().to_zarr(path, append_dim="time", consolidated=True)


def add_groups(path: Path, fields: xr.Dataset) -> None:
    """Write a group for each of the runs."""
    write_sff(path.with_name("these"), fields, ".zarr")
    path.mkdir(exist_ok=True)
    for group in path.with_name("these").iterdir():
        group.rename(path / group.name)
    path.with_name("these").rmdir()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "add", "group", "variable", "place"),
    [
        ("weatherbench2", add_to_group, "", "2m_temperature", 1),
        ("sff", add_groups, "/2020-06-01T18.zarr", "t2m", slice(None)),
    ],
    ids=["one group of all runs", "a group for each run"],
)
def test_in_zarr_a_repeated_run_is_told_and_an_appended_one_changes_nothing(
    tmp_path, kind, add, group, variable, place
):
    """The chunks of a group are compared, not its metadata, which other numbers do not change and appending does."""
    fields, path, folder = truth(), tmp_path / "runs.zarr", Folder(str(tmp_path / "store"))
    inits = [str(run)[:13] for run in RUNS]
    sources = {"runs": {"type": kind, "path": str(path)}}

    def changed() -> list[dict[str, int]]:
        result = build_in_process(recipe, folder.url)
        assert result.written == 0
        verdict = verify(open_store(folder.url), Runner(workers=1), QUIET)
        assert verdict.passed is not bool(verdict.changed)
        return [plan(recipe, folder).changed, result.changed, verdict.changed]

    add(path, fields.isel(init=slice(0, 3)))
    build_in_process(recipe_from(forecast_content(path, inits[:3], sources=sources)), folder.url)
    add(path, fields.isel(init=slice(3, 4)))
    recipe = recipe_from(forecast_content(path, inits, sources=sources))
    grown = build_in_process(recipe, folder.url)
    assert (grown.written, grown.report.valid, grown.changed) == (4, 16, {}) and changed() == [{}] * 3
    before = digest(tmp_path / "store", VERDICT)
    array = zarr.open_array(f"{path}{group}", path=variable, mode="r+")
    array[place] = array[place] + 1
    assert changed() == [{f"{path}{group}": 4}] * 3
    build_in_process(recipe, folder.url, repair=True)
    assert digest(tmp_path / "store", VERDICT) == before and changed() == [{f"{path}{group}": 4}] * 3
    assert build_in_process(recipe, folder.url, refresh=True).written == 4
    assert changed() == [{}] * 3 and verify(open_store(folder.url), Runner(workers=1), QUIET, against_source=9).passed
    shutil.rmtree(f"{path}{group}/{variable}")
    assert list(verify(open_store(folder.url), Runner(workers=1), QUIET).changed) == [f"{path}{group}"]
