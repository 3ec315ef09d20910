"""`evaluate`: samples are scored by workers, one record each, and come together in the driver."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console

from corrstore.beam_pipelines.spreading.progress import Progress
from corrstore.beam_pipelines.spreading.spread import Runner, spread
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.records import write_task_record
from corrstore.training.evaluation.agenda import Agenda
from corrstore.training.evaluation.evaluate import collected, fit_sample, score_sample, totals_by_group
from corrstore.training.evaluation.predictors.fits import Fit
from corrstore.training.evaluation.results import Evaluation
from corrstore.training.evaluation.sums import SumsRecord, read_sums

RECORDS = "records"


@dataclass(frozen=True)
class FitSample:
    """Pass 1: what each sample tells about the predictors of others."""

    agenda: Agenda

    def __call__(self, index: int) -> SumsRecord:
        """The record of one of the agenda's samples; nothing is written."""
        return fit_sample(self.agenda.comparison, self.agenda.positions[index], self.agenda.keys[index])


@dataclass(frozen=True)
class ScoreSample:
    """Pass 2: the tallies of each sample."""

    agenda: Agenda
    folder: Folder
    place: str

    def __call__(self, index: int) -> SumsRecord:
        """The record of one of the agenda's samples; nothing is written."""
        agenda, key = self.agenda, self.agenda.keys[index]
        total = read_sums(self.folder, f"{self.place}/totals", _file_name(agenda.groups[index]))
        fit = Fit(total, read_sums(self.folder, f"{self.place}/fits", key))
        return score_sample(agenda.comparison, agenda.positions[index], key, fit)


def evaluate(agenda: Agenda, folder: Folder, runner: Runner, console: Console) -> Evaluation:
    """Score the agenda's samples on the runner, and return the evaluation.

    The records lie in `records/` below a digest of all that they depend on; those that are there are not made again,
    and those of other settings are removed at the end.
    """
    place = f"{RECORDS}/{agenda.digest}"
    fits, scores = f"{place}/fits", f"{place}/scores"
    spread(FitSample(agenda), _todo(agenda, folder, fits), folder, fits, runner, Progress("measuring", console))
    own = [read_sums(folder, fits, key) for key in agenda.keys]
    for group, total in totals_by_group(agenda, own).items():
        write_task_record(folder, SumsRecord(_file_name(group), total.sums), f"{place}/totals")
    del own
    task = ScoreSample(agenda, folder, place)
    spread(task, _todo(agenda, folder, scores), folder, scores, runner, Progress("scoring", console))
    for other in folder.names(RECORDS):
        if other != agenda.digest:
            folder.remove(f"{RECORDS}/{other}")
    return collected(agenda, [read_sums(folder, scores, key) for key in agenda.keys])


def _todo(agenda: Agenda, folder: Folder, place: str) -> list[int]:
    there = set(folder.names(place))
    return [index for index, key in enumerate(agenda.keys) if f"{key}.parquet" not in there]


def _file_name(group: str) -> str:
    return group.replace(" ", "_")
