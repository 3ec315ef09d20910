"""A small store of forecasts like a training store, made of that store's own inputs, without an archive."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from corrstore.datasets.recipe.like import add_like
from corrstore.datasets.recipe.recipe import recipe_from
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.layout import StorePlan
from corrstore.datasets.store.metadata import metadata_objects
from corrstore.datasets.store.opening import Store, open_store

INITS = ["2020-06-01T12", "2020-06-01T18"]
MISSING = 5
"""The sample that lacks its input: lead 6 h of the second run."""


def store_of_runs(like: Store, folder: Path) -> Store:
    """Two runs at leads of 3 to 12 h, the second one until 9 h; the input is the training store's at the valid time."""
    content = {
        "name": "runs",
        "title": "SYNTHETIC runs",
        "like": like.folder.url,
        "forecast": {
            "inits": INITS,
            "leads": {"first": "3h", "last": {12: "12h", 18: "9h"}, "every": "3h"},
        },
        "sources": {"runs": {"type": "sff", "path": "none"}},
        "input": {"source": "runs"},
    }
    add_like(content)
    plan = StorePlan(recipe_from(content), {"input": like.plan.normalisations["input"]})
    valid = plan.axes.due & (np.arange(len(plan.axes)) != MISSING)
    for index in np.flatnonzero(valid):
        (there,) = np.flatnonzero(like.times == plan.axes.valid_times[index])
        shard = Folder(like.folder.url).read(like.plan.shard_key("input", int(there)))
        Folder(str(folder)).write(plan.shard_key("input", int(index)), shard)
    for key, content in metadata_objects(plan, valid, like.static, "none").items():
        Folder(str(folder)).write(key, content)
    return open_store(str(folder))
