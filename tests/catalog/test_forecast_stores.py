"""Stores of forecasts in a catalog and on its pages: a sample is a run at a lead time."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pystac
import pytest
from pystac.extensions.datacube import DatacubeExtension

from corrstore.catalog.drawing.shift_charts import shift_charts
from corrstore.catalog.exports.card import card_of
from corrstore.catalog.exports.stac import write_stac
from corrstore.catalog.pages.page import write_site
from corrstore.catalog.pages.report import write_report
from corrstore.catalog.queries.access import Catalog
from corrstore.catalog.queries.diff import Difference
from corrstore.catalog.tables.description import describe_store
from corrstore.catalog.tables.registration import register, register_store
from corrstore.catalog.tables.schemas import ADDED_IN_VERSION_2, TABLES
from corrstore.datasets.samples.input_shift import read_shift
from corrstore.datasets.storage.folder import Folder
from tests.command import corrstore
from tests.html_page import check_accessible, parse

RUNS = ["2020-06-01 12:00 UTC", "2020-06-02 00:00 UTC", "2020-06-02 06:00 UTC"]
CELLS = [["valid", "valid", "valid", ""], ["valid"] * 4, ["missing"] * 4]


@pytest.fixture(scope="module")
def catalog(demo_store, input_store, tmp_path_factory) -> Catalog:
    url = str(tmp_path_factory.mktemp("forecast-catalog") / "catalog")
    for store in (demo_store, input_store):
        register_store(url, store.folder.url)
    return Catalog(url)


@pytest.fixture(scope="module")
def page(input_store, tmp_path_factory):
    output = tmp_path_factory.mktemp("forecast-report") / "report.html"
    write_report(input_store, output)
    return parse(output.read_text(encoding="utf-8"))


@pytest.mark.parametrize("hours", [(), (9, 12)])
def test_statistics_are_of_the_valid_samples_and_count_those_that_are_due(catalog, input_store, hours):
    axes = input_store.axes
    asked = (
        np.isin(axes.valid_times.astype("datetime64[h]").astype(int) % 24, hours) if hours else np.ones(len(axes), bool)
    )
    chosen = np.flatnonzero(input_store.valid & asked)
    values = np.stack([input_store.physical("input", int(index))[0] for index in chosen])
    (found,) = catalog.statistics(["t2m"], hours=hours, store="inputs")
    assert (found.samples, found.expected) == (len(chosen), int((axes.due & asked).sum()))
    assert (found.count, found.minimum, found.maximum) == (values.size, values.min(), values.max())
    assert (found.mean, found.std) == pytest.approx((values.mean(), values.std()), rel=1e-12)


def test_a_question_about_times_is_answered_by_stores_of_valid_times(catalog):
    assert {match.name for match in catalog.query(["sp"]).stores} == {"inputs", "small"}
    assert [match.name for match in catalog.query(["sp"], "2020-06-01/2020-06-03").stores] == ["small"]
    assert [match.name for match in catalog.query(["sp"], frequency="3h").stores] == ["small"]


def test_what_differs_is_told_by_run_and_lead(input_store, tmp_path):
    """The same store with another mean of t2m, another shard, and a sample that is valid no longer."""
    folder, described = Folder(str(tmp_path / "catalog")), describe_store(input_store)
    tables = dict(described.tables)
    of_t2m = pc.equal(tables["statistics"]["channel"], "t2m").to_numpy()
    means = tables["statistics"]["mean"].to_numpy().copy()
    means[np.flatnonzero(of_t2m)[1]] += 1
    tables["statistics"] = _replaced(tables["statistics"], "mean", means)
    tables["shards"] = _replaced(tables["shards"], "sha256", ["x", *tables["shards"]["sha256"].to_pylist()[1:]])
    intervals = tables["coverage"].to_pylist()
    intervals[1]["start"], intervals[1]["samples"] = np.datetime64("2020-06-02T06", "ms").astype(object), 3
    tables["coverage"] = pa.Table.from_pylist(intervals, tables["coverage"].schema)
    register(folder, described)
    register(folder, replace(described, name="other", tables=tables))
    found = Catalog(folder.url).diff("inputs", "other")
    run = "run 2020-06-02T00:00Z [2020-06-02T03:00Z, 2020-06-02T06:00Z)"
    assert [(each.part, each.item) for each in found] == [
        ("store", "name"),
        ("periods", run),
        ("statistics", "input t2m: 1 of 11 samples"),
        ("shards", "input 2020-06-01T12:00Z + 3h"),
    ]
    assert found[1] == Difference("periods", run, "valid", None)


def _replaced(table: pa.Table, name: str, values) -> pa.Table:
    place = table.column_names.index(name)
    return table.set_column(place, name, pa.array(values, table.schema.field(name).type))


def test_tables_of_version_1_are_read(catalog, demo_store, tmp_path):
    url = str(tmp_path / "catalog")
    register_store(url, demo_store.folder.url)
    for table in TABLES:
        (path,) = (tmp_path / "catalog" / table).iterdir()
        rows = pq.ParquetFile(path).read()
        rows = rows.drop_columns([name for name in ADDED_IN_VERSION_2 if name in rows.column_names])
        pq.write_table(rows.replace_schema_metadata({"corrstore_catalog_version": "1"}), path)
    old = Catalog(url)
    assert [one.row for one in old.statistics(quantiles=[0.5])] == [
        one.row for one in catalog.statistics(quantiles=[0.5], store="small")
    ]
    assert old.query(["t2m"], "2020-06-01T03/2020-06-02T21").complete
    assert old.diff("small", "small") == []


def test_commands_say_runs_and_leads(catalog, input_store, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    listed = corrstore("catalog", "list", "--catalog", catalog.tables.folder.url).stdout
    (row,) = [line for line in listed.splitlines() if "inputs" in line and "3h to 12h" in line]
    assert [cell.strip() for cell in row.split("│")][5:9] == ["3h", "3", "3h to 12h", "7 of 11"]
    inspected = corrstore("inspect", input_store.folder.url).stdout
    assert "3: 2020-06-01T12:00Z to 2020-06-02T06:00Z" in inspected and "3h to 12h" in inspected
    assert "samples      11" in inspected and "target" not in inspected
    described = json.loads(corrstore("inspect", input_store.folder.url, "--json").stdout)
    assert len(described["init_times"]) == 3 and len(described["lead_times"]) == 4


def test_a_page_has_runs_by_leads(page):
    check_accessible(page)
    table = page.one("table", class_="sheet")
    assert [head.text for head in table.one("thead").all("th")] == ["3h", "6h", "9h", "12h"]
    rows = table.one("tbody").all("tr")
    assert [f"{row.one('th').text} UTC" for row in rows] == RUNS
    assert [[cell.attributes.get("class", "") for cell in row.all("td")] for row in rows] == CELLS
    (gap,) = page.one("table", id="gaps").one("tbody").all("tr")
    assert [gap.one("th").text, gap.all("td")[0].text] == [RUNS[2], "3h to 12h"]
    assert page.one("p", class_="eyebrow").text.startswith("Store of forecasts")
    assert "of 3 runs at leads of 3 h to 12 h, every 3 h" in page.text
    assert "2020-06-01 12:00 UTC + 3h" in page.one("section", id="fields").text
    assert len(page.one("section", id="fields").all("article")) == 7
    assert not page.all("table", id="table-target") and not page.all("section", id="inputs")
    assert "residual" not in page.one("section", id="fields").text
    assert [each.text for each in page.one("dl", class_="facts").all("dt")][:3] == ["Samples", "Input", "Period"]


def test_a_page_draws_the_shift_of_each_input_channel(page, input_store):
    rows = {row["channel"]: row for row in read_shift(input_store.folder) if row["lead_seconds"] == 12 * 3600}
    articles = page.one("section", id="shift").all("article")
    assert [each.one("h3").one("code").text for each in articles] == list(rows)
    for article, row in zip(articles, rows.values(), strict=True):
        assert len(article.all("svg", role="img")) == 2
        for name, key in (("mean", "mean_shift"), ("std", "std_ratio"), ("small-scales", "power_ratio")):
            assert float(article.one("data", class_=f"last-{name}").attributes["value"]) == row[key]
        assert [path.attributes["d"].count("V") for path in article.all("path", class_="line")] == [4] * 3
        assert [path.attributes["d"].count("h0") for path in article.all("path", class_="points")] == [4] * 3


def test_a_site_a_card_and_a_collection_have_the_runs(catalog, input_store, tmp_path):
    write_site(catalog, Folder(str(tmp_path / "site")))
    index = parse((tmp_path / "site" / "index.html").read_text(encoding="utf-8"))
    (item,) = [each for each in index.all("li", class_="store") if each.one("code").text == "inputs"]
    assert "of 11, of 3 runs at leads of 3 h to 12 h, every 3 h" in item.text
    held = {int(place) for start, end in json.loads(item.attributes["data-valid"]) for place in range(start, end)}
    steps = (input_store.times - input_store.times.min()) // np.timedelta64(3, "h")
    assert held == set(steps[input_store.valid].tolist())
    card = card_of(catalog, "inputs")
    assert "7 valid samples of 3 runs" in card and "| 2020-06-02 06:00 |" in card and 'dataset("input")' in card
    write_stac(catalog, Folder(str(tmp_path / "stac")))
    children = pystac.Catalog.from_file(str(tmp_path / "stac" / "catalog.json")).get_children()
    (collection,) = [each for each in children if each.title == input_store.recipe.title]
    cube = DatacubeExtension.ext(collection)
    assert cube.dimensions["init_time"].extent == ["2020-06-01T12:00:00Z", "2020-06-02T06:00:00Z"]
    assert cube.dimensions["lead_time"].extent == [3.0, 12.0]
    for name, variable in cube.variables.items():
        assert tuple(variable.dimensions) == input_store.group[name].metadata.dimension_names


def test_ratios_are_drawn_on_a_logarithmic_axis_with_a_tick_at_one():
    """A tenth and tenfold lie as far from one, bars do not hide each other, and a number has its error's decimals."""
    names = ("mean_shift", "std_ratio", "power_ratio")
    rows = [
        {"lead_seconds": 3600 * lead, **dict.fromkeys(names, ratio), **{f"{name}_error": error for name in names}}
        for lead, ratio, error in ((12, 0.1, 0.01), (24, 10.0, 1.0), (36, 1.00123, 0.27), (48, 0.0, None))
    ]
    _, chart = shift_charts("t2m", rows)
    (one,) = [tick for tick in chart.y_ticks if tick.text == "1"]
    assert one.at == pytest.approx(50) and {"0.1", "10"} <= {tick.text for tick in chart.y_ticks}
    std, power = ([point.split() for point in line.points.split("M")[1:]] for line in chart.lines)
    heights = [int(y.removesuffix("h0")) for _, y in std]
    assert heights[0] - 200 == 200 - heights[1] > 150 and heights[2] == 200
    assert all(int(beside) - int(x) == 16 for (x, _), (beside, _) in zip(std, power, strict=True))
    assert "std 1.00 at 36 h" in chart.alt
