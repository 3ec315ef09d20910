"""The state of a build, by which it continues: the build record, and the plans that workers read."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corrstore.datasets.errors import BadInput
from corrstore.datasets.pairing.sample_plan import PAIRS_SCHEMA, SamplePlan, sample_plans
from corrstore.datasets.recipe.recipe import Recipe, recipe_from
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.constants import Constants
from corrstore.datasets.store.layout import LAYOUT_VERSION, stored_normalisation
from corrstore.datasets.store.ledger import (
    BUILD,
    CHECKSUMS,
    COPIES,
    LEDGER,
    PLANS,
    SAMPLES_IN_ROW_GROUP,
    UNFINISHED,
    damaged,
    parquet_bytes,
    parsed_table,
    read_json,
    read_own,
    write_json,
)

_FIRST = ("owner-", *(key.removeprefix(f"{LEDGER}/") for key in (UNFINISHED, CHECKSUMS, COPIES)))
"""The beginnings of the names in a ledger that may be written before the build record."""


@dataclass(frozen=True)
class BuildRecord:
    """The record of a build: its recipe, the rules that its archives are read by, and its constants once frozen."""

    recipe: Recipe
    rules: dict[str, Any]
    constants: Constants | None = None


def is_before_build_record(folder: Folder) -> bool:
    """Return whether the folder holds nothing but what may be written before the build record."""
    return set(folder.names("")) <= {LEDGER} and all(name.startswith(_FIRST) for name in folder.names(LEDGER))


def write_build_record(folder: Folder, build_record: BuildRecord) -> None:
    """Write the build record and its copy, which the next start of the build reads."""
    frozen = build_record.constants
    content: dict[str, Any] = {
        "layout_version": LAYOUT_VERSION,
        "recipe": build_record.recipe.content,
        "rules": build_record.rules,
        "constants": None,
    }
    if frozen is not None:
        content["constants"] = {"notes": frozen.notes}
        for role in build_record.recipe.roles:
            content["constants"][role] = [
                [each.transform.name, each.mean, each.std] for each in frozen.normalisations[role]
            ]
    write_json(folder, BUILD, content, twice=True)


def read_build_record(folder: Folder, key: str = BUILD) -> BuildRecord | None:
    """Return the build record of the folder, or its copy of another key; None where there is none.

    Raises DamagedData where it is damaged, and BadInput where an older corrstore wrote it.
    """
    if not folder.exists(key):
        return None
    content = read_json(folder, key)
    if not isinstance(content, dict) or set(content) - {"layout_version"} != {"recipe", "rules", "constants"}:
        raise damaged(folder, key, "it lacks a key, or has one too many")
    found = content.get("layout_version", 2)
    if found in range(1, LAYOUT_VERSION):
        raise BadInput(
            f"{folder.url} has layout version {found}, this corrstore writes {LAYOUT_VERSION}; `corrstore convert"
            f" {folder.url} NEW` writes a finished store anew, or give another --output"
        )
    try:
        if found != LAYOUT_VERSION:
            raise ValueError(f"layout version {found}")
        recipe = recipe_from(content["recipe"])
        frozen = content["constants"]
        if frozen is None:
            return BuildRecord(recipe, content["rules"])
        normalisations = {role: [stored_normalisation(*each) for each in frozen[role]] for role in recipe.roles}
        return BuildRecord(recipe, content["rules"], Constants(normalisations, frozen["notes"]))
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(folder, key, f"{type(error).__name__}: {' '.join(str(error).split())}") from None


def write_plans(folder: Folder, pairs: pa.Table) -> None:
    """Write the pairs (PAIRS_SCHEMA, ascending in index) in blocks of a few samples: a worker reads one block."""
    folder.remove(PLANS)
    blocks = pairs["index"].to_numpy() // SAMPLES_IN_ROW_GROUP
    bounds = [0, *(np.flatnonzero(np.diff(blocks)) + 1), len(blocks)]
    for start, stop in pairwise(bounds):
        if stop > start:
            folder.write(_block_key(int(blocks[start])), parquet_bytes(pairs.slice(start, stop - start)))


def read_plan(folder: Folder, index: int) -> SamplePlan:
    """Return the plan of one sample; raises DamagedData where there is none or it cannot be read."""
    key = _block_key(index // SAMPLES_IN_ROW_GROUP)
    rows = read_own(folder, key, lambda content: parsed_table(content).cast(PAIRS_SCHEMA))
    plan = next(sample_plans(rows.filter(pc.equal(rows["index"], index))), None)
    if plan is None:
        raise damaged(folder, key, f"it has no plan of sample {index}")
    return plan


def _block_key(block: int) -> str:
    return f"{PLANS}/{block}.parquet"
