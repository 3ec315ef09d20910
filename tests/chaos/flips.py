"""One flipped bit in a shard, or in any other file of a store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from corrstore.beam_pipelines.healing import damaged_files
from corrstore.beam_pipelines.spreading.spread import Runner
from corrstore.beam_pipelines.verify import verify_folder
from corrstore.datasets.recipe.recipe import Recipe
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.opening import open_store
from tests.chaos.outcomes import Outcomes
from tests.conftest import QUIET, build_in_process
from tests.digests import digest

SHARDS = ("input/c", "target/c")


def flipped(path: Path, seed: np.random.Generator) -> str:
    """Flip one bit of the file; returns which."""
    content = bytearray(path.read_bytes())
    position, bit = int(seed.integers(len(content))), int(seed.integers(8))
    content[position] ^= 1 << bit
    path.write_bytes(content)
    return f"bit {bit} of byte {position} of {path}"


def flips_in_shards(store: Path, count: int, seed: int = 0) -> Outcomes:
    """Flip a bit of a shard and read the sample, `count` times; the store is whole afterwards."""
    outcomes, random = Outcomes("flips in shards"), np.random.default_rng(seed)
    opened = open_store(str(store))
    for _ in range(count):
        role, index = opened.roles[random.integers(2)], int(random.integers(len(opened.times)))
        path = store / opened.plan.shard_key(role, index)
        before, numbers = path.read_bytes(), opened.stored(role, index, allow_invalid=True)

        def read(role=role, index=index, numbers=numbers) -> str:
            now = opened.stored(role, index, allow_invalid=True)
            return "the same numbers" if np.array_equal(now, numbers, equal_nan=True) else "other numbers"

        outcomes.attempt(read, flipped(path, random))
        path.write_bytes(before)
    return outcomes


def flips(what: str, files: list[Path], read: Callable[[], str], count: int, seed: int = 0) -> Outcomes:
    """Flip a bit of one of the files and read all, `count` times; the files are whole afterwards."""
    outcomes, random, whole = Outcomes(f"flips in {what}"), np.random.default_rng(seed), read()
    for _ in range(count):
        path = files[random.integers(len(files))]
        before = path.read_bytes()
        which = flipped(path, random)
        outcomes.attempt(lambda: "the same numbers" if read() == whole else "other numbers", which)
        path.write_bytes(before)
    return outcomes


def flips_in_other_files(store: Path, recipe: Recipe, count: int, heal_every: int, seed: int = 0) -> Outcomes:
    """Flip a bit of a file that is no shard, `count` times: it must be found; every so many times, heal it."""
    outcomes, random = Outcomes("flips in other files of a store"), np.random.default_rng(seed)
    folder, whole = Folder(str(store)), digest(store)
    keys = [key for key in folder.all_keys() if not key.startswith(SHARDS)]
    for number in range(count):
        key = keys[random.integers(len(keys))]
        before = (store / key).read_bytes()
        which = flipped(store / key, random)
        outcomes.attempt(lambda key=key: "found" if key in damaged_files(folder) else "not found", which)
        if number % heal_every == 0:

            def heal() -> str:
                verify_folder(str(store), Runner(workers=1), QUIET)
                build_in_process(recipe, store, repair=True)
                return "healed" if digest(store) == whole else "healed to another digest"

            outcomes.attempt(heal, which)
        (store / key).write_bytes(before)
        (store / "ledger/verdict.json").unlink(missing_ok=True)
    return outcomes
