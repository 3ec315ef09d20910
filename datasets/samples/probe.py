"""A probe: a few samples built in memory, to estimate the cost of all."""

from __future__ import annotations

import re
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from corrstore.datasets.pairing.sample_plan import SamplePlan
from corrstore.datasets.recipe.recipe import Recipe
from corrstore.datasets.samples.sample import build_sample, measure_sample
from corrstore.datasets.store.constants import constants_from_records, constants_from_store
from corrstore.datasets.store.layout import StorePlan


@dataclass(frozen=True)
class Cost:
    """The cost of a sample on this machine: seconds of each pass on one core, bytes, and peak memory."""

    samples: int
    measure_seconds: float
    write_seconds: float
    bytes: dict[str, int]
    peak_bytes: int
    notes: dict[str, int]


def probe(recipe: Recipe, plans: list[SamplePlan], measured: list[SamplePlan]) -> Cost:
    """Build the samples twice in a process of their own, and measure the second time; nothing is written.

    The constants are another store's or of the `measured` samples; `notes` are on them.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_probe, recipe, plans, measured).result()


def _probe(recipe: Recipe, plans: list[SamplePlan], measured: list[SamplePlan]) -> Cost:
    constants = (
        constants_from_store(recipe, recipe.constants_from)
        if recipe.constants_from
        else constants_from_records(recipe, [measure_sample(recipe, plan) for plan in measured])
    )
    plan = StorePlan(recipe, constants.normalisations)
    build_sample(plan, plans[0])
    started = time.perf_counter()
    for each in plans:
        measure_sample(recipe, each)
    between = time.perf_counter()
    sizes = dict.fromkeys(recipe.roles, 0)
    for each in plans:
        stored = build_sample(plan, each).stored
        for role in recipe.roles:
            sizes[role] += len(plan.shard_layout(role).encode(stored.pop(role)))
    written = time.perf_counter()
    return Cost(
        samples=len(plans),
        measure_seconds=(between - started) / len(plans),
        write_seconds=(written - between) / len(plans),
        bytes={role: size // len(plans) for role, size in sizes.items()},
        peak_bytes=peak_bytes(),
        notes=constants.notes,
    )


def peak_bytes() -> int:
    """Return the peak memory of this process; getrusage would include the parent's memory at its start."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (kibibytes,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return 1024 * int(kibibytes)
