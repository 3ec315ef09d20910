"""What may change between two builds of one store, and what may not."""

from __future__ import annotations

from typing import Any

from corrstore.datasets.errors import BadInput
from corrstore.datasets.pairing.sources import used_rules
from corrstore.datasets.recipe.recipe import Recipe
from corrstore.datasets.store.build_record import BuildRecord

Key = tuple[str, ...]
_FREE = {("title",), ("max_missing_share",), ("splits", "validation"), ("splits", "test"), ("splits", "embargo")}


def refuse_changes(build_record: BuildRecord, new: Recipe, where: str) -> None:
    """BadInput, with every differing key and both values, unless the new recipe only lets the store grow.

    A store may grow at its end, gain or move validation and test splits, and find its archives elsewhere.
    """
    before, after = _flat(build_record.recipe.content), _flat(new.content)
    before |= _flat(build_record.rules, ("rules of", "source"))
    after |= _flat(used_rules(new), ("rules of", "source"))
    differing = [
        (key, before.get(key), after.get(key))
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key) and not _may_change(key, before.get(key), after.get(key))
    ]
    if differing:
        lines = "\n".join(
            f"  {'.'.join(key)}: {was!r} in the store, {now!r} in the recipe" for key, was, now in differing
        )
        raise BadInput(
            f"{where} was begun with another recipe:\n{lines}\n"
            "give the store's recipe (`corrstore inspect` shows it), or another --output"
        )


def _may_change(key: Key, was: Any, now: Any) -> bool:
    if key == ("period", "end"):
        return bool(now > was)
    place_of_archive = key[0] == "sources" and key[2:3] in (("path",), ("storage_options",), ("files",))
    return place_of_archive or key[:1] in _FREE or key[:2] in _FREE


def _flat(content: Any, prefix: Key = ()) -> dict[Key, Any]:
    if not isinstance(content, dict):
        return {prefix: content}
    flat: dict[Key, Any] = {}
    for key, value in content.items():
        flat |= _flat(value, (*prefix, key))
    return flat
