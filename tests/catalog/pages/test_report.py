"""The report of a store, looked at as a reader's browser would; numbers against NumPy and SciPy over the arrays."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr
from PIL import Image
from scipy.interpolate import RegularGridInterpolator

from corrstore.catalog.pages.report import write_report
from corrstore.datasets.recipe.parts import ROLES
from corrstore.datasets.recipe.recipe import recipe_from
from corrstore.datasets.store.ledger import MANIFEST, REPORT, SAMPLES
from corrstore.datasets.store.opening import open_store
from corrstore.datasets.store.sample_tables import SAMPLES_SCHEMA
from tests.html_page import check_accessible, parse

MOST_BYTES = 6_000_000
HOSTILE = "</title></style><script>alert('title')</script>"


@pytest.fixture(scope="module")
def text(demo_store, tmp_path_factory) -> str:
    output = tmp_path_factory.mktemp("report") / "deep" / "report.html"
    write_report(demo_store, output)
    return output.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text):
    return parse(text)


@pytest.fixture(scope="module")
def faulty_page(faulty_store, tmp_path_factory):
    output = tmp_path_factory.mktemp("faulty-report") / "report.html"
    write_report(faulty_store, output)
    return parse(output.read_text(encoding="utf-8"))


@pytest.fixture
def changed(demo_store, tmp_path):
    """A copy of the store that a test may change, and what opens it again and gives its page."""
    folder = tmp_path / "store"
    shutil.copytree(demo_store.folder.path(), folder)
    (folder / MANIFEST).unlink()  # by which a changed file would be refused

    def reported():
        write_report(open_store(str(folder)), tmp_path / "report.html")
        return parse((tmp_path / "report.html").read_text(encoding="utf-8"))

    return folder, reported


def valid_values(store, role, name):
    """All numbers of a channel in the valid samples [sample, lat, lon], physical."""
    position = [channel.name for channel in store.plan.channels(role)].index(name)
    return np.stack([store.physical(role, index)[position] for index in np.flatnonzero(store.valid)])


def upsampled(store, name):
    """The input bilinearly on the target's grid, by SciPy, [sample, lat, lon]."""
    source, target = store.grid("input"), store.grid("target")
    points = np.stack(np.meshgrid(-target.lat, target.lon, indexing="ij"), axis=-1)
    return np.stack(
        [
            RegularGridInterpolator((-source.lat, source.lon), field)(points)
            for field in valid_values(store, "input", name)
        ]
    )


def article(page, name):
    """The figures of a channel."""
    (found,) = [each for each in page.all("article") if each.one("h3").one("code").text == name]
    return found


def shown(element, class_name):
    return float(element.one("data", class_=class_name).attributes["value"])


def indices_of(uri):
    """The palette's indices of a picture [row, column]."""
    kind, _, content = uri.partition(",")
    assert kind == "data:image/png;base64"
    image = Image.open(io.BytesIO(base64.b64decode(content)))
    assert image.mode == "P"
    return np.array(image)


def test_each_target_channel_has_maps_and_histograms(demo_store, page):
    for channel in demo_store.plan.channels("target"):
        figure = article(page, channel.name)
        has_input = channel.name in demo_store.recipe.input.channels
        maps = [image for image in figure.all("img") if image.attributes["alt"]]
        titles = [caption.text.split()[0] for caption in figure.all("figcaption")]
        assert [alt.attributes["alt"].split()[3] for alt in maps] == (
            ["input", "target", "residual"] if has_input else ["target"]
        )
        assert titles == (["input", "target", "residual", "Values", "Residual"] if has_input else ["target", "Values"])
        assert all(channel.name in image.attributes["alt"] for image in maps)
        charts = figure.all("svg", role="img")
        assert all("mean" in chart.attributes["aria-label"] for chart in charts)
        assert sum(len(chart.all("path")) for chart in charts) == (3 if has_input else 1)
        assert all(path.attributes["d"] for chart in charts for path in chart.all("path"))


