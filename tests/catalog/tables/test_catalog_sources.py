"""The files that a store was made from: what each was, and how to tell whether it still is."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pytest

from corrstore.beam_pipelines.spreading.progress import Progress
from corrstore.beam_pipelines.spreading.spread import Runner, spread
from corrstore.beam_pipelines.tasks import ChecksumFile
from corrstore.catalog.queries.access import Catalog
from corrstore.catalog.tables.registration import register_store
from corrstore.datasets.archives.inventory import SOURCES_SCHEMA
from corrstore.datasets.errors import DamagedData
from corrstore.datasets.samples.checksums import (
    FileState,
    file_checksum,
    file_states,
    files_without_checksum,
    known_checksums,
)
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.ledger import CHECKSUMS
from corrstore.datasets.store.records import write_task_record
from tests.conftest import QUIET


def files(*paths: Path) -> pa.Table:
    rows = [{"source": "era5", "path": str(path), "bytes": 0, "format": "grib", "fields": 1} for path in paths]
    return pa.Table.from_pylist(rows, schema=SOURCES_SCHEMA)


def states(folder: Path, table: pa.Table) -> list[FileState]:
    """The states of the files, the checksums made as workers make them."""
    ledger = Folder(str(folder))
    for path in files_without_checksum(table, known_checksums(ledger)):
        write_task_record(ledger, file_checksum(path), CHECKSUMS)
    return list(file_states(table, ledger, known_checksums(ledger)).values())


def test_the_catalog_tells_the_checksum_of_each_file(demo_store, tmp_path):
    register_store(str(tmp_path / "catalog"), demo_store.folder.url)
    rows = Catalog(str(tmp_path / "catalog")).table("sources", "small").to_pylist()
    assert {row["source"] for row in rows} == {"era5", "cma_rra"} and all(row["fields"] for row in rows)
    for row in rows:
        content = Path(row["path"]).read_bytes()
        assert (row["bytes"], row["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())


def test_a_file_is_read_again_only_when_it_has_changed(tmp_path):
    path, ledger = tmp_path / "a", Folder(str(tmp_path / "store"))
    path.write_bytes(b"GRIB")
    assert files_without_checksum(files(path), known_checksums(ledger)) == (str(path),)
    (before,) = states(tmp_path / "store", files(path))
    assert files_without_checksum(files(path), known_checksums(ledger)) == ()
    path.write_bytes(b"GRIB, and more")
    assert files_without_checksum(files(path), known_checksums(ledger)) == (str(path),)
    (after,) = states(tmp_path / "store", files(path))
    assert after.sha256 == hashlib.sha256(b"GRIB, and more").hexdigest() != before.sha256


def test_workers_leave_the_checksums(tmp_path):
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_bytes(path.name.encode() * 1000)
    ledger, task = (
        Folder(str(tmp_path / "store")),
        ChecksumFile(files_without_checksum(files(*paths), set())),
    )
    spread(task, [0, 1, 2], ledger, CHECKSUMS, Runner(workers=1), Progress("checksums", QUIET))
    assert files_without_checksum(files(*paths), known_checksums(ledger)) == ()
    for state, path in zip(states(tmp_path / "store", files(*paths)), paths, strict=True):
        assert state.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_that_has_gone_is_named(tmp_path):
    with pytest.raises(DamagedData, match=r"gone.grib was read for the store and cannot be now: No such file"):
        states(tmp_path / "store", files(tmp_path / "gone.grib"))
