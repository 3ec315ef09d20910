"""Climatology: the values that the truth had in the train split, whatever the weather."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from corrstore.datasets.errors import BadInput
from corrstore.datasets.statistics.histograms import quantile
from corrstore.datasets.statistics.table import merged_by_channel
from corrstore.datasets.store.ledger import HISTOGRAMS, STATISTICS
from corrstore.datasets.store.opening import Store

MEMBERS = 10


@dataclass(frozen=True)
class Climatology:
    """The climatology of a store's targets, from its statistics of the train split, without reading a field.

    Raises BadInput where the store has no train split.
    """

    store: Store

    def members(self, channel: str, valid: np.datetime64) -> NDArray[np.float32]:
        """Return MEMBERS equally likely values of a channel in physical units: quantiles 0.05, 0.15, ... of all pixels.

        They are of the train split's times in the same month of the year and hour of the day or, where there is none,
        at the same hour, or else of all of them. A quantile in the bin of the least value, as of no rain, is that.
        """
        table = self._tables.get(channel)
        if table is None or not len(table):
            raise BadInput(f"{self.store.folder.url} has no {channel} in its train split; leave out climatology")
        times = table["valid_time"].to_numpy().astype("datetime64[s]")
        month, hour = times.astype("datetime64[M]").astype(int) % 12, times.astype("datetime64[h]").astype(int) % 24
        same_hour = hour == valid.astype("datetime64[h]").astype(int) % 24
        same_month = month == valid.astype("datetime64[M]").astype(int) % 12
        alike = next(each for each in (same_hour & same_month, same_hour, np.ones(len(times), bool)) if each.any())
        (block,) = merged_by_channel(table.filter(pa.array(alike))).values()
        edges = self._edges[channel]
        shares = (np.arange(MEMBERS) + 0.5) / MEMBERS
        found = [quantile(block.histogram, edges, block.minimum, block.maximum, share)[0] for share in shares]
        above = edges[min(int(np.searchsorted(edges, block.minimum, "right")), edges.size - 1)]
        return np.array([each if each >= above else block.minimum for each in found], np.float32)

    @cached_property
    def _tables(self) -> dict[str, pa.Table]:
        """The rows of the train split, by channel."""
        train = self.store.recipe.splits.intervals.get("train")
        if train is None:
            raise BadInput(f"{self.store.folder.url} has no train split that climatology could be of; leave it out")
        table = self.store.table(STATISTICS)
        inside = train.mask(table["valid_time"].to_numpy().astype("datetime64[s]"))
        table = table.filter(pc.and_(pc.equal(table["role"], "target"), pa.array(inside)))
        return {
            name: table.filter(pc.equal(table["channel"], name)) for name in self.store.recipe.channel_names("target")
        }

    @cached_property
    def _edges(self) -> dict[str, NDArray[np.float64]]:
        rows = self.store.table(HISTOGRAMS).to_pylist()
        return {row["channel"]: np.array(row["edges"]) for row in rows if row["role"] == "target"}