def test_each_other_input_channel_and_static_field_has_a_map(demo_store, page):
    alone = set(demo_store.recipe.input.channels) - set(demo_store.recipe.target.channels)
    assert alone
    for name in alone:
        figure = article(page, name)
        assert len(figure.all("img")) == 2  # the map and its colour bar
        assert len(figure.all("svg")) == 1
    for spec in demo_store.recipe.static:
        assert article(page, spec.variable).all("img")


def test_the_page_needs_nothing_from_outside(text, page):
    assert not [e for e in page if e.tag in ("script", "link", "iframe", "object", "embed", "base")]
    for element in page:
        for name, value in element.attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href", "srcset", "action", "data", "poster"):
                assert value.startswith(("data:image/png;base64,", "#"))
    without_pictures = re.sub(r"base64,[A-Za-z0-9+/=]+", "", text)
    assert not re.search(r"//|https?:|url\(|@import", without_pictures)
    assert len(text.encode()) < MOST_BYTES


def test_links_lead_to_places_on_the_page(page):
    ids = [element.attributes["id"] for element in page if "id" in element.attributes]
    assert len(set(ids)) == len(ids)
    assert {link.attributes["href"][1:] for link in page.all("a")} <= set(ids)


def test_statistics_are_those_of_the_valid_arrays(faulty_store, faulty_page):
    assert not faulty_store.valid.all()
    for channel in faulty_store.plan.channels("target"):
        figure = article(faulty_page, channel.name)
        row = faulty_page.one("table", id="table-target").all("tr")[
            1 + faulty_store.recipe.target.channels.index(channel.name)
        ]
        target = valid_values(faulty_store, "target", channel.name)
        assert shown(figure, "mean-of-target") == pytest.approx(target.mean(), rel=1e-9)
        assert shown(figure, "std-of-target") == pytest.approx(target.std(), rel=1e-9)
        assert shown(row, "lowest") == target.min()
        assert shown(row, "highest") == target.max()
        if channel.name not in faulty_store.recipe.input.channels:
            assert not row.all("data", class_="explained-share")
            continue
        coarse = valid_values(faulty_store, "input", channel.name)
        assert shown(figure, "mean-of-input") == pytest.approx(coarse.mean(), rel=1e-9)
        assert shown(figure, "std-of-input") == pytest.approx(coarse.std(), rel=1e-9)
        residual = target - upsampled(faulty_store, channel.name)
        assert shown(figure, "std-of-residual") == pytest.approx(residual.std(), rel=1e-5)
        assert shown(figure, "mean-of-residual") == pytest.approx(residual.mean(), abs=1e-7 * np.abs(target).max())
        explained = 1 - residual.var() / target.var()
        assert shown(row, "explained-share") == pytest.approx(explained, abs=1e-6)
        assert shown(row, "residual-std") == shown(figure, "std-of-residual")


def test_the_constants_are_those_of_the_store(demo_store, page):
    for role in ROLES:
        rows = page.one("table", id=f"table-{role}").one("tbody").all("tr")
        for row, channel, constants in zip(
            rows, demo_store.plan.channels(role), demo_store.plan.normalisations[role], strict=True
        ):
            assert row.one("th").one("code").text == channel.name
            assert (shown(row, "constant-mean"), shown(row, "constant-std")) == (constants.mean, constants.std)


def test_the_rainiest_sample_is_shown(demo_store, page):
    wet = (valid_values(demo_store, "target", "tp") >= 0.1).mean(axis=(1, 2))
    wettest = demo_store.times[demo_store.valid][wet.argmax()]
    assert wet.max() > 0
    section = page.one("section", id="fields")
    assert str(wettest)[:16].replace("T", " ") in section.text
    assert f"{100 * wet.max():.1f}" in section.text


