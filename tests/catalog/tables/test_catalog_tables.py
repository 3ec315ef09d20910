"""The tables as any Parquet reader finds them, and as docs/catalog.md describes them."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from corrstore.catalog.queries.access import Catalog
from corrstore.catalog.tables.registration import register, register_store
from corrstore.catalog.tables.schemas import SCHEMA_VERSION, SCHEMAS, TABLES, VERSION_KEY
from corrstore.datasets.storage.folder import Folder
from tests.catalog_made import made
from tests.paths import ROOT

DOCUMENT = (ROOT / "docs" / "catalog.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def url(demo_store, tmp_path_factory) -> str:
    root = tmp_path_factory.mktemp("catalog")
    url = str(root / "catalog")
    register_store(url, demo_store.folder.url)
    for invalid in ((), (5, 6)):
        register(Folder(url), made(root, invalid=invalid))
    return url


@pytest.mark.parametrize("table", TABLES)
def test_duckdb_reads_every_table(url, demo_store, table):
    found = duckdb.sql(f"select * from '{url}/{table}/*.parquet' where registration like ? || '%'", params=[_id(url)])
    assert found.columns == SCHEMAS[table].names
    assert len(found.fetchall()) == len(Catalog(url).table(table, "small"))
    file = next(Path(url, table).iterdir())
    assert int(pq.read_metadata(file).metadata[VERSION_KEY]) == SCHEMA_VERSION == 2


def _id(url: str) -> str:
    return Catalog(url).stores.named("small")["store"]


def test_duckdb_merges_statistics(url):
    """The formula in SQL, from the rows alone."""
    count, mean, m2 = duckdb.sql(
        f"""with rows as (select * from '{url}/statistics/*.parquet' where registration like '{_id(url)}%'
                and role = 'target' and channel = 't2m'),
             overall as (select sum(count) n, sum(count * mean) / sum(count) centre from rows)
            select any_value(n), any_value(centre), sum(m2 + count * (mean - centre) ** 2) from rows, overall"""
    ).fetchall()[0]
    ours = Catalog(url).statistics(["t2m"], store="small")[1]
    assert (ours.role, ours.count) == ("target", count)
    assert (ours.mean, ours.std) == pytest.approx((mean, (m2 / count) ** 0.5), rel=1e-12)


def test_the_sql_of_the_document_is_right(url):
    current, hours = (
        text.replace("demo/catalog", url) for text in re.findall(r"```sql\n(.*?)```", DOCUMENT, re.DOTALL)
    )
    assert sorted(row[0] for row in duckdb.sql(current).fetchall()) == ["made", "small"]
    counted = {name: valid for name, _, valid in duckdb.sql(hours).fetchall()}
    assert counted == {"made": 22, "small": 14 * 3}  # the registration of `made` that was replaced is not counted


def test_the_document_names_every_column():
    assert f"it is {SCHEMA_VERSION}" in DOCUMENT
    for table in TABLES:
        section = re.search(rf"\*\*{table}\*\*.*?(?=\n\*\*|\n## )", DOCUMENT, re.DOTALL).group()
        assert [name for name in SCHEMAS[table].names if name != "registration" and f"`{name}`" not in section] == []


def test_rows_lie_in_the_order_that_readers_skip_by(url):
    name = Catalog(url).stores.named("small")["registration"]
    rows = pq.read_table(f"{url}/statistics/{name}.parquet").select(["role", "channel", "valid_time"]).to_pylist()
    keys = [tuple(row.values()) for row in rows]
    assert keys == sorted(keys)
