"""An error in a worker reaches the driver with its class and all its lines."""

from __future__ import annotations

import errno
from dataclasses import dataclass

import pytest

from corrstore.beam_pipelines.spreading.progress import Progress
from corrstore.beam_pipelines.spreading.spread import Runner, spread
from corrstore.datasets.archives.grib.sections import CorruptMessage
from corrstore.datasets.errors import BadInput, CorrstoreError, DamagedData, OutOfResources
from corrstore.datasets.storage.folder import Folder
from tests.conftest import QUIET

LINES = "the first line: 'quoted', with \\n in it [while running\nthe second line, with \u00e9"
ERRORS: list[tuple[Exception, type[CorrstoreError], str]] = [
    (BadInput(LINES), BadInput, LINES),
    (DamagedData(LINES), DamagedData, LINES),
    (CorruptMessage("a.grib", 12, "truncated", "it ends"), DamagedData, "a.grib: GRIB message at byte 12: it ends"),
    (OSError(errno.ENOSPC, "No space left on device", "a.grib"), OutOfResources, "a.grib: No space left on device;"),
    (MemoryError(), OutOfResources, "memory ran out"),
]


@dataclass(frozen=True)
class Failing:
    """A task that fails in one way or another."""

    error: int

    def __call__(self, index: int):
        raise ERRORS[self.error][0]


def failed(task: Failing, folder: Folder, samples: int, runner: Runner) -> CorrstoreError:
    """The error of a run of that task, of which nothing is left in the folder."""
    with pytest.raises(CorrstoreError) as raised:
        spread(task, list(range(samples)), folder, "records", runner, Progress("failing", QUIET))
    assert folder.all_keys() == []
    return raised.value


@pytest.mark.parametrize("error", range(len(ERRORS)))
def test_an_error_in_the_drivers_process(tmp_path, error):
    found = failed(Failing(error), Folder(str(tmp_path / "store")), 1, Runner(workers=1))
    assert type(found) is ERRORS[error][1] and str(found).startswith(ERRORS[error][2])


def test_an_error_on_a_runner_that_an_option_names(tmp_path):
    """Beam's own name of the embedded runner: the samples are reshuffled as for any other one."""
    runner = Runner(("--runner=apache_beam.runners.portability.fn_api_runner.fn_runner.FnApiRunner",))
    found = failed(Failing(1), Folder(str(tmp_path / "store")), 3, runner)
    assert type(found) is DamagedData and str(found) == LINES


@pytest.mark.slow
def test_an_error_in_a_worker_process(tmp_path):
    found = failed(Failing(1), Folder(str(tmp_path / "store")), 8, Runner(workers=2))
    assert type(found) is DamagedData and str(found) == LINES
