"""The build record: what an interrupted build must know to continue."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from corrstore.datasets.recipe.recipe import Recipe, recipe_from
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.constants import Constants
from corrstore.datasets.store.layout import ROLES, stored_normalisation
from corrstore.datasets.store.ledger import BUILD, read_json


@dataclass(frozen=True)
class BuildRecord:
    """The record of a build: its recipe, the rules that its archives are read by, and its constants once frozen."""

    recipe: Recipe
    rules: dict[str, Any]
    constants: Constants | None = None


def write_build_record(folder: Folder, build_record: BuildRecord) -> None:
    """Write the build record, which the next start of the build reads."""
    frozen = build_record.constants
    content: dict[str, Any] = {"recipe": build_record.recipe.content, "rules": build_record.rules, "constants": None}
    if frozen is not None:
        content["constants"] = {"notes": frozen.notes}
        for role in ROLES:
            content["constants"][role] = [
                [each.transform.name, each.mean, each.std] for each in frozen.normalisations[role]
            ]
    folder.write(BUILD, json.dumps(content, indent=1).encode())


def read_build_record(folder: Folder) -> BuildRecord | None:
    """Return the build record of the folder; None where there is none. Raises DamagedData where it is damaged."""
    if not folder.exists(BUILD):
        return None
    content = read_json(folder, BUILD)
    recipe = recipe_from(content["recipe"], folder.path(BUILD))
    frozen = content["constants"]
    if frozen is None:
        return BuildRecord(recipe, content["rules"])
    normalisations = {role: [stored_normalisation(*each) for each in frozen[role]] for role in ROLES}
    return BuildRecord(recipe, content["rules"], Constants(normalisations, frozen["notes"]))