@pytest.mark.parametrize(
    ("role", "name"), [("target", "t2m"), ("target", "tp"), ("target", "refc"), ("residual", "t2m"), ("residual", "tp")]
)
def test_a_map_is_the_field_north_up(demo_store, page, role, name):
    wettest = (valid_values(demo_store, "target", "tp") >= 0.1).mean(axis=(1, 2)).argmax()
    field = valid_values(demo_store, "target", name)[wettest]
    if role == "residual":
        field = field - upsampled(demo_store, name)[wettest]
    assert demo_store.grid("target").lat[0] > demo_store.grid("target").lat[-1]
    figure = article(page, name)
    (uri,) = [image.attributes["src"] for image in figure.all("img") if f"the {role}" in image.attributes["alt"]]
    indices = indices_of(uri)
    assert indices.shape == field.shape
    present = np.unique(indices)
    assert present.size > 3
    for lower, higher in pairwise(present):
        assert field[indices == lower].max() <= field[indices == higher].min() + 1e-4


def test_input_and_target_have_one_scale(demo_store, page):
    figure = article(page, "t2m")
    bars = [image.attributes["src"] for image in figure.all("img") if not image.attributes["alt"]]
    ticks = [element.text for element in figure.all("span", class_="scale")]
    assert bars[0] == bars[1] != bars[2]
    assert ticks[0] == ticks[1] != ticks[2]


def test_the_input_is_placed_by_its_coordinates(demo_store, page):
    """The edges of the input's picture, from CSS per cents back to degrees, are edges of its cells."""
    target, source = demo_store.grid("target"), demo_store.grid("input")
    (lat, lon), (source_lat, source_lon) = target.edges(), source.edges()
    figure = article(page, "t2m")
    (style,) = [image.attributes["style"] for image in figure.all("img") if "the input" in image.attributes["alt"]]
    left, top, width, height = (float(number) / 100 for number in re.findall(r"(-?[\d.]+)%", style))
    for edge in (left, left + width):
        degrees = lon[0] + edge * (lon[-1] - lon[0])
        assert np.abs(source_lon - degrees).min() < 1e-3
    for edge in (top, top + height):
        degrees = lat[0] + edge * (lat[-1] - lat[0])
        assert np.abs(source_lat - degrees).min() < 1e-3
    assert left <= 0 and top <= 0 and left + width >= 1 and top + height >= 1


def test_synthetic_is_said_where_the_title_says_it(page, changed):
    assert page.all("p", class_="synthetic")[0].text.startswith("SYNTHETIC")
    folder, reported = changed
    set_title(folder, "Observed fields")
    plain = reported()
    assert plain.one("h1").text == "Observed fields"
    assert not plain.all("p", class_="synthetic")
    assert "SYNTHETIC" not in plain.all("header")[0].text


def set_title(folder: Path, title: str) -> None:
    path = folder / "zarr.json"
    content = json.loads(path.read_text())
    content["attributes"]["corrstore"]["recipe"]["title"] = title
    path.write_text(json.dumps(content))


def set_samples(folder: Path, status: str, reason: str, valid: bool = True) -> None:
    """Give every sample that status and reason."""
    rows = pq.read_table(folder / SAMPLES).to_pylist()
    for row in rows:
        row.update(status=status, reasons=[reason])
    pq.write_table(pa.Table.from_pylist(rows, schema=SAMPLES_SCHEMA), folder / SAMPLES)
    zarr.open_array(folder / "valid", mode="r+")[:] = valid


