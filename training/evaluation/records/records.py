"""The records of an evaluation: one of each sample's sums, which workers leave and the driver brings together."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from corrstore.datasets.errors import BadInput
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.records import write_task_record
from corrstore.training.evaluation.agenda import Agenda
from corrstore.training.evaluation.evaluate import collected
from corrstore.training.evaluation.predictors.fits import Floats, totals
from corrstore.training.evaluation.records.description import DESCRIPTION, Description
from corrstore.training.evaluation.results import Evaluation
from corrstore.training.evaluation.sums import Key, SumsRecord, read_sums

RECORDS = "records"
_DIGEST = re.compile("[0-9a-f]{16}")
_NAMES = (RECORDS, "report.html", "scores.csv", "scores.parquet", "zarr.json", "config.json")
"""The names of an evaluation, and those of a store, a forecast and a run."""


@dataclass(frozen=True)
class Records:
    """The records of an agenda in the folder of its evaluation, below a digest of all that they depend on.

    `fits` are what each block of samples tells about the predictors of others, `totals` the sums of these by group, and
    `scores` the tallies of each sample.
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
        return len(self.folder.names(self.totals)) == len({block.group for block in self.agenda.blocks})

    @property
    def fits_todo(self) -> list[int]:
        """The agenda's blocks that have no record yet."""
        return self._without(self.fits, [block.name for block in self.agenda.blocks])

    @property
    def scores_todo(self) -> list[int]:
        """The agenda's samples that have no record of their tallies yet."""
        return self._without(self.scores, self.agenda.keys)

    def _without(self, place: str, names: list[str]) -> list[int]:
        there = set(self.folder.names(place))
        return [index for index, name in enumerate(names) if f"{name}.parquet" not in there]

    def total(self, index: int) -> dict[Key, Floats] | None:
        """Return the sums of the fits of a sample's group; None where nothing is fitted."""
        if not self.agenda.comparison.fitted:
            return None
        return read_sums(self.folder, self.totals, _file_name(self.agenda.groups[index])).sums

    def write_totals(self) -> None:
        """Write the sums of the fits of each group, one record after the other."""
        blocks = self.agenda.blocks
        for group in dict.fromkeys(block.group for block in blocks):
            every = (read_sums(self.folder, self.fits, block.name).sums for block in blocks if block.group == group)
            write_task_record(self.folder, SumsRecord(_file_name(group), totals(every)), self.totals)

    def evaluation(self) -> Evaluation:
        """Return the evaluation of all the samples, describe it, and remove the records of other settings."""
        Description.of_agenda(self.agenda, self.scores).write(self.folder)
        for other in self.folder.names(RECORDS):
            if _DIGEST.fullmatch(other) and other != self.agenda.digest:
                self.folder.remove(f"{RECORDS}/{other}")
        return collected(self.agenda, (read_sums(self.folder, self.scores, key) for key in self.agenda.keys))


def refuse_other_content(folder: Folder) -> None:
    """Raise BadInput where a folder without an evaluation holds files of its names, a store, a forecast or a run."""
    others = [name for name in folder.names("") if name in _NAMES]
    if others and not (folder.exists(DESCRIPTION) or any(map(_DIGEST.fullmatch, folder.names(RECORDS)))):
        raise BadInput(f"{folder.url} holds {', '.join(others)} and is no evaluation; give another --output")


def _file_name(group: str) -> str:
    return group.replace(" ", "_")
