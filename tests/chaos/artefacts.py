"""All that corrstore reads of a run, a forecast, a catalog and an evaluation, as one digest each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from corrstore.catalog.queries.access import Catalog
from corrstore.catalog.tables.schemas import TABLES
from corrstore.datasets.storage.folder import Folder
from corrstore.training.evaluation.sums import read_sums
from corrstore.training.forecasts.files import open_forecast
from corrstore.training.learning.checkpoint import BEST, LAST, read_checkpoint
from corrstore.training.learning.launching import read_run_record

_PASSING = ("registered", "registration", "host")  # of a catalog's rows: when, and by whom


def of_run(run: Path) -> str:
    """The two checkpoints and the record of a run."""
    checkpoints = [read_checkpoint(run / name) for name in (BEST, LAST)]
    return _digest([*checkpoints, read_run_record(run).model_dump()])


def of_forecast(folder: Path) -> str:
    """The header and the fields of a forecast's parts."""
    forecast = open_forecast(str(folder))
    parts = [part for part in forecast.header.parts if forecast.has(part)]
    fields = [forecast.read(part, channel) for part in parts for channel in forecast.header.channels]
    return _digest([forecast.header.content, *fields])


def of_catalog(folder: Path) -> str:
    """The answers of a catalog about each of its stores, and all rows."""
    catalog = Catalog(str(folder))
    listed = sorted(catalog.listing(), key=lambda row: row["location"])
    found: list[Any] = [repr(catalog.statistics(["t2m"])[0].row), [each["location"] for each in listed]]
    for row in listed:
        found += [catalog.table(table, row["location"]).to_pylist() for table in TABLES]
    return _digest(found)


def of_evaluation(folder: Path) -> str:
    """The records of an evaluation, from which its scores are made."""
    place = Folder(str(folder))
    keys = [key.removesuffix(".parquet").rsplit("/", 1) for key in place.all_keys() if key.startswith("records/")]
    return _digest([read_sums(place, *key).sums for key in keys])


def _digest(content: Any) -> str:
    whole = hashlib.sha256()
    for part in _parts(content):
        whole.update(part)
    return whole.hexdigest()


def _parts(content: Any) -> Iterator[bytes]:
    if isinstance(content, torch.Tensor):
        yield content.detach().contiguous().numpy().tobytes()
    elif isinstance(content, np.ndarray):
        yield content.tobytes()
    elif isinstance(content, dict):
        for key, value in content.items():
            if key not in _PASSING:
                yield repr(key).encode()
                yield from _parts(value)
    elif isinstance(content, list | tuple):
        for value in content:
            yield from _parts(value)
    else:
        yield repr(content).encode()
