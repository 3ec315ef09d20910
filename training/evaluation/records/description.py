"""The description of an evaluation in its folder, with which its records are read where its stores are not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError

from corrstore.datasets.errors import BadInput, DamagedData
from corrstore.datasets.grids.grid import grid_from_dict
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.recipe.periods import parse_time
from corrstore.datasets.recipe.sample_axes import NO_RUN
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.variables.channels import Channel
from corrstore.datasets.variables.variable import Variable
from corrstore.training.evaluation.agenda import Agenda
from corrstore.training.evaluation.evaluate import merged_records
from corrstore.training.evaluation.predictors.comparison import Opened
from corrstore.training.evaluation.results import Evaluation
from corrstore.training.evaluation.scoring.tallies import Domain
from corrstore.training.evaluation.sums import RECORD_FORM, read_sums

DESCRIPTION = "evaluation.json"


@dataclass(frozen=True)
class Description:
    """What an evaluation is of, JSON-able: `place` holds the records of its samples, whose names are `keys`.

    `channels` have a variable and a level; `inits` are empty where the forecast is not of runs.
    """

    title: str
    truth: str
    forecast: str
    model: str
    place: str
    grid: dict[str, Any]
    channels: list[dict[str, Any]]
    keys: list[str]
    times: list[str]
    inits: list[str]
    baselines: list[str]
    marked: str
    form: int = RECORD_FORM

    @classmethod
    def of_agenda(cls, agenda: Agenda, place: str) -> Description:
        """Return the description of an agenda whose tallies lie in `place`."""
        opened = Opened(agenda.comparison)
        header = opened.forecast.header
        return cls(
            header.title,
            agenda.comparison.truth,
            agenda.comparison.forecast,
            f"{header.settings['model']}, seed {header.settings['seed']}",
            place,
            opened.truth.grid.to_dict(),
            [{"variable": each.variable.model_dump(mode="json"), "level": each.level} for each in opened.channels],
            agenda.keys,
            [header.times[position] for position in agenda.positions],
            [header.inits[position] for position in agenda.positions] if header.inits else [],
            list(agenda.comparison.baselines),
            agenda.marked,
        )

    def write(self, folder: Folder) -> None:
        """Write the description into the evaluation's folder."""
        folder.write(DESCRIPTION, json.dumps(asdict(self), indent=1).encode())

    @property
    def samples(self) -> str:
        """The number of samples and the times from which they are, in words."""
        return f"{len(self.keys)} samples, {min(self.times)} to {max(self.times)}"

    @property
    def target_grid(self) -> RectilinearGrid:
        """The grid of the scored fields."""
        grid = grid_from_dict(self.grid)
        assert isinstance(grid, RectilinearGrid)
        return grid

    def evaluation(self, folder: Folder, keys: Sequence[str]) -> Evaluation:
        """Return the evaluation of these samples alone, from the folder's records."""
        places = [self.keys.index(key) for key in keys]
        heal = f"remove it, and give the command that made {folder.url} again, `corrstore evaluate` or `sample --score`"
        inits = [parse_time(self.inits[place]) if self.inits else NO_RUN for place in places]
        return Evaluation(
            [Channel(Variable(**each["variable"]), each["level"]) for each in self.channels],
            Domain.of_grid(self.target_grid),
            np.array([parse_time(self.times[place]) for place in places]),
            np.array(inits, "datetime64[s]"),
            len(self.keys) - len(keys),
            merged_records((read_sums(folder, self.place, key, heal) for key in keys), len(keys))[0],
            {},
            self.baselines,
            [],
            self.marked,
        )


def read_description(folder: Folder) -> Description:
    """Return the description in a folder; raises BadInput where there is none, DamagedData where it is damaged."""
    if not folder.exists(DESCRIPTION):
        raise BadInput(f"no evaluation at {folder.url}: it has no {DESCRIPTION}; `corrstore evaluate` makes one")
    try:
        content = json.loads(folder.read(DESCRIPTION))
        if content.get("form") == RECORD_FORM:
            found = Description(**content)
            _ = found.target_grid, [Variable(**each["variable"]) for each in found.channels]
            return found
    except (ValueError, TypeError, AttributeError, KeyError, ValidationError):
        raise DamagedData(f"{folder.path(DESCRIPTION)} is damaged; evaluate again") from None
    raise BadInput(f"{folder.url} holds the records of another version of corrstore; evaluate again")