def test_what_a_store_says_is_text_and_never_markup(changed):
    folder, reported = changed
    set_title(folder, HOSTILE)
    reason = "<img src=x onerror=alert(1)> & '\"></td>"
    set_samples(folder, "partial", reason)
    build = json.loads((folder / REPORT).read_text())
    problem = "a.grib2: <iframe src='javascript:alert(2)'></iframe>"
    note = "<b onclick=alert(3)>{{ 7 * 7 }}</b>"
    del build["sha256"]
    (folder / REPORT).write_text(json.dumps({**build, "problems": [problem], "notes": {note: 1}}))
    hostile = reported()
    assert not hostile.all("script") and not hostile.all("iframe")
    assert not [element for element in hostile if any(name.startswith("on") for name in element.attributes)]
    assert all(image.attributes["src"].startswith("data:image/png") for image in hostile.all("img"))
    assert hostile.one("h1").text == hostile.one("title").text == HOSTILE
    assert reason in hostile.one("table", id="gaps").text
    assert problem in hostile.one("section", id="coverage").text
    assert f"{note}: 1" in hostile.one("section", id="coverage").text


def test_secrets_of_storage_options_are_hidden(changed):
    folder, reported = changed
    path = folder / "zarr.json"
    content = json.loads(path.read_text())
    source = content["attributes"]["corrstore"]["recipe"]["sources"]["era5"]
    source["storage_options"] = {"token": "/home/me/s3cret-Zq81.json"}
    path.write_text(json.dumps(content))
    recipe = reported().one("section", id="recipe").text
    assert "token: (hidden)" in recipe
    assert "s3cret-Zq81" not in recipe


def test_the_recipe_can_be_built_again(demo_store, page):
    import yaml

    text = page.one("section", id="recipe").one("pre").texts
    assert recipe_from(yaml.safe_load("".join(text))) == demo_store.recipe


def test_gaps_are_counted_and_explained(faulty_store, faulty_page):
    statuses = [row["status"] for row in faulty_store.table(SAMPLES).to_pylist()]
    assert statuses.count("valid") < len(statuses)
    for status in ("valid", "partial", "missing"):
        count = statuses.count(status)
        assert faulty_page.one("span", class_=f"count-{status}").text == f"{count} {status}"
        assert len(faulty_page.one("table", class_="sheet").all("td", class_=status)) == count
    for split, interval in faulty_store.recipe.splits.intervals.items():
        samples = int(interval.mask(faulty_store.times).sum())
        (row,) = [row for row in faulty_page.one("table", id="splits").all("tr") if row.text.startswith(split)]
        cells = [cell.text for cell in row.all("td")]
        assert int(cells[2]) == samples == sum(int(cell) for cell in cells[3:])
    gaps = faulty_page.one("table", id="gaps").text
    for row in faulty_store.table(SAMPLES).to_pylist():
        for reason in row["reasons"]:
            own_time = f" at {np.datetime64(row['valid_time'], 'm')}Z"
            assert " ".join(reason.replace(own_time, "").split()) in gaps
    build = json.loads(faulty_store.folder.read(REPORT))
    assert build["problems"]
    for problem in build["problems"]:
        assert " ".join(problem.split()) in faulty_page.one("section", id="coverage").text


def test_a_store_without_a_valid_sample_has_a_page(changed):
    folder, reported = changed
    set_samples(folder, "missing", "input: nothing was there", valid=False)
    page = reported()
    assert "No sample of this store is valid" in page.one("section", id="fields").text
    assert not page.one("section", id="fields").all("img")
    gaps = page.one("table", id="gaps").one("tbody").all("tr")
    assert len(gaps) == 1
    assert gaps[0].all("td")[2].text == "14"


def test_headings_tables_and_images_are_accessible(page):
    check_accessible(page)


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_has_contrast_in_light_and_dark(text):
    schemes = [
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block)) for block in re.findall(r":root \{(.*?)\}", text, re.S)
    ]
    assert len(schemes) == 2 and schemes[0].keys() == schemes[1].keys()
    for scheme in schemes:
        pairs = [(ink, paper) for ink in ("ink", "quiet", "target", "input", "residual") for paper in ("paper", "card")]
        for ink, paper in [*pairs, ("mark", "mark-paper")]:
            lighter, darker = sorted((luminance(scheme[ink]), luminance(scheme[paper])), reverse=True)
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (ink, paper)
