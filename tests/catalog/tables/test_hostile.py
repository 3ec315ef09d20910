"""Names that attack, files that are cut, and versions to come."""

from __future__ import annotations

import csv
import io
import json
import shutil
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from corrstore.catalog.queries.access import Catalog
from corrstore.catalog.queries.pruning import prune
from corrstore.catalog.tables.registration import register
from corrstore.catalog.tables.schemas import TABLES
from corrstore.datasets.errors import BadInput, DamagedData
from corrstore.datasets.storage.folder import Folder
from tests.catalog_made import made
from tests.command import corrstore

NAMES = {
    "quotes": "it's a \"store\" 'x' -- ; drop table stores",
    "slashes": "../../etc/passwd\\..\\x",
    "html": "<script>alert(1)</script><img src=x onerror=alert(2)>&amp;",
    "long": "x" * 10_000,
    "lines": 'a\nb,c\r\n"d"',
    "terminal": "\x1b]0;title\x07\x1b[31mred[bold]markup[/bold]\x1b[0m",
    "unicode": "中国 3 km \u202egnp.exe \N{SNOWMAN}",
    "empty": "",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_name_is_only_text(tmp_path, monkeypatch, name):
    monkeypatch.setenv("COLUMNS", "400")
    url = str(tmp_path / "catalog")
    register(Folder(url), made(tmp_path, name, targets=("t2m", name or "t")))
    register(Folder(url), made(tmp_path, "harmless"))
    catalog = Catalog(url)
    assert {row["name"] for row in catalog.listing()} == {name, "harmless"}
    assert catalog.stores.named(name)["name"] == name
    (match,) = catalog.query([name or "t"], "2019-06-01").stores
    assert (match.name, match.share) == (name, 1.0)
    assert catalog.statistics([name or "t"])[0].name == name
    assert next(each for each in catalog.diff(name, "harmless") if each.item == "name").one == name
    assert set(Path(url).rglob("*")) == set((Path(url)).glob("*")) | set(Path(url).glob("*/*"))

    row = next(
        row
        for row in json.loads(corrstore("catalog", "list", "--catalog", url, "--json").stdout)
        if row["name"] != "harmless"
    )
    assert row["name"] == name
    listed = csv.DictReader(
        io.StringIO(corrstore("catalog", "list", "--catalog", url, "--format", "csv").stdout, newline="")
    )
    assert {line["name"] for line in listed} == {name, "harmless"}
    for command in (
        ["list"],
        ["query", "--variable", name or "t"],
        ["statistics", "--period", "2019"],
        ["diff", name, "harmless"],
    ):
        shown = corrstore("catalog", *command[:1], "--catalog", url, *command[1:])
        assert shown.returncode == 0, shown.stderr
        assert "\x1b" not in shown.stdout and "\x07" not in shown.stdout and len(shown.stdout) < 30_000
    if name == NAMES["terminal"]:
        assert "[bold]markup[/bold]" in corrstore("catalog", "list", "--catalog", url).stdout


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Twenty stores and a catalog of them, sixteen of them in its summary."""
    root = tmp_path_factory.mktemp("stores")
    for number in range(20):
        register(Folder(str(root / "catalog")), made(root, f"store {number}"))
    return root


@pytest.fixture
def folder(root, tmp_path) -> Folder:
    """A copy of that catalog."""
    shutil.copytree(root / "catalog", tmp_path / "catalog")
    return Folder(str(tmp_path / "catalog"))


def everything(folder: Folder) -> None:
    catalog = Catalog(folder.url)
    catalog.listing()
    for table in TABLES:
        catalog.table(table, "store 19")
    catalog.query(["t2m"], "2019-06-01", reasons=True)
    catalog.statistics(["t2m"])


@pytest.mark.parametrize(("table", "share"), [*((table, 0.5) for table in TABLES), ("stores", 0.0), ("shards", 0.99)])
def test_a_file_cut_in_half_is_named_and_can_be_mended(folder, root, table, share):
    row = Catalog(folder.url).stores.named("store 19")
    path = Path(folder.path(f"{table}/{row['registration']}.parquet"))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DamagedData, match=rf"{path.name} is damaged .*corrstore catalog add"):
        everything(folder)
    assert corrstore("catalog", "list", "--catalog", folder.url).returncode == (1 if table == "stores" else 0)
    register(folder, made(root, "store 19"))
    everything(folder)


def test_a_lost_file_is_named(folder):
    row = Catalog(folder.url).stores.named("store 19")
    Path(folder.path(f"statistics/{row['registration']}.parquet")).unlink()
    with pytest.raises(
        DamagedData, match=rf"statistics/{row['registration']}.parquet is gone; .*corrstore catalog add"
    ):
        everything(folder)


@pytest.mark.parametrize("table", ["stores", "coverage"])
def test_a_damaged_summary_may_be_removed(folder, tmp_path, table):
    (path,) = Path(folder.path(f"summary/{table}")).iterdir()
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(
        DamagedData, match=rf"{path.name} is damaged .*remove the folder .*summary, which is only a copy"
    ):
        everything(folder)
    register(folder, made(tmp_path, "registered all the same"))
    folder.remove("summary")
    everything(folder)
    assert len(Catalog(folder.url).listing()) == 21


@pytest.mark.parametrize(("table", "version"), [*((table, "3") for table in TABLES), ("stores", None)])
def test_other_versions_are_refused(folder, table, version):
    row = Catalog(folder.url).stores.named("store 19")
    path = folder.path(f"{table}/{row['registration']}.parquet")
    metadata = {"corrstore_catalog_version": version} if version else None
    pq.write_table(pq.ParquetFile(path).read().replace_schema_metadata(metadata), path)
    expected = (
        "version 3 of the catalog's tables, this corrstore reads up to 2; install a newer"
        if version
        else "is not a table"
    )
    with pytest.raises(BadInput, match=expected):
        everything(folder)


def test_files_of_others_are_left_alone(folder):
    for key in ("README.txt", "stores/README.txt", "stores/notes.parquet", "coverage/x-1-2.parquet"):
        folder.write(key, b"not ours")
    everything(folder)
    prune(Catalog(folder.url), grace=timedelta(0))
    assert folder.read("stores/notes.parquet") == b"not ours" and folder.exists("README.txt")
