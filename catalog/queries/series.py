"""The statistics of one channel of one store, sample by sample, as they are merged; the last read are kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corrstore.catalog.tables.reading import TableReader
from corrstore.datasets.recipe.periods import Times
from corrstore.datasets.statistics.histograms import BinEdges

MOMENTS = ("count", "missing", "mean", "m2", "minimum", "maximum")
_COLUMNS = ("init_time", "valid_time", *MOMENTS, "histogram_first", "histogram")
_MOST_BYTES = 96 * 2**20
_AT_ONCE = 8
Key = tuple[str, str, str]


@dataclass(frozen=True, eq=False)
class Series:
    """Rows of the table `statistics` in the order of time; the channel's row of the table `channels`, and its edges.

    `inits` are the init times of the samples' runs, NaT where they are of no run.
    `histograms` [samples, n]: their counts in the n bins from bin `first_bin` on; they have none in others.
    """

    channel: dict[str, Any]
    edges: BinEdges
    times: Times
    inits: Times
    moments: dict[str, NDArray[Any]]
    first_bin: int
    histograms: NDArray[np.int32]

    @property
    def nbytes(self) -> int:
        """The approximate memory of the series, in bytes."""
        return self.histograms.nbytes + self.edges.nbytes + (len(MOMENTS) + 2) * self.times.nbytes


class SeriesReader:
    """A reader of series that keeps the last ones in at most 96 MiB."""

    def __init__(self, tables: TableReader) -> None:
        self._tables = tables
        self._kept: OrderedDict[Key, Series | None] = OrderedDict()
        self._bytes = 0

    def __call__(self, keys: Sequence[Key]) -> list[Series | None]:
        """The series of each (registration, role, channel), None where the store has no such channel."""
        new = [key for key in keys if key not in self._kept]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for key, series in zip(new, pool.map(self._read, new), strict=True):
                self._kept[key] = series
                self._bytes += series.nbytes if series else 0
        for key in keys:
            self._kept.move_to_end(key)
        found = [self._kept[key] for key in keys]
        while self._bytes > _MOST_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.nbytes if oldest else 0
        return found

    def _read(self, key: Key) -> Series | None:
        registration, role, channel = key
        keep = {"role": role, "channel": channel}
        channels = self._tables.rows("channels", [registration], keep=keep).slice(0, 1)
        if len(channels) == 0:
            return None
        rows = self._tables.rows("statistics", [registration], _COLUMNS, keep).combine_chunks()
        moments = {name: rows[name].to_numpy() for name in MOMENTS}
        first_bin, histograms = _dense(rows)
        edges = channels["edges"].combine_chunks().flatten().to_numpy()
        (channel_row,) = channels.drop_columns("edges").to_pylist()
        times, inits = (rows[name].to_numpy().astype("datetime64[s]") for name in ("valid_time", "init_time"))
        return Series(channel_row, edges, times, inits, moments, first_bin, histograms)


def _dense(rows: pa.Table) -> tuple[int, NDArray[np.int32]]:
    """The trimmed histograms in one array, and the bin of its first column."""
    lists = rows["histogram"].combine_chunks()
    offsets = lists.offsets.to_numpy().astype(np.int64)
    counts = lists.values.to_numpy()[offsets[0] : offsets[-1]]
    size = np.diff(offsets)
    first = rows["histogram_first"].to_numpy().astype(np.int64)
    some = size > 0
    low = int(first[some].min(initial=np.iinfo(np.int32).max)) if some.any() else 0
    width = int((first + size)[some].max(initial=0)) - low if some.any() else 0
    dense = np.zeros((len(rows), width), np.int32)
    shift = np.arange(len(rows)) * width + first - low - (offsets[:-1] - offsets[0])
    dense.reshape(-1)[np.arange(counts.size) + np.repeat(shift, size)] = counts
    return low, dense
