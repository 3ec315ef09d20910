"""The driver dies before any of its own writes; the same command, started again, gives the same store."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from corrstore.datasets.recipe.parts import ROLES
from corrstore.datasets.recipe.recipe import Recipe, recipe_from
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.ledger import CHECKSUMS, LEDGER, MEASUREMENTS, RECORDS
from tests.conftest import brief_content, build_in_process
from tests.digests import digest
from tests.forecasts_made import forecast_content, truth, write_sff

OF_WORKERS = (*(f"{role}/c/" for role in ROLES), f"{RECORDS}/2", f"{MEASUREMENTS}/2", f"{CHECKSUMS}/")
OWNER = f"{LEDGER}/owner-"  # which says that this process is alive
SOME = (3, -2, -1)  # of the writes of a build that has to finish only: tables, what makes it readable


class KilledError(BaseException):
    """The end of a process by SIGKILL: nothing runs after it."""


class Driver:
    """A driver that counts its own writes and removals, without its workers', and dies before one of them."""

    def __init__(self) -> None:
        self.done, self.last = 0, None

    def counted(self, method, is_write):
        """The method of Folder, which ends the driver where its turn has come."""

        def call(folder, key, *rest):
            if not (is_write and key.startswith(OF_WORKERS)) and not key.startswith(OWNER):
                if self.done == self.last:
                    raise KilledError
                self.done += 1
            return method(folder, key, *rest)

        return call


@pytest.fixture
def driver(monkeypatch):
    """The driver of the builds of one test, which lives until `last` says otherwise."""
    counting = Driver()
    for name in ("write", "remove"):
        monkeypatch.setattr(Folder, name, counting.counted(getattr(Folder, name), name == "write"))
    return counting


def build_until(driver: Driver, recipe: Recipe, folder: Path, last: int) -> None:
    """Build until the driver has done that many writes, and dies before the next."""
    driver.done, driver.last = 0, last
    with pytest.raises(KilledError):
        build_in_process(recipe, folder)
    driver.last = None


@pytest.fixture(scope="module")
def recipe(archive) -> Recipe:
    """The driver writes the same objects whatever the samples are."""
    return recipe_from(brief_content(archive))


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory) -> str:
    """The digest of the store that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "store"
    build_in_process(recipe, folder)
    return digest(folder)


@pytest.fixture(scope="module")
def all_samples_written(recipe, tmp_path_factory) -> Path:
    """The folder of a build that died when all samples were written, and none of what finishes it."""
    folder = tmp_path_factory.mktemp("unfinished") / "store"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("corrstore.beam_pipelines.build.finish", dies)
        with pytest.raises(KilledError):
            build_in_process(recipe, folder)
    return folder


def dies(*_) -> None:
    raise KilledError


def moments(count: int, shown: set[int]) -> list:
    """The first writes, of which samples are written after the last; all but those `shown` are for the slow tests."""
    return [each if each in shown else pytest.param(each, marks=pytest.mark.slow) for each in range(count)]


@pytest.mark.parametrize("last", moments(4, {1, 3}))
def test_a_build_whose_driver_died_goes_on(recipe, whole, tmp_path, driver, last):
    build_until(driver, recipe, tmp_path / "store", last)
    build_in_process(recipe, tmp_path / "store")
    assert digest(tmp_path / "store") == whole


def finished_in_two(driver: Driver, recipe: Recipe, unfinished: Path, folder: Path, last: int) -> None:
    """Go on from a copy of the unfinished store until the driver dies again, and then to the end."""
    shutil.copytree(unfinished, folder)
    build_until(driver, recipe, folder, last)
    assert not (folder / "zarr.json").exists() or (folder / "ledger/unfinished").exists()
    build_in_process(recipe, folder)


@pytest.mark.parametrize("last", SOME)
def test_a_build_whose_driver_died_in_finishing_goes_on(recipe, whole, all_samples_written, tmp_path, driver, last):
    if last < 0:
        build_in_process(recipe, shutil.copytree(all_samples_written, tmp_path / "whole"))
        last += driver.done
    finished_in_two(driver, recipe, all_samples_written, tmp_path / "store", last)
    assert digest(tmp_path / "store") == whole


@pytest.mark.slow
def test_a_build_whose_driver_died_anywhere_in_finishing_goes_on(recipe, whole, all_samples_written, tmp_path, driver):
    build_in_process(recipe, shutil.copytree(all_samples_written, tmp_path / "whole"))
    assert driver.done > 50
    for last in range(driver.done):
        finished_in_two(driver, recipe, all_samples_written, tmp_path / str(last), last)
        assert digest(tmp_path / str(last)) == whole


@pytest.mark.slow
def test_a_build_of_forecasts_whose_driver_died_anywhere_goes_on(tmp_path, driver):
    write_sff(tmp_path / "runs", truth())
    recipe = recipe_from(forecast_content(tmp_path / "runs"))
    build_in_process(recipe, tmp_path / "whole")
    assert driver.done > 30
    for last in range(0, driver.done, 3):
        build_until(driver, recipe, tmp_path / str(last), last)
        build_in_process(recipe, tmp_path / str(last))
        assert digest(tmp_path / str(last)) == digest(tmp_path / "whole")


@pytest.fixture(scope="module")
def late(archive, tmp_path_factory) -> tuple[Recipe, Path, str]:
    """A store that lacks what a late file holds, the recipe by which that file is there now, and the whole's digest."""
    root = tmp_path_factory.mktemp("late")
    shutil.copytree(archive, root / "archive")
    file = sorted((root / "archive/cma_rra").rglob("*.grib2"))[2]
    file.rename(root / "late.grib2")
    recipe = recipe_from(brief_content(root / "archive") | {"max_missing_share": 0.5})
    assert build_in_process(recipe, root / "store").report.valid < len(recipe.times)
    (root / "late.grib2").rename(file)
    filled = shutil.copytree(root / "store", root / "filled")
    assert build_in_process(recipe, filled).report.valid == len(recipe.times)
    return recipe, root / "store", digest(filled)


@pytest.mark.parametrize("last", moments(5, {0, 2}))
def test_a_late_file_is_filled_in_though_the_driver_died(late, tmp_path, driver, last):
    recipe, lacking, whole = late
    folder = shutil.copytree(lacking, tmp_path / "store")
    build_until(driver, recipe, folder, last)
    report = build_in_process(recipe, folder).report
    assert report.valid == report.samples
    assert digest(folder) == whole
