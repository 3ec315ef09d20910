"""Changes of the archives since samples were made of them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from corrstore.datasets.archives.gridded.chunks import LocalGroups
from corrstore.datasets.errors import DamagedData
from corrstore.datasets.recipe.recipe import Recipe
from corrstore.datasets.samples.checksums import cached_checksum, size_and_time
from corrstore.datasets.storage.cache import file_key
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.ledger import CHECKSUMS, PAIRS

_COMPARED = [
    *("source", "wanted", "sign", "valid_time", "window_start", "inside", "offset", "length", "part"),
    *("name", "indexers", "scale", "add_offset", "grid_relative", "file_sha256"),
]

_SIGN = 2 + _COMPARED.index("sign")  # in a row of what is compared, which begins with source and path


@dataclass(frozen=True)
class Changes:
    """The samples whose fields are not those that they were made of, and the files that are to blame.

    `files` maps the path of each file that is another one now, or is not used any more, to the number of samples
    made of it as it was. Samples that only lose fields, of files that are not there any more, are in neither: `gone`
    maps each of these files to their number.
    """

    samples: frozenset[int] = frozenset()
    files: dict[str, int] = field(default_factory=dict)
    gone: dict[str, int] = field(default_factory=dict)


def find_changes(recipe: Recipe, before: Recipe, recorded: pa.Table, present: pa.Table) -> Changes:
    """Compare the pairs (PAIRS_SCHEMA) that samples were made of with those that the archives give now.

    An archive that was moved as a whole, from the path in the recipe `before`, has not changed. The static fields
    have index -1.
    """
    of_no_state = _paths_of_no_state(recorded, before)
    suspects = pa.array(
        _differing(_comparable(recorded, before, of_no_state), _comparable(present, recipe, of_no_state))
    )
    old, new = (
        _rows(pairs.filter(pc.is_in(pairs["index"], suspects)), of, of_no_state)
        for pairs, of in ((recorded, before), (present, recipe))
    )
    samples: set[int] = set()
    blamed: dict[str, set[int]] = defaultdict(set)
    gone: dict[str, set[int]] = defaultdict(set)
    for index in (index for index, rows in old.items() if index in new and rows != new[index]):
        places = {row[:2] for row in old[index] - new[index] if row[1] is not None}  # source and path
        paths = {f"{_root(recipe, source)}/{path}".rstrip("/") for source, path in places}
        away = {path for path in paths if "://" not in path and not Path(path).exists()}
        kept = paths and away == paths and all(row[_SIGN] == 0 for row in new[index] - old[index])
        if not kept:
            samples.add(index)
        for path in paths:
            (gone if kept else blamed)[path].add(index)
    files, lost = ({path: len(indices - {-1}) for path, indices in each.items()} for each in (blamed, gone))
    return Changes(frozenset(samples), files, lost)


def _differing(one: pa.Table, other: pa.Table) -> NDArray[np.int64]:
    """Return the indices of the samples whose rows, in the order of the index, are not the same in what is compared."""
    counted = [
        dict(zip(*np.unique(each["index"].to_numpy(), return_counts=True), strict=True)) for each in (one, other)
    ]
    unequal = np.array([i for i in counted[0].keys() & counted[1].keys() if counted[0][i] != counted[1][i]], np.int64)
    alike = pa.array([i for i in counted[0] if counted[0][i] == counted[1].get(i)], pa.int64())
    one, other = (
        each.filter(pc.is_in(each["index"], alike)).sort_by("index").combine_chunks() for each in (one, other)
    )
    differ = np.zeros(len(one), bool)
    for name in ("source", "path", *_COMPARED):
        same = pc.fill_null(pc.equal(one[name], other[name]), False).to_numpy()
        differ |= ~(same | (one[name].is_null().to_numpy() & other[name].is_null().to_numpy()))
    return np.union1d(unequal, one["index"].to_numpy()[differ])


def _comparable(pairs: pa.Table, recipe: Recipe, of_no_state: set[tuple[str, str | None]]) -> pa.Table:
    """Return the pairs with the path of each file below its archive's, and no checksum where none is compared.

    An archive may have been moved as a whole.
    """
    paths, sums = pairs["path"], pairs["file_sha256"]
    for source, root in ((name, str(spec.path)) for name, spec in recipe.sources.items()):
        of_source = pc.equal(pairs["source"], source)
        below = pc.utf8_ltrim(pc.utf8_slice_codeunits(paths, len(root)), "/")
        paths = pc.if_else(pc.and_(of_source, pc.starts_with(paths, root)), below, paths)
        stateless = pa.array([path for name, path in of_no_state if name == source], pa.string())
        sums = pc.if_else(pc.and_(of_source, pc.is_in(paths, stateless)), pa.scalar(None, pa.string()), sums)
    pairs = pairs.set_column(pairs.schema.get_field_index("path"), "path", paths)
    return pairs.set_column(pairs.schema.get_field_index("file_sha256"), "file_sha256", sums)


def changed_files(folder: Folder, sources: pa.Table) -> tuple[dict[str, set[int]], dict[str, set[int]]]:
    """Compare the files of a store's table of sources with what lies at their paths now.

    Returns the samples made of each file that is another one now, and those made of each that is not there; the
    static fields have index -1. A file of the recorded size and time of change whose state was not seen before is taken
    for the same one. Of Zarr groups the chunks are compared, but those in buckets.
    """
    seen = set(folder.names(CHECKSUMS))
    absent: set[tuple[str, str | None]] = set()
    changed: set[tuple[str, str | None]] = set()
    groups = {row["path"] for row in sources.to_pylist() if row["modified"] is None and "://" not in row["path"]}
    for row in (row for row in sources.to_pylist() if row["modified"] is not None):
        path, recorded = row["path"], (row["bytes"], row["modified"])
        try:
            state = size_and_time(path)
        except DamagedData:
            absent.add((path, None))
            continue
        if state == recorded and file_key(Path(path)) in seen:
            continue
        if cached_checksum(path) != row["sha256"]:
            changed.add((path, row["sha256"]))
    absent |= {(path, None) for path in groups if not Path(path).exists()}
    there = {path for path in groups if (path, None) not in absent}
    of_groups = _changed_groups(folder, there) if there else {}
    return of_groups | _samples_of(folder, changed), _samples_of(folder, absent)


def _samples_of(folder: Folder, files: set[tuple[str, str | None]]) -> dict[str, set[int]]:
    """Return by path the samples made of these files, each with a SHA-256 or, in whatever state it was, with None."""
    samples: dict[str, set[int]] = {path: set() for path, _ in files}
    if files:
        paths = pa.array(list(samples), pa.string())
        with folder.open(PAIRS) as file, pq.ParquetFile(file) as table:
            for batch in table.iter_batches(columns=["index", "path", "file_sha256"]):
                held = pa.table(batch.filter(pc.is_in(batch["path"], paths)))
                for row in held.group_by(held.column_names).aggregate([]).to_pylist():
                    if files & {(row["path"], None), (row["path"], row["file_sha256"])}:
                        samples[row["path"]].add(row["index"])
    return samples


def _changed_groups(folder: Folder, paths: set[str]) -> dict[str, set[int]]:
    """Return the samples made of chunks of each Zarr group that are other ones now."""
    changed: dict[str, set[int]] = defaultdict(set)
    groups = LocalGroups()

    def has_changed(row: dict[str, Any]) -> bool:
        try:
            return groups.state_of(row["path"], row["name"], row["indexers"]).sha256 != row["file_sha256"]
        except DamagedData:
            return True

    with folder.open(PAIRS) as file, pq.ParquetFile(file) as table:
        for batch in table.iter_batches(columns=["index", "path", "name", "indexers", "file_modified", "file_sha256"]):
            for row in batch.filter(pc.is_valid(batch["file_modified"])).to_pylist():
                if row["path"] in paths and has_changed(row):
                    changed[row["path"]].add(row["index"])
    return dict(changed)


def _paths_of_no_state(pairs: pa.Table, recipe: Recipe) -> set[tuple[str, str | None]]:
    """Return source and path below its archive's of what the pairs tell no state of, such as groups in buckets."""
    stateless = pairs.filter(pc.and_(pc.is_valid(pairs["path"]), pc.is_null(pairs["file_modified"])))
    rows = stateless.group_by(["source", "path"]).aggregate([]).to_pylist()
    return {(row["source"], _below(row["path"], _root(recipe, row["source"]))) for row in rows}


def _rows(pairs: pa.Table, recipe: Recipe, of_no_state: set[tuple[str, str | None]]) -> dict[int, set[tuple[Any, ...]]]:
    """Return what is compared of each sample: source, path below its archive's, and the compared columns."""
    rows: dict[int, set[tuple[Any, ...]]] = defaultdict(set)
    columns = [pairs[name].to_pylist() for name in _COMPARED]
    for index, source, path, *values, sha256 in zip(
        pairs["index"].to_pylist(), pairs["source"].to_pylist(), pairs["path"].to_pylist(), *columns, strict=True
    ):
        place = source, _below(path, _root(recipe, source))
        rows[index].add((*place, *values, None if place in of_no_state else sha256))
    return rows


def _root(recipe: Recipe, source: str) -> str:
    return str(recipe.sources[source].path) if source in recipe.sources else ""


def _below(path: str | None, root: str) -> str | None:
    return path and path.removeprefix(root).lstrip("/")
