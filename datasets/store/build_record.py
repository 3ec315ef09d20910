"""The state of a build, by which it continues: the build record, and the plans that workers read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corrstore.datasets.errors import BadInput, DamagedData
from corrstore.datasets.pairing.sample_plan import PAIRS_SCHEMA, SamplePlan, sample_plans
from corrstore.datasets.recipe.recipe import Recipe, recipe_from
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.constants import Constants
from corrstore.datasets.store.layout import LAYOUT_VERSION, stored_normalisation
from corrstore.datasets.store.ledger import BUILD, PLANS, SAMPLES_IN_ROW_GROUP, parquet_bytes, read_json


@dataclass(frozen=True)
class BuildRecord:
    """The record of a build: its recipe, the rules that its archives are read by, and its constants once frozen."""

    recipe: Recipe
    rules: dict[str, Any]
    constants: Constants | None = None


def write_build_record(folder: Folder, build_record: BuildRecord) -> None:
    """Write the build record, which the next start of the build reads."""
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
    folder.write(BUILD, json.dumps(content, indent=1).encode())


def read_build_record(folder: Folder) -> BuildRecord | None:
    """Return the build record of the folder; None where there is none.

    Raises DamagedData where it is damaged, and BadInput where an older corrstore wrote it.
    """
    if not folder.exists(BUILD):
        return None
    content = read_json(folder, BUILD)
    found = content.get("layout_version", 2)
    if found != LAYOUT_VERSION:
        raise BadInput(
            f"{folder.url} has layout version {found}, this corrstore writes {LAYOUT_VERSION}; `corrstore convert"
            f" {folder.url} NEW` writes a finished store anew, or give another --output"
        )
    recipe = recipe_from(content["recipe"], folder.path(BUILD))
    frozen = content["constants"]
    if frozen is None:
        return BuildRecord(recipe, content["rules"])
    normalisations = {role: [stored_normalisation(*each) for each in frozen[role]] for role in recipe.roles}
    return BuildRecord(recipe, content["rules"], Constants(normalisations, frozen["notes"]))


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
    try:
        rows = pq.read_table(pa.BufferReader(folder.read(key))).cast(PAIRS_SCHEMA)
    except (pa.ArrowException, OSError):
        raise DamagedData(f"{folder.path(key)} cannot be read; give the same command again") from None
    plan = next(sample_plans(rows.filter(pc.equal(rows["index"], index))), None)
    if plan is None:
        raise DamagedData(f"{folder.path(key)} has no plan of sample {index}; give the same command again")
    return plan


def _block_key(block: int) -> str:
    return f"{PLANS}/{block}.parquet"
