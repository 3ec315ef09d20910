"""`evaluate`: samples are scored by workers, one record each, and come together in the driver."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console

from corrstore.beam_pipelines.spreading.progress import Progress
from corrstore.beam_pipelines.spreading.spread import Runner, spread
from corrstore.datasets.storage.folder import Folder
from corrstore.training.evaluation.agenda import Agenda
from corrstore.training.evaluation.evaluate import score_sample
from corrstore.training.evaluation.predictors.comparison import Opened
from corrstore.training.evaluation.predictors.fits import block_record
from corrstore.training.evaluation.predictors.measured import sample_sums
from corrstore.training.evaluation.records.records import Records
from corrstore.training.evaluation.results import Evaluation
from corrstore.training.evaluation.sums import SumsRecord


@dataclass(frozen=True)
class FitBlock:
    """Pass 1: what each block of samples tells about the predictors of others."""

    agenda: Agenda

    def __call__(self, index: int) -> SumsRecord:
        """The record of one of the agenda's blocks; nothing is written."""
        agenda, opened = self.agenda, Opened(self.agenda.comparison)
        block = agenda.blocks[index]
        return block_record(block.name, (sample_sums(opened, agenda.positions[each]) for each in block.indices))


@dataclass(frozen=True)
class ScoreSample:
    """Pass 2: the tallies of each sample."""

    records: Records

    def __call__(self, index: int) -> SumsRecord:
        """The record of one of the agenda's samples; nothing is written."""
        agenda, total = self.records.agenda, self.records.total(index)
        return score_sample(Opened(agenda.comparison), agenda.positions[index], agenda.keys[index], total)


def evaluate(agenda: Agenda, folder: Folder, runner: Runner, console: Console) -> Evaluation:
    """Score the agenda's samples on the runner, and return the evaluation.

    Records that are there are not made again, and those of other settings are removed at the end.
    """
    records = Records(agenda, folder)
    fits, scores = records.fits, records.scores
    spread(FitBlock(agenda), records.fits_todo, folder, fits, runner, Progress("measuring", console))
    records.write_totals()
    spread(ScoreSample(records), records.scores_todo, folder, scores, runner, Progress("scoring", console))
    return records.evaluation()
