"""The records of an evaluation: one of each sample's sums, which workers leave and the driver brings together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.records import write_task_record
from corrstore.training.evaluation.agenda import Agenda
from corrstore.training.evaluation.evaluate import collected
from corrstore.training.evaluation.predictors.fits import Fit, totals
from corrstore.training.evaluation.records.description import Description
from corrstore.training.evaluation.results import Evaluation
from corrstore.training.evaluation.sums import SumsRecord, read_sums

RECORDS = "records"


@dataclass(frozen=True)
class Records:
    """The records of an agenda in the folder of its evaluation, below a digest of all that they depend on.

    `fits` are what each sample tells about the predictors of others, `totals` the sums of these by group, and `scores`
    the tallies.
    """

    agenda: Agenda
    folder: Folder

    @cached_property
    def place(self) -> str:
        """The folder of all the records of these settings."""
        return f"{RECORDS}/{self.agenda.digest}"

    @property
    def fits(self) -> str:
        """The folder of the fits."""
        return f"{self.place}/fits"

    @property
    def scores(self) -> str:
        """The folder of the tallies."""
        return f"{self.place}/scores"

    @property
    def totals(self) -> str:
        """The folder of the fits' sums."""
        return f"{self.place}/totals"

    @property
    def has_totals(self) -> bool:
        """True where the sums of all groups are there."""
        return len(self.folder.names(self.totals)) == len(set(self.agenda.groups))

    def todo(self, place: str) -> list[int]:
        """Return the agenda's samples that have no record there yet."""
        there = set(self.folder.names(place))
        return [index for index, key in enumerate(self.agenda.keys) if f"{key}.parquet" not in there]

    def fit(self, index: int) -> Fit:
        """Return what the other samples of the group of one tell."""
        total = read_sums(self.folder, self.totals, _file_name(self.agenda.groups[index]))
        return Fit(total, read_sums(self.folder, self.fits, self.agenda.keys[index]))

    def write_totals(self) -> None:
        """Write the sums of the fits of each group, one record after the other."""
        agenda = self.agenda
        for group in dict.fromkeys(agenda.groups):
            keys = (key for key, theirs in zip(agenda.keys, agenda.groups, strict=True) if theirs == group)
            found = totals(group, (read_sums(self.folder, self.fits, key) for key in keys))
            write_task_record(self.folder, SumsRecord(_file_name(group), found.sums), self.totals)

    def evaluation(self) -> Evaluation:
        """Return the evaluation of all the samples, describe it, and remove the records of other settings."""
        for other in self.folder.names(RECORDS):
            if other != self.agenda.digest:
                self.folder.remove(f"{RECORDS}/{other}")
        Description.of_agenda(self.agenda, self.scores).write(self.folder)
        return collected(self.agenda, (read_sums(self.folder, self.scores, key) for key in self.agenda.keys))


def _file_name(group: str) -> str:
    return group.replace(" ", "_")
