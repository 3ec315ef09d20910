"""What the ledger's statistics say of all valid samples together, and which of them is the most active."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corrstore.catalog.printing.wording import share, short_number, units
from corrstore.datasets.statistics.blocks import BlockStatistics
from corrstore.datasets.statistics.histograms import BinEdges, share_at_least
from corrstore.datasets.statistics.table import Role, blocks_from_table, merged_by_channel
from corrstore.datasets.store.ledger import HISTOGRAMS, STATISTICS
from corrstore.datasets.store.opening import Store
from corrstore.datasets.variables.table import VARIABLES


class Counted(NamedTuple):
    """Merged statistics and the edges that their histogram was counted with."""

    statistics: BlockStatistics
    edges: BinEdges


Merged = dict[tuple[Role, str], Counted]


@dataclass(frozen=True)
class Active:
    """The most active valid sample, and why it is."""

    index: int
    why: str


def row_groups(store: Store, key: str) -> Iterator[pa.Table]:
    """A table of the ledger, a row group at a time."""
    place = store.folder.path(key) if store.folder.is_local else pa.BufferReader(store.folder.read(key))
    with pq.ParquetFile(place) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group)


def merged_statistics(store: Store) -> Merged:
    """The statistics of each role's channels over the valid samples; empty where no sample is valid."""
    found: dict[tuple[Role, str], BlockStatistics] = {}
    for rows in _valid_rows(store):
        for name, block in merged_by_channel(rows).items():
            found[name] = found[name].merge(block) if name in found else block
    edges = {
        (row["role"], row["channel"]): np.array(row["edges"])
        for table in row_groups(store, HISTOGRAMS)
        for row in table.to_pylist()
    }
    return {name: Counted(block, edges[name]) for name, block in found.items()}


def explained_share(merged: Merged, channel: str) -> float:
    """1 - Var(target - upsampled input) / Var(target): what the input explains of a channel; NaN where it cannot."""
    target, residual = merged.get(("target", channel)), merged.get(("residual", channel))
    if target is None or residual is None or not target.statistics.std > 0:
        return np.nan
    return 1 - (residual.statistics.std / target.statistics.std) ** 2


def most_active(store: Store, merged: Merged) -> Active | None:
    """The valid sample with most rain or, where it never rains, with the largest residuals; None if none is valid."""
    if not store.valid.any():
        return None
    rain, tp = merged.get(("target", "tp")), VARIABLES["tp"]
    threshold = tp.wet_threshold or 0.0
    if rain is not None and rain.statistics.maximum >= threshold:
        scores = [score for rows in _valid_rows(store) for score in _wet_shares(rows, rain.edges, threshold)]
        largest, wettest = max(scores)
        limit = f"{short_number(threshold)} {units(tp.units)}"
        return Active(
            _index(store, wettest), f"the one with most rain: {share(largest)} of the target has {limit} or more"
        )
    scores = [score for rows in _valid_rows(store) for score in _residual_spreads(rows, merged)]
    if scores:
        return Active(_index(store, max(scores)[1]), "the one with the largest residuals")
    return Active(int(store.valid.argmax()), "the first valid one")


def _index(store: Store, time: np.datetime64) -> int:
    return int(np.flatnonzero(store.times == time)[0])


def _valid_rows(store: Store) -> Iterator[pa.Table]:
    valid_times = store.times[store.valid]
    for rows in row_groups(store, STATISTICS):
        kept = rows.filter(np.isin(rows["valid_time"].to_numpy(), valid_times))
        if len(kept):
            yield kept


def _wet_shares(rows: pa.Table, edges: BinEdges, threshold: float) -> Iterator[tuple[float, np.datetime64]]:
    rain = rows.filter(pc.and_(pc.equal(rows["role"], "target"), pc.equal(rows["channel"], "tp")))
    for time, block in zip(rain["valid_time"].to_numpy(), blocks_from_table(rain), strict=True):
        yield share_at_least(block.histogram, edges, threshold), time


def _residual_spreads(rows: pa.Table, merged: Merged) -> Iterator[tuple[float, np.datetime64]]:
    """For each time the residuals' variances, each in units of what it is over all valid samples, added up."""
    residuals = rows.filter(pc.equal(rows["role"], "residual"))
    usual = [merged["residual", channel].statistics for channel in residuals["channel"].to_pylist()]
    variances = residuals["m2"].to_numpy() / np.maximum(residuals["count"].to_numpy(), 1)
    scales = np.array([block.std**2 for block in usual])
    relative = np.divide(variances, scales, out=np.zeros(len(usual)), where=scales > 0)
    times, place = np.unique(residuals["valid_time"].to_numpy(), return_inverse=True)
    yield from zip(np.bincount(place, relative).tolist(), times, strict=True)
