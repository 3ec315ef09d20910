"""Scoring while a forecast is drawn: a sample is drawn, scored and, but for what is to be kept, forgotten."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.periods import format_time, parse_time
from corrstore.datasets.store.records import write_task_record
from corrstore.training.evaluation.evaluate import score_sample
from corrstore.training.evaluation.predictors.comparison import Opened
from corrstore.training.evaluation.predictors.fits import Floats, block_record
from corrstore.training.evaluation.predictors.measured import sample_sums
from corrstore.training.evaluation.records.records import Records
from corrstore.training.evaluation.sums import Key
from corrstore.training.forecasts.files import Forecast
from corrstore.training.forecasts.forecast import ForecastSampler
from corrstore.training.forecasts.header import Header, Part

_SECONDS_BETWEEN_LOOKS = 1.0


class Kept(NamedTuple):
    """What is kept of a forecast: the regressions, and all of the samples at these positions."""

    regression: bool = False
    positions: frozenset[int] = frozenset()

    @classmethod
    def from_words(cls, words: Iterable[str], header: Header) -> Kept:
        """Return what `regression` and `case:2023-07-29T00` (a run, or a valid time) name; else raise BadInput."""
        regression, positions = False, set[int]()
        times = header.init_times if header.inits else header.valid_times
        for word in words:
            kind, _, text = word.partition(":")
            if word == "regression":
                regression = True
            elif kind == "case" and text:
                try:
                    found = np.flatnonzero(times == parse_time(text))
                except BadInput as error:
                    raise BadInput(f"--keep {word}: {error}") from None
                if not found.size:
                    what, first, last = "run" if header.inits else "time", *map(format_time, (times.min(), times.max()))
                    raise BadInput(f"--keep {word}: the forecast has no such {what}; they are from {first} to {last}")
                positions.update(found.tolist())
            else:
                raise BadInput(f"--keep {word!r}: write regression, case:2023-07-29T00, or both with a comma")
        return cls(regression, frozenset(positions))

    def __call__(self, part: Part) -> bool:
        """Return True for a part that is kept."""
        return part.time in self.positions or (self.regression and part.member is None)


@dataclass(frozen=True)
class DrawnForecast(Forecast):
    """A forecast whose fields are drawn when they are read, unless they are held or in its folder."""

    sampler: ForecastSampler = field(kw_only=True)
    held: dict[Part, NDArray[np.float32]] = field(default_factory=dict, kw_only=True)

    def has(self, part: Part) -> bool:
        """Return True: every part can be drawn."""
        return True

    def in_folder(self, part: Part) -> bool:
        """Return True where the part is in the folder."""
        return super().has(part)

    def hold(self, parts: Iterable[Part]) -> None:
        """Draw these parts and hold them until they are released."""
        self.held.update(self.sampler.drawn(parts))

    def release(self, position: int) -> None:
        """Forget the fields of a sample."""
        for part in [part for part in self.held if part.time == position]:
            del self.held[part]

    def read(self, part: Part, channel: str) -> NDArray[np.float32]:
        """Return a channel's field (lat, lon)."""
        if part not in self.held and self.in_folder(part):
            return super().read(part, channel)
        if part not in self.held:
            for other in {each.time for each in self.held} - {part.time}:
                self.release(other)
            self.hold(self.parts_of(part.time))
        return self.held[part][list(self.header.channels).index(channel)]

    def parts_of(self, position: int) -> list[Part]:
        """Return the parts of a sample, the regression first."""
        return [Part(position, member) for member in (None, *range(self.header.members))]


@dataclass(frozen=True)
class DrawnScores:
    """The work of one of `world_size` processes, each of which draws and scores a share of the agenda's samples.

    One sample is scored in `threads` threads while the next is drawn, so that the fields of two are held at most.
    """

    records: Records
    forecast: DrawnForecast
    kept: Kept
    rank: int = 0
    world_size: int = 1
    threads: int = 1

    @property
    def memory(self) -> int:
        """The bytes of the fields of two samples."""
        header = self.forecast.header
        return 2 * 4 * (header.members + 1) * len(header.channels) * int(np.prod(header.target_grid.shape))

    def run(self, show: Callable[[int], None]) -> None:
        """Leave the records of all samples, whoever draws them, and what is to be kept of this process's share.

        `show` is called with the number of samples that this process has scored.
        """
        records, agenda = self.records, self.records.agenda
        opened = Opened(agenda.comparison, self.forecast)
        for number in self._mine(len(agenda.blocks), records.fits_todo):
            block = agenda.blocks[number]
            record = block_record(block.name, (self._measured(opened, agenda.positions[i]) for i in block.indices))
            write_task_record(records.folder, record, records.fits)
        self._wait_for(lambda: not records.fits_todo)
        if self.rank == 0:
            records.write_totals()
        self._wait_for(lambda: records.has_totals)
        with ThreadPoolExecutor(1) as scorer:
            before: Future[None] | None = None
            for done, index in enumerate(self._mine(len(agenda.keys), records.scores_todo)):
                self._draw(self.forecast.parts_of(agenda.positions[index]))
                if before:
                    before.result()
                show(done)
                before = scorer.submit(self._score, opened, index)
            if before:
                before.result()
        rest = [each for each in self.forecast.header.parts if self.kept(each) and not self.forecast.in_folder(each)]
        list(self.forecast.sampler.draw(self.forecast, rest[self.rank :: self.world_size]))
        self._wait_for(lambda: not records.scores_todo)

    def _mine(self, count: int, todo: list[int]) -> list[int]:
        """Return what is to do of this process's share of so many."""
        share = range(self.rank * count // self.world_size, (self.rank + 1) * count // self.world_size)
        return [index for index in todo if index in share]

    def _measured(self, opened: Opened, position: int) -> dict[Key, Floats]:
        """Return what a sample tells about the predictors of others; only its regression is drawn, and not held."""
        self._draw([Part(position, None)])
        found = sample_sums(opened, position)
        self.forecast.release(position)
        return found

    def _draw(self, parts: Sequence[Part]) -> None:
        self.forecast.hold(parts)
        for part in parts:
            if self.kept(part) and not self.forecast.in_folder(part):
                self.forecast.write(part, self.forecast.held[part])

    def _score(self, opened: Opened, index: int) -> None:
        records, agenda = self.records, self.records.agenda
        place = agenda.positions[index], agenda.keys[index]
        found = score_sample(opened, *place, records.total(index), self.threads)
        write_task_record(records.folder, found, records.scores)
        self.forecast.release(agenda.positions[index])

    def _wait_for(self, there: Callable[[], bool]) -> None:
        """Wait for the records of the other processes; where one of them fails, all are ended."""
        while not there():
            time.sleep(_SECONDS_BETWEEN_LOOKS)
