"""Changes of a recipe between two builds of one store: those that are refused, and those that are kept in history."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np

from corrstore.datasets.errors import BadInput
from corrstore.datasets.pairing.sources import used_rules
from corrstore.datasets.recipe.recipe import Recipe
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.build_record import BuildRecord
from corrstore.datasets.store.ledger import HISTORY, read_json, write_json

Key = tuple[str, ...]
_LAST_LEAD = ("forecast", "leads", "last")
_FREE = {
    *(("title",), ("max_missing_share",), ("like", "store")),
    *(("splits", "validation"), ("splits", "test"), ("splits", "embargo")),
}


def refuse_changes(build_record: BuildRecord, new: Recipe, where: str) -> None:
    """Raise BadInput, with every differing key and both values, unless the new recipe only lets the store grow.

    A store may grow at its end, gain or move validation and test splits, and find its archives elsewhere. Runs that are
    appended may have last leads of their own, if those of the store's runs, and the longest one, stay.
    """
    before, after = _flat(build_record.recipe.content), _flat(new.content)
    was_read, is_read = build_record.rules, used_rules(new)
    before |= _flat(_of_both(was_read, is_read), ("rules of", "source"))
    after |= _flat(_of_both(is_read, was_read), ("rules of", "source"))
    same_leads = _same_leads(build_record.recipe, new)
    differing = [
        (key, before.get(key), after.get(key))
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
        and not _may_change(key, before.get(key), after.get(key))
        and not (key[:3] == _LAST_LEAD and same_leads)
    ]
    if differing:
        lines = "\n".join(
            f"  {'.'.join(key)}: {was!r} in the store, {now!r} in the recipe" for key, was, now in differing
        )
        raise BadInput(
            f"{where} was begun with another recipe:\n{lines}\n"
            "give the store's recipe (`corrstore inspect` shows it), or another --output"
        )


def _of_both(rules: dict[str, Any], others: dict[str, Any]) -> dict[str, Any]:
    """Return the rules of the fields that the others have, too: of any more, the channels of the recipes differ."""
    return {
        source: {name: rule for name, rule in fields.items() if name in others[source]}
        for source, fields in rules.items()
        if source in others
    }


def changed_splits(build_record: BuildRecord, new: Recipe) -> dict[str, list[Any]]:
    """Return the keys of the splits that differ, with the values (or None) in the store and in the recipe."""
    before, after = (_flat(recipe.content["splits"], ("splits",)) for recipe in (build_record.recipe, new))
    return {
        ".".join(key): [before.get(key), after.get(key)]
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    }


def keep_in_history(folder: Folder, changed: dict[str, list[Any]]) -> None:
    """Add the changes to the store's history with the time of now, once."""
    history = read_history(folder)
    if not history or history[-1].get("changes") != changed:
        time = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(folder, HISTORY, {"history": [*history, {"time": time, "changes": changed}]}, twice=True)


def read_history(folder: Folder, key: str = HISTORY) -> list[dict[str, Any]]:
    """Return the changes of the splits, the oldest first; none where there is no history."""
    found = read_json(folder, key) if folder.exists(key) else []
    return found["history"] if isinstance(found, dict) else found  # an older corrstore wrote the list alone


def _may_change(key: Key, was: Any, now: Any) -> bool:
    if key in (("period", "end"), ("forecast", "inits", "end")):
        return isinstance(was, str) and isinstance(now, str) and now > was
    if key == ("forecast", "inits"):
        return isinstance(was, list) and isinstance(now, list) and now[: len(was)] == was
    place_of_archive = key[0] == "sources" and key[2:3] in (("path",), ("storage_options",), ("files",))
    return place_of_archive or key[:1] in _FREE or key[:2] in _FREE


def _same_leads(before: Recipe, new: Recipe) -> bool:
    """Return whether both are of forecasts, along the same leads, and the runs of `before` have the same ones."""
    ours, theirs = before.axes, new.axes
    if ours.leads is None or theirs.leads is None or ours.schedule is None or theirs.schedule is None:
        return False
    return np.array_equal(ours.leads, theirs.leads) and np.array_equal(
        ours.schedule, theirs.schedule[: len(ours.schedule)]
    )


def _flat(content: Any, prefix: Key = ()) -> dict[Key, Any]:
    if not isinstance(content, dict):
        return {prefix: content}
    flat: dict[Key, Any] = {}
    for key, value in content.items():
        flat |= _flat(value, (*prefix, key))
    return flat
