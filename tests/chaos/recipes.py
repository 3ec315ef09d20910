"""Recipes with a hostile value at a random key."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from corrstore.datasets.recipe.files import load_recipe
from tests.chaos.outcomes import Outcomes

SECONDS = 5.0  # twice what is promised: other work shares the machine
HOSTILE: list[Any] = [
    *(None, True, -1, 0, 10**30, 1e308, float("nan"), float("inf"), -1e-300, "", " ", "x" * 100_000, "\0", "\ud800"),
    *([], {}, [[]], [None], {"a": {}}, [1] * 5000, "../..", "/etc/passwd", "**/../*", "file://x", "gs://u:p@x/y?z=1"),
    *(
        "0001-01-01",
        "9999-12-31",
        "2020-02-30",
        "2020-06-01T24:00",
        "٢٠٢٠-٠٦-٠١",
        "99999999999999d",
        "1min",
        "0h",
        "-3h",
    ),
    *([{"z": list(range(3000))}], ["t2m"] * 3000, [f"z_{level}" for level in range(3000)], {"token": "secret"}),
]


def hostile_recipes(content: dict[str, Any], place: Path, count: int, seed: int = 0) -> Outcomes:
    """Put a hostile value at a random key of the recipe and load it, `count` times."""
    outcomes, random = Outcomes("recipes"), np.random.default_rng(seed)
    for number in range(count):
        changed = yaml.safe_load(yaml.safe_dump(content))
        keys = []
        at: Any = changed
        while True:
            key = list(at)[random.integers(len(at))] if isinstance(at, dict) else int(random.integers(len(at)))
            keys.append(key)
            if not isinstance(at[key], dict | list) or not at[key] or random.random() < 0.3:
                break
            at = at[key]
        value = HOSTILE[random.integers(len(HOSTILE))]
        at[key] = value
        path = place / f"{number}.yaml"
        path.write_text(yaml.safe_dump(changed), encoding="utf-8")

        def load(path=path) -> str:
            started = time.monotonic()
            try:
                load_recipe(str(path)).axes  # noqa: B018
                return "accepted"
            finally:
                if time.monotonic() - started > SECONDS:
                    outcomes.add("slow", path)

        outcomes.attempt(load, f"{'.'.join(map(str, keys))} = {value!r:.60}")
        path.unlink()
    return outcomes
