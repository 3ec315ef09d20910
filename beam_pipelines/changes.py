"""What may change between two builds of one store, and what may not."""

from __future__ import annotations

from typing import Any

from datasets.errors import BadInput
from datasets.recipe import Recipe

_FREE = ("title", "max_missing_share", "splits.validation", "splits.test", "splits.embargo")


def refuse_changes(old: Recipe, new: Recipe, where: str) -> None:
    """BadInput, with every differing key and both values, unless the new recipe only lets the store grow.

    A store may grow at its end, gain or move validation and test splits, and find its archives elsewhere.
    """
    before, after = _flat(old.content), _flat(new.content)
    differing = [
        (key, before.get(key), after.get(key))
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key) and not _may_change(key, before.get(key), after.get(key))
    ]
    if differing:
        lines = "\n".join(f"  {key}: {was!r} in the store, {now!r} in the recipe" for key, was, now in differing)
        raise BadInput(
            f"{where} was begun with another recipe:\n{lines}\n"
            "give the store's recipe (`corrstore inspect` shows it), or another --output"
        )


def _may_change(key: str, was: Any, now: Any) -> bool:
    if key == "period.end":
        return bool(now > was)
    place_of_archive = key.startswith("sources.") and key.split(".")[2] in ("path", "storage_options")
    return place_of_archive or key.startswith(_FREE)


def _flat(content: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(content, dict):
        return {prefix: content}
    flat: dict[str, Any] = {}
    for key, value in content.items():
        flat |= _flat(value, f"{prefix}.{key}" if prefix else key)
    return flat
