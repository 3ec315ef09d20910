"""A large catalog of SYNTHETIC stores for the benchmark: tables of stores that do not exist, really registered."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from corrstore.catalog.tables.entry import Registration
from corrstore.catalog.tables.registration import register
from corrstore.datasets.statistics.histograms import physical_edges
from corrstore.datasets.storage.folder import Folder, checksum
from corrstore.datasets.variables.channels import channel_named

CHANNELS = ("t2m", "tp", "u10m", "v10m", "u_850", "z_500", "t_850", "sp")
SAMPLES, INTERVALS, TIMES, BINS = 5000, 1000, 125, 60
KINDS = 40
HOUR = np.timedelta64(1, "h")


def made_registration(number: int, folder: Path, rng: np.random.Generator) -> Registration:
    """Return the registration of one of forty kinds of store: one year, hourly, 10,000 shards."""
    kind, year = number % KINDS, 1999 + number // KINDS
    start = np.datetime64(f"{year}-{'05' if kind % 2 else '01'}-01T00", "ms")
    location = folder / f"store{number:04d}"
    location.mkdir(parents=True)
    metadata = json.dumps({"attributes": {"corrstore": {"recipe": {"name": f"made{number}"}}}, "pad": "x" * 20000})
    (location / "zarr.json").write_text(metadata)
    row = {
        "title": f"SYNTHETIC store {number}",
        "start": start.astype(object),
        "end": (start + SAMPLES * HOUR).astype(object),
        "frequency_seconds": 3600,
        "samples": SAMPLES,
        "valid": SAMPLES - INTERVALS // 2,
        "partial": INTERVALS // 2,
        "missing": 0,
        "shards": 2 * SAMPLES,
        "bytes": SAMPLES * 10_000_000,
        "dtype": "float16",
        "input_channels": list(CHANNELS),
        "target_channels": list(CHANNELS[: 4 + kind % 4]),
        "static_channels": ["orog"],
        "input_grid": _grid(kind, 0.25),
        "target_grid": _grid(kind, (0.03, 0.05, 0.1, 0.125)[kind % 4]),
        "fingerprint": f"{kind:016x}",
        "metadata_sha256": checksum(metadata.encode()),
        "layout_version": 1,
        "software": "corrstore",
        "recipe": json.dumps({"name": f"made{number}", "text": "x" * 2000}),
    }
    tables = {
        "stores": pa.Table.from_pylist([row]),
        "channels": _channels(),
        "coverage": _coverage(start),
        "statistics": _statistics(start, rng),
        "sources": pa.table({"source": ["era5"], "path": ["/archive/era5"], "bytes": [1]}),
        "shards": _shards(start, rng),
    }
    return Registration(f"made{number}", str(location), tables)


def make_catalog(folder: Path, stores: int) -> None:
    """Register that many made stores in `folder/catalog`."""
    rng = np.random.default_rng(0)
    for number in range(stores):
        register(Folder(str(folder / "catalog")), made_registration(number, folder / "stores", rng))


def _grid(kind: int, step: float) -> dict:
    south, west = 12 + kind % 5, 70 + kind % 7
    north, east = south + 45, west + 70
    steps = {"rows": int(45 / step) + 1, "columns": int(70 / step) + 1, "lat_step": step, "lon_step": step}
    return {"hash": f"{kind}-{step}", "south": south, "west": west, "north": north, "east": east, **steps}


def _channels() -> pa.Table:
    rows = [
        {"role": "target", "position": place, "channel": name, "units": channel_named(name).variable.units}
        | {"edges": physical_edges(channel_named(name).variable).tolist()}
        | {"wet_threshold": channel_named(name).variable.wet_threshold, "mean": 0.0, "std": 1.0}
        for place, name in enumerate(CHANNELS)
    ]
    return pa.Table.from_pylist(rows)


def _coverage(start: np.datetime64) -> pa.Table:
    """Return runs of nine valid hours, each followed by a partial one."""
    per_run = 2 * SAMPLES // INTERVALS
    runs = start + np.arange(INTERVALS // 2) * per_run * HOUR
    starts = np.stack([runs, runs + (per_run - 1) * HOUR], 1).ravel()
    ends = np.append(starts[1:], start + SAMPLES * HOUR)
    status = ["valid", "partial"] * (INTERVALS // 2)
    reasons = [[], ["target tp: 12 of 3840000 pixels are missing"]] * (INTERVALS // 2)
    samples = ((ends - starts) / HOUR).astype(int)
    return pa.table({"start": starts, "end": ends, "status": status, "reasons": reasons, "samples": samples})


def _statistics(start: np.datetime64, rng: np.random.Generator) -> pa.Table:
    rows = len(CHANNELS) * TIMES
    shape = 40000 * np.exp(-(((np.arange(BINS) - BINS / 2) / 12) ** 2))
    counts = rng.poisson(np.broadcast_to(shape, (rows, BINS))).astype(np.int32)
    total = counts.sum(axis=1)
    return pa.table(
        {
            "role": ["target"] * rows,
            "channel": np.repeat(CHANNELS, TIMES),
            "valid_time": np.tile(start + np.arange(TIMES) * (SAMPLES // TIMES) * HOUR, len(CHANNELS)),
            "count": total.astype(np.int64),
            "missing": np.zeros(rows, np.int64),
            "mean": rng.normal(280, 10, rows),
            "m2": rng.random(rows) * total,
            "minimum": rng.normal(220, 1, rows),
            "maximum": rng.normal(320, 1, rows),
            "histogram_first": np.full(rows, 100, np.int32),
            "histogram": pa.ListArray.from_arrays(np.arange(rows + 1, dtype=np.int32) * BINS, counts.ravel()),
        }
    )


def _shards(start: np.datetime64, rng: np.random.Generator) -> pa.Table:
    rows = 2 * SAMPLES
    digits = rng.bytes(32 * rows).hex().encode()
    sha256 = pa.StringArray.from_buffers(
        rows, pa.py_buffer(np.arange(rows + 1, dtype=np.int32) * 64), pa.py_buffer(digits)
    )
    return pa.table(
        {
            "role": np.repeat(["input", "target"], SAMPLES),
            "valid_time": np.tile(start + np.arange(SAMPLES) * HOUR, 2),
            "key": [f"{role}/c/{index}/0/0/0" for role in ("input", "target") for index in range(SAMPLES)],
            "bytes": rng.integers(1_000_000, 10_000_000, rows),
            "sha256": sha256,
        }
    )
