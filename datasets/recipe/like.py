"""`like`: what a recipe takes over from a training store, so that the store's model can read what is built."""

from __future__ import annotations

import json
from typing import Any

from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.parts import ROLES
from corrstore.datasets.storage.folder import Folder, absolute

_OF_ROLE = {"input": ("grid", "halo", "channels"), "target": ("grid", "channels")}
_OF_RECIPE = ("floors", "caps", "transforms", "may_be_missing", "variables")
_MAY_BE_OWN = ("may_be_missing", "variables")


def add_like(content: dict[str, Any]) -> None:
    """Complete a recipe's content by the training store that it names under `like`.

    Grid, halo, channels, floors, caps, transforms, window, dtype and constants are the store's. Raises BadInput where
    there is no training store, and where the recipe says something else of one of them.
    """
    url = content.get("like")
    if not isinstance(url, str):
        return
    folder = Folder(absolute(url))
    attributes = _attributes(folder)
    theirs = attributes["recipe"]
    content["like"] = {
        "store": folder.url,
        "fingerprint": attributes["fingerprint"],
        "target_grid": theirs["target"]["grid"],
    }
    for role in ROLES:
        for key in _OF_ROLE[role] if isinstance(content.get(role), dict) else ():
            _take_over(content[role], key, theirs[role][key], f"{role}.{key}", folder)
    if isinstance(content.get("input"), dict):
        content["input"].setdefault("regrid", "by_resolution")
    for key in _OF_RECIPE:
        if theirs.get(key) or (content.get(key) and key not in _MAY_BE_OWN):
            _take_over(content, key, theirs.get(key, {}), key, folder)
    normalisation = content.get("normalisation")
    if isinstance(normalisation, dict) and (other := normalisation.get("constants_from")):
        raise BadInput(
            f"normalisation.constants_from is {other!r}, but `like` takes the constants of {folder.url}; remove"
            " normalisation.constants_from"
        )
    period = theirs.get("period") or theirs["forecast"]["leads"]
    _take_over(content, "window", theirs["window"] or period.get("frequency") or period["every"], "window", folder)
    _take_over(content, "static", [{"variable": each["variable"]} for each in theirs["static"]], "static", folder)
    _take_over(content, "store", theirs["store"], "store", folder)


def _take_over(content: dict[str, Any], key: str, value: Any, name: str, folder: Folder) -> None:
    if content.setdefault(key, value) != value:
        raise BadInput(
            f"{name} is {content[key]!r}, but {value!r} in {folder.url}, which the store shall be like; remove {name}"
        )


def _attributes(folder: Folder) -> dict[str, Any]:
    try:
        attributes: dict[str, Any] = json.loads(folder.read("zarr.json"))["attributes"]["corrstore"]
        _ = attributes["recipe"]["target"]["grid"], attributes["recipe"]["input"]["grid"], attributes["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError):
        raise BadInput(
            f"like: {folder.url} is no finished training store with input and target; give the path of the store that"
            " the model was trained on"
        ) from None
    return attributes
