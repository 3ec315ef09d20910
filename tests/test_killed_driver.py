"""The driver dies before any of its own writes; the same command, started again, gives the same store."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from datasets.layout import ROLES
from datasets.ledger import MEASUREMENTS, RECORDS
from datasets.recipe import recipe_from
from datasets.storage import Folder
from tests.conftest import build_in_process, small_recipe_content
from tests.digests import digest

OF_WORKERS = (*(f"{role}/c/" for role in ROLES), f"{RECORDS}/2", f"{MEASUREMENTS}/2")


class KilledError(BaseException):
    """What SIGKILL is to a process: nothing runs after it."""


@pytest.fixture
def dies_before(monkeypatch):
    """Make the driver die before its n-th write or removal; workers' writes do not count."""

    def arrange(n: int) -> None:
        left = n

        def counted(method, is_write):
            def call(folder, key, *rest):
                nonlocal left
                left -= not (is_write and key.startswith(OF_WORKERS))
                if left == 0:
                    raise KilledError
                return method(folder, key, *rest)

            return call

        for name in ("write", "remove"):
            monkeypatch.setattr(Folder, name, counted(getattr(Folder, name), name == "write"))

    yield arrange


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 9, 14, 30, 50])
def test_a_build_whose_driver_died_goes_on(recipe, demo_store, tmp_path, dies_before, monkeypatch, n):
    dies_before(n)
    with pytest.raises(KilledError):
        build_in_process(recipe, tmp_path / "store")
    monkeypatch.undo()
    build_in_process(recipe, tmp_path / "store")
    assert digest(tmp_path / "store") == digest(Path(demo_store.folder.url))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_a_late_file_is_filled_in_though_the_driver_died(archive, tmp_path, dies_before, monkeypatch, n):
    late = shutil.copytree(archive, tmp_path / "archive")
    file = sorted((late / "cma_rra").rglob("*.grib2"))[7]
    file.rename(tmp_path / "late.grib2")
    recipe = recipe_from(small_recipe_content(late) | {"max_missing_share": 0.5})
    build_in_process(recipe, tmp_path / "store")
    (tmp_path / "late.grib2").rename(file)
    dies_before(n)
    with pytest.raises(KilledError):
        build_in_process(recipe, tmp_path / "store")
    monkeypatch.undo()
    report = build_in_process(recipe, tmp_path / "store").report
    assert report.valid == report.samples
