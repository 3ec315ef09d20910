"""The site of a catalog as files: its numbers against NumPy, its calendar against a count, and hostile names."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corrstore.catalog.drawing.calendar import STATUSES, calendar
from corrstore.catalog.pages.page import write_site
from corrstore.catalog.queries.access import Catalog
from corrstore.catalog.queries.pruning import prune
from corrstore.catalog.tables.registration import register, register_store
from corrstore.datasets.recipe.parts import ROLES
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.ledger import SAMPLES
from tests.catalog_made import made
from tests.command import corrstore
from tests.html_page import Element, check_accessible, parse

HOSTILE = "</title></script></style><script>alert('name')</script><img src=x onerror=alert(1)> & \"'\u202e"
LONG = "x" * 10_000
HOLES = (*range(100, 140), 1000, 1001, 2000)


@pytest.fixture(scope="module")
def catalog(faulty_store, tmp_path_factory) -> Catalog:
    """A store with faults, one that has vanished after a year with holes, and two of hostile names."""
    root = tmp_path_factory.mktemp("catalog-for-page")
    url = str(root / "catalog")
    register_store(url, faulty_store.folder.url)
    gone = made(root, "gone", start="2018-12-01", hours=3 * 2400, step=3, invalid=HOLES)
    register(Folder(url), gone)
    shutil.rmtree(gone.location)
    register(Folder(url), made(root, HOSTILE, targets=("t2m", HOSTILE)))
    register(Folder(url), made(root, LONG))
    return Catalog(url)


@pytest.fixture(scope="module")
def site(catalog, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    assert write_site(catalog, Folder(str(folder))) == 4
    return folder


def page_of(site: Path, catalog: Catalog, name: str) -> Element:
    return parse((site / "stores" / f"{catalog.stores.named(name)['store']}.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def index(site) -> Element:
    return parse((site / "index.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def faulty_page(site, catalog) -> Element:
    return page_of(site, catalog, "faulty")


def test_the_index_leads_to_a_page_for_each_store(site, catalog, index):
    items = index.all("li", class_="store")
    links = [item.one("h3").one("a") for item in items]
    marked = [bool(item.all("p", class_="synthetic")) for item in items]
    assert marked == ["SYNTHETIC" in link.text for link in links] and any(marked) and not all(marked)
    titles = [link.text.replace("\ufffd", "\u202e") for link in links]
    assert sorted(titles) == sorted(row["title"] for row in catalog.listing())
    for link in links:
        page = parse((site / link.attributes["href"]).read_text(encoding="utf-8"))
        assert page.one("h1").text == link.text
        assert (site / "stores" / page.one("a", class_="back").attributes["href"]).resolve() == site / "index.html"
    files = sorted(path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file())
    assert all(re.fullmatch(r"index\.html|stores/[0-9a-f]{16}\.html", file) for file in files) and len(files) == 5


def test_what_the_filter_reads_is_what_the_store_holds(index, faulty_store):
    (item,) = [each for each in index.all("li", class_="store") if each.one("code").text == "faulty"]
    assert set(json.loads(item.attributes["data-channels"])) == {
        channel.name for role in ROLES for channel in faulty_store.plan.channels(role)
    } | {"orog", "lsm"}
    numbers = [number for first, after in json.loads(item.attributes["data-valid"]) for number in range(first, after)]
    statuses = [row["status"] for row in faulty_store.table(SAMPLES).sort_by("index").to_pylist()]
    assert numbers == [number for number, status in enumerate(statuses) if status == "valid"]
    assert item.attributes["data-start"] == f"{faulty_store.times[0]}Z"


def test_statistics_are_those_of_the_valid_samples(faulty_store, faulty_page):
    valid = np.flatnonzero(faulty_store.valid)
    assert 0 < len(valid) < len(faulty_store.times)
    for role in ROLES:
        rows = faulty_page.one("table", id=f"table-{role}").one("tbody").all("tr")
        for place, (row, channel) in enumerate(zip(rows, faulty_store.plan.channels(role), strict=True)):
            values = np.stack([faulty_store.physical(role, number)[place] for number in valid])
            assert row.one("th").one("code").text == channel.name
            shown = {name: float(row.one("data", class_=name).attributes["value"]) for name in ("lowest", "highest")}
            assert shown == {"lowest": values.min(), "highest": values.max()}
            for name, expected in (("counted-mean", values.mean()), ("counted-std", values.std())):
                assert float(row.one("data", class_=name).attributes["value"]) == pytest.approx(expected, rel=1e-9)
            for q, data in zip((0.05, 0.5, 0.95), row.all("data", class_="quantile"), strict=True):
                near = np.quantile(values, [max(q - 0.02, 0), min(q + 0.02, 1)], method="inverted_cdf")
                slack = 0.02 * (values.max() - values.min())
                assert near[0] - slack <= float(data.attributes["value"]) <= near[1] + slack


def test_each_target_channel_has_thumbnails_and_histograms(faulty_store, faulty_page):
    articles = faulty_page.one("section", id="fields").all("article")
    for article, channel in zip(articles, faulty_store.plan.channels("target"), strict=True):
        paired = channel.name in faulty_store.recipe.input.channels
        alts = [image.attributes["alt"] for image in article.all("img") if image.attributes["alt"]]
        assert [alt.split()[3] for alt in alts] == (["input", "target", "residual"] if paired else ["target"])
        assert all(f"({channel.name})" in alt for alt in alts)
        assert len(article.all("svg", role="img")) == (2 if paired else 1)


def test_the_sample_with_most_rain_is_shown(faulty_store, faulty_page):
    place = [channel.name for channel in faulty_store.plan.channels("target")].index("tp")
    valid = np.flatnonzero(faulty_store.valid)
    wet = [(faulty_store.physical("target", number)[place] >= 0.1).mean() for number in valid]
    wettest = str(faulty_store.times[valid[int(np.argmax(wet))]])[:16].replace("T", " ")
    assert wettest in faulty_page.one("section", id="fields").text


def test_the_calendar_of_a_short_store_has_each_sample(faulty_store, faulty_page):
    table = faulty_page.one("table", class_="sheet")
    hours = [head.text for head in table.one("thead").all("th")]
    shown = {
        f"{row.one('th').text}T{hour}": cell.attributes.get("class", "")
        for row in table.one("tbody").all("tr")
        for hour, cell in zip(hours, row.all("td"), strict=True)
    }
    samples = faulty_store.table(SAMPLES).to_pylist()
    statuses = {row["valid_time"].strftime("%Y-%m-%dT%H"): row["status"] for row in samples}
    assert {time: status for time, status in shown.items() if status} == statuses
    reasons = faulty_page.one("table", id="gaps").text
    for row in samples:
        own_time = f" at {row['valid_time']:%Y-%m-%dT%H:%MZ}"
        assert not row["reasons"] or " ".join(row["reasons"][0].replace(own_time, "").split()) in reasons


def test_the_calendar_of_a_long_store_counts_what_is_missing(site, catalog):
    page = page_of(site, catalog, "gone")
    times = np.datetime64("2018-12-01", "s") + np.arange(2400) * np.timedelta64(3, "h")
    days = [str(times[number])[:10] for number in HOLES]
    shown = {}
    for table in page.all("table", class_="sheet"):
        if "day of the month" in table.one("caption").text:
            heads = [head.text for head in table.one("thead").all("th")]
            for row in table.one("tbody").all("tr"):
                cells = zip(heads, row.all("td"), strict=True)
                shown |= {f"{row.one('th').text}-{day}": int(cell.text) for day, cell in cells if cell.text != ""}
    assert set(shown) == {str(time)[:10] for time in times}
    assert {day: count for day, count in shown.items() if count} == {day: days.count(day) for day in days}


@given(
    start=st.integers(0, 3 * 365 * 24),
    step=st.sampled_from([1, 3, 6, 24]),
    statuses=st.lists(st.tuples(st.sampled_from(STATUSES), st.integers(1, 400)), min_size=1, max_size=6),
)
def test_every_sheet_of_a_calendar_counts_every_sample(start, step, statuses):
    first = np.datetime64("2018-01-01", "s") + np.timedelta64(start, "h")
    hours, coverage, expected = 0, [], dict.fromkeys(STATUSES, 0)
    for status, samples in statuses:
        bounds = [(first + np.timedelta64(hours + step * each, "h")).astype(object) for each in (0, samples)]
        coverage.append({"start": bounds[0], "end": bounds[1], "status": status})
        expected[status] += samples
        hours += step * samples
    length = np.timedelta64(step, "h")
    pages = calendar(np.arange(first, first + np.timedelta64(hours, "h"), length), length, coverage)
    for kind in {sheet.columns_are for page in pages for sheet in page.sheets}:
        cells = [
            cell
            for page in pages
            for sheet in page.sheets
            if sheet.columns_are == kind
            for _, row in sheet.rows
            for cell in row
        ]
        assert {status: sum(getattr(cell, status) for cell in cells) for status in STATUSES} == expected


def test_a_vanished_store_is_said_and_still_described(site, catalog, index):
    page = page_of(site, catalog, "gone")
    assert page.one("p", class_="notice").text.startswith("Vanished. The store is no longer where it was registered")
    assert not page.all("img")
    assert page.one("section", id="fields").all("svg", role="img")
    (item,) = [each for each in index.all("li", class_="store") if each.one("code").text == "gone"]
    assert item.one("span", class_="badge").text == "vanished"


@pytest.fixture
def own(demo_store, tmp_path):
    """A copy of a store, and what registers it and gives its page."""
    folder = tmp_path / "store"
    shutil.copytree(demo_store.folder.path(), folder)
    url = str(tmp_path / "catalog")
    register_store(url, str(folder))

    def written() -> Element:
        write_site(Catalog(url), Folder(str(tmp_path / "site")))
        return page_of(tmp_path / "site", Catalog(url), "small")

    return folder, written


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"not a shard")])
def test_a_store_whose_shards_cannot_be_read_has_a_page_that_says_so(own, damage):
    folder, written = own
    assert written().one("section", id="fields").all("img")
    for shard in (folder / "target").rglob("c/*/0/0/0"):
        damage(shard)
    page = written()
    assert "could not be read" in page.one("section", id="fields").text
    assert not page.all("img") and page.one("table", id="table-target").all("data")


def test_a_changed_store_shows_no_other_fields(own):
    folder, written = own
    (folder / "ledger/manifest.json").unlink()
    text = (folder / "zarr.json").read_text()
    (folder / "zarr.json").write_text(text.replace("Small SYNTHETIC store", "Another title"))
    page = written()
    assert page.one("p", class_="notice").text.startswith("Changed.")
    assert not page.all("img")


def test_pages_of_forgotten_stores_go_and_other_files_stay(tmp_path):
    url, output = str(tmp_path / "catalog"), tmp_path / "site"
    for name in ("first", "second"):
        register(Folder(url), made(tmp_path, name))
    write_site(Catalog(url), Folder(str(output)))
    (output / "stores" / "notes.html").write_text("mine")
    prune(Catalog(url), ["first"])
    assert write_site(Catalog(url), Folder(str(output))) == 1
    second = Catalog(url).stores.named("second")["store"]
    assert sorted(path.name for path in (output / "stores").iterdir()) == sorted([f"{second}.html", "notes.html"])
    prune(Catalog(url), ["second"])
    assert write_site(Catalog(url), Folder(str(output))) == 0
    assert not parse((output / "index.html").read_text(encoding="utf-8")).all("li", class_="store")


def test_names_are_text_and_never_markup(site, catalog, index):
    shown = HOSTILE.replace("\u202e", "\ufffd")
    page = page_of(site, catalog, HOSTILE)
    assert page.one("h1").text == page.one("title").text == shown
    assert page.one("table", id="table-target").all("th", scope="row")[1].text == shown
    assert page_of(site, catalog, LONG).one("h1").text == LONG
    (item,) = [each for each in index.all("li", class_="store") if each.one("h3").text == shown]
    assert HOSTILE in json.loads(item.attributes["data-channels"])
    for file in site.rglob("*.html"):
        text = file.read_text(encoding="utf-8")
        elements = parse(text)
        assert "\u202e" not in text
        assert len(elements.all("script")) == (file.name == "index.html")
        assert not [each for each in elements if any(name.startswith("on") for name in each.attributes)]
        assert all(image.attributes["src"].startswith("data:image/png;base64,") for image in elements.all("img"))


def test_the_pages_need_nothing_from_outside(site):
    for file in site.rglob("*.html"):
        text = file.read_text(encoding="utf-8")
        page = parse(text)
        assert not [
            each for each in page if each.tag in ("link", "iframe", "object", "embed", "base", "audio", "video")
        ]
        for element in page:
            for name, value in element.attributes.items():
                if name in ("src", "srcset", "action", "data", "poster"):
                    assert value.startswith("data:image/png;base64,")
                if name == "href":
                    assert re.fullmatch(r"#[a-z]+|stores/[0-9a-f]{16}\.html|\.\./index\.html", value)
        without_pictures = re.sub(r"base64,[A-Za-z0-9+/=]+", "", text)
        assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttp", without_pictures)
        assert "default-src 'none'" in text
        for script in re.findall(r"<script>(.*?)</script>", text, re.S):
            digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
            assert f"script-src 'sha256-{digest}'" in text


def test_pages_are_accessible(site):
    for file in site.rglob("*.html"):
        page = parse(file.read_text(encoding="utf-8"))
        check_accessible(page)
        assert all(label.all("input") for label in page.all("label"))
        assert len(page.all("main", id="content")) == 1
        ids = [element.attributes["id"] for element in page if "id" in element.attributes]
        assert len(set(ids)) == len(ids)
        anchors = {link.attributes["href"][1:] for link in page.all("a") if link.attributes["href"].startswith("#")}
        assert anchors <= set(ids)


def test_recipe_and_lineage_are_there_and_secrets_are_not(tmp_path, faulty_store, faulty_page):
    lineage = faulty_page.one("section", id="lineage").text
    assert faulty_store.fingerprint in lineage and faulty_store.folder.url in lineage
    assert "cma_rra: " in lineage and ".grib2" in lineage
    assert "name: faulty" in faulty_page.one("section", id="recipe").text
    secret = made(tmp_path, "secret")
    recipe = {"name": "secret", "sources": {"era5": {"path": "x", "storage_options": {"token": "s3cret-Zq81"}}}}
    row = secret.tables["stores"].to_pylist()[0] | {"recipe": json.dumps(recipe)}
    stores = secret.tables["stores"].from_pylist([row])
    url = str(tmp_path / "catalog")
    register(Folder(url), type(secret)(secret.name, secret.location, {**secret.tables, "stores": stores}))
    assert corrstore("catalog", "page", tmp_path / "site", "--catalog", url).returncode == 0
    text = page_of(tmp_path / "site", Catalog(url), "secret").one("section", id="recipe").text
    assert "token: (hidden)" in text
    assert not [file for file in (tmp_path / "site").rglob("*.html") if "s3cret" in file.read_text(encoding="utf-8")]
