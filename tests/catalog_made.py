"""Registrations of stores that exist only as tables, for tests in which the data is not the point.

Processes of their own are started from here, so that they import little.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from corrstore.catalog.tables.entry import Registration
from corrstore.catalog.tables.registration import register
from corrstore.datasets.storage.folder import Folder, checksum

HOUR = np.timedelta64(1, "h")
GRID = {"hash": "g", "rows": 701, "columns": 1001, "south": 19.0, "west": 100.0, "north": 40.0, "east": 130.0}


def made(
    root: Path,
    name: str = "made",
    start: str = "2019-06-01",
    hours: int = 24,
    step: int = 1,
    invalid: tuple[int, ...] = (),
    inputs: tuple[str, ...] = ("t2m", "u_850"),
    targets: tuple[str, ...] = ("t2m",),
    grid: dict | None = None,
    mean: float = 280.0,
    place: str | None = None,
) -> Registration:
    """A store of `hours` hours from `start`, a sample every `step`; the `invalid` ones (by number) are partial.

    Its zarr.json is written, so that it is present.
    """
    location = root / (place or f"store-{checksum(name.encode())[:12]}")
    location.mkdir(parents=True, exist_ok=True)
    content = json.dumps({"attributes": {"corrstore": {"recipe": {"name": name}}}, "mean": mean})
    (location / "zarr.json").write_text(content)
    first = np.datetime64(start, "ms")
    times = first + np.arange(0, hours, step) * HOUR
    valid = ~np.isin(np.arange(len(times)), invalid)
    row = {
        "title": name,
        "start": first.astype(object),
        "end": (first + hours * HOUR).astype(object),
        "frequency_seconds": step * 3600,
        "samples": len(times),
        "valid": int(valid.sum()),
        "partial": int((~valid).sum()),
        "missing": 0,
        "input_channels": list(inputs),
        "target_channels": list(targets),
        "static_channels": [],
        "target_grid": {**GRID, "lat_step": 0.03, "lon_step": 0.03} if grid is None else grid,
        "metadata_sha256": checksum(content.encode()),
        "bytes": 10,
        "recipe": json.dumps({"name": name, "mean": mean}),
    }
    coverage = pa.table(
        {
            "start": times,
            "end": times + step * HOUR,
            "status": np.where(valid, "valid", "partial"),
            "reasons": [
                [] if good else [f"target t2m: missing at {time}"] for good, time in zip(valid, times, strict=True)
            ],
            "samples": [1] * len(times),
        }
    )
    keys = [("input", each) for each in inputs] + [("target", each) for each in targets]
    return Registration(
        name,
        str(location),
        {
            "stores": pa.Table.from_pylist([row]),
            "channels": pa.Table.from_pylist(
                [
                    {"role": role, "position": place, "channel": channel, "units": "K", "edges": [0.0, 250.0, 500.0]}
                    for place, (role, channel) in enumerate(keys)
                ]
            ),
            "coverage": coverage,
            "statistics": pa.table(
                {
                    "role": np.repeat([role for role, _ in keys], len(times)),
                    "channel": np.repeat([channel for _, channel in keys], len(times)),
                    "valid_time": np.tile(times, len(keys)),
                    "count": [2] * len(keys) * len(times),
                    "missing": [0] * len(keys) * len(times),
                    "mean": [mean] * len(keys) * len(times),
                    "m2": [2.0] * len(keys) * len(times),
                    "minimum": [mean - 1] * len(keys) * len(times),
                    "maximum": [mean + 1] * len(keys) * len(times),
                    "histogram_first": [2] * len(keys) * len(times),
                    "histogram": [[2]] * len(keys) * len(times),
                }
            ),
            "shards": pa.table(
                {
                    "role": ["target"] * len(times),
                    "valid_time": times,
                    "key": [f"target/c/{index}/0/0/0" for index in range(len(times))],
                    "bytes": [1] * len(times),
                    "sha256": [checksum(f"{mean} {time}".encode()) for time in times],
                }
            ),
        },
    )


def register_one(root: str, name: str, barrier) -> None:
    """Register a store when all others are ready to."""
    registration = made(Path(root), name)
    barrier.wait()
    register(Folder(f"{root}/catalog"), registration)


def register_over_and_over(root: str, stop) -> None:
    """Register a short and a long version of a store in turn."""
    while not stop.is_set():
        for hours, mean in ((24, 280.0), (48, 290.0)):
            register(Folder(f"{root}/catalog"), made(Path(root), hours=hours, mean=mean))
