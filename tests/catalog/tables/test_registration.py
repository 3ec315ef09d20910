"""Registering stores: whole or not at all, each once, from many processes; and forgetting them."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corrstore.catalog.queries.access import Catalog
from corrstore.catalog.queries.pruning import prune
from corrstore.catalog.tables.description import describe_store, trimmed
from corrstore.catalog.tables.registration import register, register_store
from corrstore.catalog.tables.schemas import SCHEMAS, TABLES
from corrstore.datasets.errors import BadInput, DamagedData
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.ledger import HISTOGRAMS, MANIFEST, SHARDS, STATISTICS, UNFINISHED
from tests.catalog_made import made, register_one, register_over_and_over

AT_ONCE = timedelta(0)


def names(catalog: Catalog) -> list[str]:
    return sorted(row["name"] for row in catalog.listing())


def test_a_store_is_described_as_it_is(demo_store):
    tables = describe_store(demo_store).tables
    (row,) = tables["stores"].to_pylist()
    assert (row["samples"], row["valid"], row["frequency_seconds"]) == (14, 14, 3 * 3600)
    assert row["target_channels"] == ["t2m", "u10m", "v10m", "tp", "z_500", "refc"]
    assert (row["target_grid"]["rows"], row["target_grid"]["columns"]) == demo_store.grid("target").shape
    assert row["bytes"] == sum(Path(demo_store.folder.path(key)).stat().st_size for key in _keys(demo_store))
    (interval,) = tables["coverage"].to_pylist()
    assert (interval["start"], interval["end"]) == (row["start"], row["end"]) and interval["samples"] == 14

    channels = {(each["role"], each["channel"]): each for each in tables["channels"].to_pylist()}
    assert channels["static", "orog"]["units"] == "m" and channels["input", "t_850"]["level"] == 850
    tp = channels["target", "tp"]
    assert (tp["transform"], tp["window_seconds"], tp["wet_threshold"]) == ("log1p", 3 * 3600, 0.1)
    assert (tp["mean"], tp["std"]) == tuple(
        np.array([demo_store.group["target_mean"][3], demo_store.group["target_std"][3]])
    )
    assert [("residual", name) in channels for name in ("t2m", "refc")] == [True, False]


def test_rows_are_the_ledgers(demo_store):
    tables, ledger = describe_store(demo_store).tables, demo_store.table(STATISTICS)
    edges = {(row["role"], row["channel"]): row["edges"] for row in demo_store.table(HISTOGRAMS).to_pylist()}
    assert len(tables["statistics"]) == len(ledger)
    for ours, theirs in zip(tables["statistics"].to_pylist(), ledger.to_pylist(), strict=True):
        before, counts = ours.pop("histogram_first"), ours.pop("histogram")
        after = len(edges[ours["role"], ours["channel"]]) + 1 - before - len(counts)
        assert [0] * before + counts + [0] * after == theirs.pop("histogram")
        assert ours == {name: theirs.get(name) for name in ours}
    shards = tables["shards"].to_pylist()
    assert [each["sha256"] for each in shards] == demo_store.table(SHARDS)["sha256"].to_pylist()
    index = [int(each["key"].split("/")[2]) for each in shards]
    assert [np.datetime64(each["valid_time"]) for each in shards] == list(demo_store.times[index])


def _keys(store) -> list[str]:
    return store.table(SHARDS)["key"].to_pylist()


@given(st.lists(st.lists(st.integers(0, 3), max_size=8), max_size=6), st.integers(0, 3))
def test_trimmed_histograms_keep_every_count(rows, skipped):
    lists = pa.array(rows, pa.list_(pa.int64()))[min(skipped, len(rows)) :]
    first, counts = trimmed(lists)
    for row, start, kept in zip(lists.to_pylist(), first.to_pylist(), counts.to_pylist(), strict=True):
        assert row == [0] * start + kept + [0] * (len(row) - start - len(kept))
        assert not kept or (kept[0] and kept[-1])


def test_registering_again_replaces(tmp_path):
    catalog = Catalog(str(tmp_path / "catalog"))
    for mean in (280.0, 290.0):
        register(catalog.tables.folder, made(tmp_path, mean=mean))
    register(catalog.tables.folder, made(tmp_path, "other"))
    assert names(catalog) == ["made", "other"]
    assert catalog.statistics(["t2m"], store="made")[0].mean == 290.0


def test_a_store_is_known_by_name_and_place(tmp_path):
    folder = Folder(str(tmp_path / "catalog"))
    for name, place in (("a", "x"), ("a", "y"), ("b", "x")):
        register(folder, made(tmp_path, name, place=place))
    rows = Catalog(folder.url).stores.rows
    assert len({row["store"] for row in rows}) == 3
    with pytest.raises(BadInput, match=r"2 stores 'a'.*id or location"):
        Catalog(folder.url).table("shards", "a")
    assert Catalog(folder.url).stores.named(str(tmp_path / "y"))["name"] == "a"
    with pytest.raises(BadInput, match=r"no store 'c'"):
        Catalog(folder.url).stores.named("c")


def test_five_processes_register_at_once(tmp_path):
    """Three stores once each, and one store twice, which is there once."""
    server = multiprocessing.get_context("forkserver")
    barrier = server.Barrier(5)
    wanted = [f"store {number}" for number in range(3)] + ["the same"] * 2
    processes = [server.Process(target=register_one, args=(str(tmp_path), name, barrier)) for name in wanted]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 5
    catalog = Catalog(str(tmp_path / "catalog"))
    assert names(catalog) == sorted(set(wanted))
    assert len(catalog.query(["t2m"], "2019-06-01").stores) == 4
    for row in catalog.stores.rows:
        for table in TABLES:
            found = catalog.table(table, row["store"])
            assert set(found["registration"].to_pylist()) <= {row["registration"]}


@dataclass(frozen=True)
class Dying(Folder):
    """A folder whose writer dies when it is about to write its n-th object."""

    survives: int = 0

    def write(self, key: str, content: bytes) -> None:
        if self.survives == 0:
            raise KeyboardInterrupt
        object.__setattr__(self, "survives", self.survives - 1)
        super().write(key, content)


@pytest.mark.parametrize("survives", range(6))
def test_a_registration_that_dies_leaves_the_catalog_as_it_was(tmp_path, survives):
    folder = Folder(str(tmp_path / "catalog"))
    register(folder, made(tmp_path, mean=280.0))
    before = folder.all_keys()
    with pytest.raises(KeyboardInterrupt):
        register(Dying(folder.url, survives=survives), made(tmp_path, mean=290.0))
    catalog = Catalog(folder.url)
    assert catalog.statistics(["t2m"])[0].mean == 280.0 and names(catalog) == ["made"]
    assert prune(catalog).files == []  # another process may just be writing these
    assert len(prune(catalog, grace=AT_ONCE, dry_run=True).files) == survives
    assert len(prune(catalog, grace=AT_ONCE).files) == survives
    assert folder.all_keys() == before


def test_what_was_replaced_is_removed_later(tmp_path):
    folder = Folder(str(tmp_path / "catalog"))
    for mean in (280.0, 290.0):
        register(folder, made(tmp_path, mean=mean))
    assert len(folder.names("statistics")) == 2  # someone may be reading the first
    long_ago = time.time() - 7200
    for key in folder.all_keys():
        os.utime(folder.path(key), (long_ago, long_ago))
    register(folder, made(tmp_path, mean=300.0))
    assert len(folder.names("statistics")) == 2
    assert Catalog(folder.url).statistics(["t2m"])[0].mean == 300.0


def test_a_reader_never_sees_half_a_registration(tmp_path):
    """While a process registers a long and a short version of a store in turn, every answer is of one of them."""
    register(Folder(str(tmp_path / "catalog")), made(tmp_path, hours=24, mean=280.0))
    server = multiprocessing.get_context("forkserver")
    stop = server.Event()
    writer = server.Process(target=register_over_and_over, args=(str(tmp_path), stop))
    writer.start()
    catalog, seen = Catalog(str(tmp_path / "catalog")), set()
    while writer.is_alive() and len(seen) < 12:
        (row,) = catalog.stores.rows
        merged = catalog.statistics(["t2m"], store="made")[0]
        assert (merged.samples, merged.mean) in ((24, 280.0), (48, 290.0))
        (match,) = catalog.query(["t2m"], "2019-06-01/2019-06-02").stores
        assert match.share in (0.5, 1.0)
        seen.add(row["registration"])
    stop.set()
    writer.join()
    assert len(seen) >= 12 and writer.exitcode == 0


def test_moved_changed_and_vanished_stores(tmp_path, demo_store):
    location = tmp_path / "store"
    shutil.copytree(demo_store.folder.url, location)
    (location / MANIFEST).unlink()  # by which a changed file would be refused
    url = str(tmp_path / "catalog")
    register_store(url, str(location))
    register(Folder(url), made(tmp_path, "gone"))
    register(Folder(url), made(tmp_path, "stays"))
    catalog = Catalog(url)

    def statuses() -> dict[str, str]:
        return {row["name"]: row["status"] for row in catalog.listing()}

    assert statuses() == {"small": "present", "gone": "present", "stays": "present"}
    shutil.rmtree(catalog.stores.named("gone")["location"])
    metadata = json.loads((location / "zarr.json").read_text())
    metadata["attributes"]["title"] = "rebuilt"
    (location / "zarr.json").write_text(json.dumps(metadata))
    assert statuses() == {"small": "changed", "gone": "vanished", "stays": "present"}
    answer = catalog.query(["t2m"], "2019-06-01")
    assert [(match.name, match.status) for match in answer.stores] == [("stays", "present"), ("gone", "vanished")]
    assert [match.name for match in answer.combination] == ["stays"]

    location.rename(tmp_path / "elsewhere")
    register_store(url, str(tmp_path / "elsewhere"))
    assert [row["status"] for row in catalog.listing() if row["name"] == "small"] == ["present", "vanished"]
    assert [row["name"] for row in prune(catalog, dry_run=True).stores] == ["gone", "small"]
    assert [row["name"] for row in prune(catalog).stores] == ["gone", "small"]
    assert statuses() == {"small": "present", "stays": "present"}
    prune(catalog, ["stays"])
    assert names(Catalog(url)) == ["small"]


def test_a_place_on_another_machine_is_not_forgotten(tmp_path):
    folder = Folder(str(tmp_path / "catalog"))
    name = register(folder, made(tmp_path))
    path = Path(folder.path(f"stores/{name}.parquet"))
    table = pq.read_table(path)
    column = table.column_names.index("host")
    pq.write_table(table.set_column(column, "host", pa.array(["another"])), path)
    shutil.rmtree(Catalog(folder.url).stores.rows[0]["location"])
    assert [row["status"] for row in Catalog(folder.url).listing()] == ["unreachable"]
    assert prune(Catalog(folder.url)).stores == []


def test_a_store_under_way_and_no_store_are_refused(tmp_path, demo_store):
    location = tmp_path / "store"
    shutil.copytree(demo_store.folder.url, location)
    (location / UNFINISHED).write_text("a build is under way")
    with pytest.raises(BadInput, match="build is under way"):
        register_store(str(tmp_path / "catalog"), str(location))
    (location / UNFINISHED).unlink()
    (location / "ledger" / "samples.parquet").unlink()
    with pytest.raises(DamagedData, match=r"samples\.parquet is damaged \(it is not there\)"):
        register_store(str(tmp_path / "catalog"), str(location))
    with pytest.raises(BadInput, match="no training store"):
        register_store(str(tmp_path / "catalog"), str(tmp_path))
    assert not (tmp_path / "catalog").exists()


def test_tables_that_are_no_catalogs_are_refused(tmp_path):
    folder, good = Folder(str(tmp_path / "catalog")), made(tmp_path)
    for table, column, message in (
        ("coverage", {"begin": [1]}, "no column begin"),
        ("shards", {"bytes": ["many"]}, "table shards"),
        ("stores", {"title": ["a", "b"]}, "has 2 rows, expected the one"),
        ("stores", {"title": ["a"], "frequency_seconds": [0]}, "expected an end after the start"),
    ):
        with pytest.raises(BadInput, match=message):
            register(folder, replace(good, tables={**good.tables, table: pa.table(column)}))
    assert not Path(folder.url).exists()


def test_a_catalog_in_a_bucket(tmp_path):
    """The same through fsspec, whatever the protocol."""
    folder = Folder("memory://bucket/catalog")
    for number in range(20):
        register(folder, made(tmp_path, f"store {number}"))
    register(folder, made(tmp_path, "store 0", mean=290.0))
    catalog = Catalog(folder.url)
    assert len(catalog.tables.summarised()) == 16
    assert len(catalog.query(["t2m"], "2019-06-01", complete=True).stores) == 20
    assert catalog.statistics(["t2m"], store="store 0")[0].mean == 290.0
    assert catalog.table("statistics", "store 3").schema.names == SCHEMAS["statistics"].names
    shutil.rmtree(catalog.stores.named("store 7")["location"])
    assert [row["name"] for row in prune(catalog).stores] == ["store 7"]
    assert len(catalog.stores.rows) == 19
    folder.remove("")
