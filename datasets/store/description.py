"""The description of a store in plain values, for people and for scripts."""

from __future__ import annotations

from typing import Any

import pyarrow.compute as pc

from corrstore.datasets.recipe.periods import format_time
from corrstore.datasets.recipe.recipe import Recipe
from corrstore.datasets.recipe.sample_axes import SampleAxes, format_lead
from corrstore.datasets.store.ledger import SHARDS
from corrstore.datasets.store.opening import Store
from corrstore.datasets.variables.channels import Channel


def _runs(axes: SampleAxes) -> dict[str, Any]:
    """Return the runs and lead times of a store of forecasts; nothing for one of valid times."""
    if axes.inits is None or axes.leads is None:
        return {}
    return {
        "runs": f"{len(axes.inits)}: {format_time(axes.inits[0])} to {format_time(axes.inits[-1])}",
        "leads": f"{format_lead(axes.leads[0])} to {format_lead(axes.leads[-1])}",
        "init_times": [format_time(time) for time in axes.inits],
        "lead_times": [format_lead(lead) for lead in axes.leads],
    }


def _window(recipe: Recipe, channel: Channel) -> str:
    method = channel.variable.method
    return f"{recipe.accumulation_window} {method}" if method else "instant"


def describe(store: Store) -> dict[str, Any]:
    """Return the store as JSON-able values: grids, period, channels with constants, counts, size and lineage."""
    recipe, plan = store.recipe, store.plan
    shards = store.table(SHARDS)
    description: dict[str, Any] = {
        "title": recipe.title or recipe.name,
        "name": recipe.name,
        "period": str(recipe.interval),
        "frequency": recipe.frequency,
        **_runs(plan.axes),
        "splits": {name: str(interval) for name, interval in recipe.splits.intervals.items()},
        "samples": len(store.axes.due_samples),
        "valid": int(store.valid.sum()),
        "dtype": recipe.store.dtype,
        "bytes": pc.sum(shards["bytes"]).as_py() or 0,
        "fingerprint": store.fingerprint,
        "software": store.attributes["software"],
        "static": ", ".join(spec.variable for spec in recipe.static) or "none",
        "recipe": recipe.content,
    }
    for role in plan.roles:
        description[role] = {
            "grid": str(store.grid(role)),
            "shape": list(store.grid(role).shape),
            "channels": [
                {
                    "name": channel.name,
                    "standard_name": channel.variable.standard_name,
                    "units": channel.variable.units,
                    "level": channel.level,
                    "transform": normalisation.transform.name,
                    "mean": float(normalisation.mean),
                    "std": float(normalisation.std),
                    "window": _window(recipe, channel),
                }
                for channel, normalisation in zip(plan.channels(role), plan.normalisations[role], strict=True)
            ],
        }
    return description
