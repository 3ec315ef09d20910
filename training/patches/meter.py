"""The meter: how fast patches are read, used, and both together, and how long the step waits for the reads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from corrstore.training.patches.loader import Batch, Loader, Span


class Meter:
    """The speed and the waits of a loader since the last reading."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader
        self._mark = self._counts()

    def read(self) -> dict[str, float]:
        """Return this process's patches a second, the share of its time spent waiting for reads, and their overhead."""
        now = self._counts()
        seconds, patches, waited, read, used = (new - old for new, old in zip(now, self._mark, strict=True))
        self._mark = now
        return {
            "patches_per_second": patches / seconds,
            "stalled_share": waited / seconds,
            "bytes_read_per_byte_used": read / max(used, 1),
        }

    def _counts(self) -> tuple[float, ...]:
        loader = self.loader
        return time.perf_counter(), loader.patches, loader.waited, loader.bytes_read, loader.bytes_used


@dataclass(frozen=True)
class Throughput:
    """Patches a second of the loader alone, of the step alone and of both; the share of both's time stalled; overhead.

    `stalled_share` is the share of its time in which the step, with the loader beside it, had to wait for reads.
    """

    loader_alone: float
    step_alone: float
    both: float
    stalled_share: float
    bytes_read_per_byte_used: float

    @property
    def facts(self) -> dict[str, str]:
        """The measurement as texts by name."""
        return {
            "loader alone": f"{self.loader_alone:.1f} patches/s",
            "step alone": f"{self.step_alone:.1f} patches/s",
            "both": f"{self.both:.1f} patches/s",
            "stalled": f"{self.stalled_share:.1%} of the time",
            "bytes read per byte used": f"{self.bytes_read_per_byte_used:.2f}",
        }


def throughput(
    loader: Loader, spans: Iterator[Span], step: Callable[[Iterator[Batch]], object], per_step: int, steps: int
) -> Throughput:
    """Measure over `steps` steps, each of `per_step` batches of the loader: first apart, then together.

    `step` returns when its work is done, not when it is queued. One step goes before each measurement, uncounted.
    """
    batches = loader.batches(spans)
    held = list(islice(batches, per_step))

    def measured(work: Callable[[], object]) -> dict[str, float]:
        work()
        meter = Meter(loader)
        for _ in range(steps):
            work()
        return meter.read()

    patches = sum(len(batch.draws) for batch in held)
    alone = measured(lambda: list(islice(batches, per_step)))
    step(iter(held))
    started = time.perf_counter()
    for _ in range(steps):
        step(iter(held))
    step_alone = steps * patches / (time.perf_counter() - started)
    both = measured(lambda: step(batches))
    return Throughput(
        alone["patches_per_second"],
        step_alone,
        both["patches_per_second"],
        both["stalled_share"],
        alone["bytes_read_per_byte_used"],
    )
