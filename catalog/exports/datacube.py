"""The arrays of a store as dimensions and variables of STAC's datacube extension.

https://github.com/stac-extensions/datacube
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pystac.extensions.datacube import Dimension, Variable

from corrstore.catalog.pages.store_summary import StoreSummary
from corrstore.catalog.printing.markup import plain


def cube_dimensions(summary: StoreSummary) -> dict[str, Dimension]:
    """Return the dimensions of a store: those of its samples, the channels of each role, and the axes of both grids."""
    found: dict[str, Any] = _sample_dimensions(summary)
    for role in ("input", "target"):
        found[f"{role}_channel"] = _channel_dimension(summary, role)
        grid = summary.row[f"{role}_grid"]
        if grid and grid["rows"]:
            lat, lon = _axes(role)
            found[lat] = _axis("y", grid["south"], grid["north"], grid["lat_step"])
            found[lon] = _axis("x", grid["west"], grid["east"], grid["lon_step"])
    if summary.channels["static"]:
        found["static_channel"] = _channel_dimension(summary, "static")
    return {name: Dimension.from_dict(each) for name, each in found.items() if each}


def _sample_dimensions(summary: StoreSummary) -> dict[str, Any]:
    """Return the valid times or, of forecasts, the init times and the lead times in hours."""
    seconds = summary.row["frequency_seconds"]
    if summary.of_forecasts:
        inits = summary.samples.inits
        ends = (summary.row[f"{end}_lead_seconds"] for end in ("first", "last"))
        return {
            "init_time": {
                "type": "temporal",
                "extent": [f"{inits.min()}Z", f"{inits.max()}Z"],
                "description": "start of the run",
            },
            "lead_time": {
                "type": "lead_time",
                "extent": [end / 3600 for end in ends],
                "step": seconds / 3600,
                "unit": "h",
                "description": "time from the start of the run",
            },
        }
    time = {
        "extent": [f"{summary.start}Z", f"{summary.times[-1]}Z"],
        "step": f"PT{seconds // 3600}H" if seconds % 3600 == 0 else f"PT{seconds}S",
        "description": "valid time, missing or not",
    }
    return {"time": {"type": "temporal", **time}}


def _channel_dimension(summary: StoreSummary, role: str) -> dict[str, Any] | None:
    names = [plain(each.row["channel"]) for each in summary.channels[role]]
    return {"type": "channel", "values": names, "description": f"{role} channels"} if names else None


def _axes(role: str) -> tuple[str, str]:
    return ("input_lat", "input_lon") if role == "input" else ("lat", "lon")


def _axis(axis: str, low: float, high: float, step: float | None) -> dict[str, Any]:
    regular = {} if step is None or np.isnan(step) else {"step": round(step, 9)}
    return {"type": "spatial", "axis": axis, "extent": [low, high], **regular, "reference_system": 4326}


def cube_variables(summary: StoreSummary) -> dict[str, Variable]:
    """Return the arrays of a store as the variables of its datacube."""
    samples = list(_sample_dimensions(summary))
    dimensions = {
        "target": [*samples, "target_channel", *_axes("target")],
        "input": [*samples, "input_channel", *_axes("input")],
        "static": ["static_channel", *_axes("target")],
    }
    words = {
        "target": "fine fields, normalised",
        "input": "coarse fields on their own grid, normalised",
        "static": "fields that do not change with time, in physical units",
    }
    found = {
        role: Variable({"type": "data", "dimensions": dimensions[role], "description": words[role]})
        for role in dimensions
        if summary.channels[role]
    }
    valid = {"type": "auxiliary", "dimensions": samples, "description": "whether a sample may be used"}
    return {**found, "valid": Variable(valid)}
