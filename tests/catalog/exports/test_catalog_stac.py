"""STAC collections as pystac reads and validates them, and dataset cards as a Markdown parser does."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pystac
import pytest
import yaml
from markdown_it import MarkdownIt
from pystac.extensions.datacube import (
    SCHEMA_URI,
    DatacubeExtension,
    HorizontalSpatialDimension,
    TemporalDimension,
)
from pystac.validation.stac_validator import JsonSchemaSTACValidator

from corrstore.catalog.exports.stac import write_stac
from corrstore.catalog.queries.access import Catalog
from corrstore.catalog.queries.pruning import prune
from corrstore.catalog.tables.registration import register, register_store
from corrstore.datasets.recipe.parts import ROLES
from corrstore.datasets.recipe.recipe import recipe_from
from corrstore.datasets.storage.folder import Folder
from tests.catalog_made import GRID, made
from tests.command import corrstore
from tests.conftest import brief_content, build_in_process

STAC_VERSION = "1.1.0"
HOSTILE = "a|b`c` [x](http://example.invalid) <b>bold</b> *em* _em_ https://example.invalid ![i](y) & # \n\n# h"


@pytest.fixture(scope="module")
def url(demo_store, tmp_path_factory) -> str:
    """A catalog of a real store, one of a hostile name, and one across the date line without input grid."""
    root = tmp_path_factory.mktemp("catalog-for-stac")
    url = str(root / "catalog")
    register_store(url, demo_store.folder.url)
    register(Folder(url), made(root, HOSTILE, targets=("t2m", HOSTILE)))
    pacific = {**GRID, "west": 170.0, "east": 200.0, "lat_step": 0.5, "lon_step": 1.0}
    register(Folder(url), made(root, "pacific", grid=pacific, hours=48, step=6))
    return url


@pytest.fixture(scope="module")
def folder(url, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("stac")
    assert write_stac(Catalog(url), Folder(str(folder))) == 3
    return folder


@pytest.fixture(scope="module")
def collections(folder) -> dict:
    """The collections by title, as pystac finds them from the catalog."""
    root = pystac.Catalog.from_file(str(folder / "catalog.json"))
    validator = JsonSchemaSTACValidator()
    validator.validate_core(root.to_dict(), pystac.STACObjectType.CATALOG, STAC_VERSION)
    found = {child.title: child for child in root.get_children()}
    for child in found.values():
        content = json.loads((folder / child.id / "collection.json").read_text(encoding="utf-8"))
        validator.validate_core(content, pystac.STACObjectType.COLLECTION, STAC_VERSION)
    return found


def test_each_store_is_a_collection(collections, url):
    assert {each.id for each in collections.values()} == {row["store"] for row in Catalog(url).listing()}


def test_the_datacube_extension_describes_the_arrays(collections, demo_store):
    cube = DatacubeExtension.ext(collections["Small SYNTHETIC store"])
    time = cube.dimensions["time"]
    assert isinstance(time, TemporalDimension)
    assert time.extent == [f"{demo_store.times[0]}Z", f"{demo_store.times[-1]}Z"] and time.step == "PT3H"
    for role, (lat, lon) in {"input": ("input_lat", "input_lon"), "target": ("lat", "lon")}.items():
        grid = demo_store.grid(role)
        for name, axis, values in ((lat, "y", grid.lat), (lon, "x", grid.lon)):
            dimension = cube.dimensions[name]
            assert isinstance(dimension, HorizontalSpatialDimension)
            assert (dimension.axis, dimension.extent) == (axis, [values.min(), values.max()])
            assert dimension.step == pytest.approx(abs(np.diff(values).mean()))
        assert cube.dimensions[f"{role}_channel"].values == [each.name for each in demo_store.plan.channels(role)]
    for name, variable in cube.variables.items():
        assert tuple(variable.dimensions) == demo_store.group[name].metadata.dimension_names
        assert set(variable.dimensions) <= set(cube.dimensions)
    assert set(cube.variables) == {"input", "target", "static", "valid"}


@pytest.fixture(scope="module")
def schemas(tmp_path_factory) -> dict[str, dict]:
    """The extension's own JSON schemas by address, as the sdist of pystac's extension has recorded them."""
    folder, package = tmp_path_factory.mktemp("sdist"), f"pystac-ext-datacube=={version('pystac-ext-datacube')}"
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "--no-binary",
        ":all:",
        "-d",
        folder,
        package,
    ]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip(f"pip finds no sdist of {package}")
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    recorded = (yaml.safe_load(path.read_text(encoding="utf-8")) for path in folder.rglob("cassettes/**/*.yaml"))
    answers = [each for cassette in recorded for each in cassette["interactions"]]
    found = [
        json.loads(each["response"]["body"]["string"]) for each in answers if each["response"]["status"]["code"] == 200
    ]
    return {schema["$id"]: schema for schema in found}


@pytest.mark.slow
def test_the_datacube_extensions_own_schema_accepts_them(collections, folder, schemas):
    validator = JsonSchemaSTACValidator()
    validator.schema_cache |= schemas
    kind = pystac.STACObjectType.COLLECTION
    for each in collections.values():
        content = json.loads((folder / each.id / "collection.json").read_text(encoding="utf-8"))
        assert validator.validate_extension(content, kind, STAC_VERSION, SCHEMA_URI) == SCHEMA_URI
        content["cube:dimensions"]["time"]["extent"] = "always"
        with pytest.raises(pystac.STACValidationError):
            validator.validate_extension(content, kind, STAC_VERSION, SCHEMA_URI)


def test_bands_carry_the_statistics_of_the_valid_samples(collections, demo_store):
    assets = collections["Small SYNTHETIC store"].assets
    for role in ROLES:
        bands = assets[role].extra_fields["bands"]
        for place, (band, channel) in enumerate(zip(bands, demo_store.plan.channels(role), strict=True)):
            numbers = np.flatnonzero(demo_store.valid)
            values = np.stack([demo_store.physical(role, number)[place] for number in numbers])
            found = band["statistics"]
            assert (band["name"], band["unit"]) == (channel.name, channel.variable.units)
            assert (found["minimum"], found["maximum"]) == (values.min(), values.max())
            assert (found["mean"], found["stddev"]) == pytest.approx((values.mean(), values.std()), rel=1e-9)
            assert (found["count"], found["valid_percent"]) == (values.size, 100)
    assert Path(assets["metadata"].href.removeprefix("file://")).is_file()


def test_the_extent_is_that_of_the_cells(collections, demo_store):
    lat, lon = demo_store.grid("target").edges()
    (box,) = collections["Small SYNTHETIC store"].extent.spatial.bboxes
    assert box == pytest.approx([lon.min(), lat.min(), lon.max(), lat.max()])
    (box,) = collections["pacific"].extent.spatial.bboxes
    assert box == [169.5, 18.75, -159.5, 40.25]
    ((start, end),) = collections["pacific"].extent.temporal.intervals
    assert (f"{start:%Y-%m-%dT%H}", f"{end:%Y-%m-%dT%H}") == ("2019-06-01T00", "2019-06-02T18")


def test_files_lie_in_safe_folders_and_go_with_their_stores(tmp_path):
    url, output = str(tmp_path / "catalog"), tmp_path / "stac"
    for name in ("../../up", "stays"):
        register(Folder(url), made(tmp_path, name))
    assert corrstore("catalog", "stac", output, "--catalog", url).returncode == 0
    ids = {row["name"]: row["store"] for row in Catalog(url).listing()}
    assert {path.name for path in output.iterdir()} == {"catalog.json", *ids.values()}
    prune(Catalog(url), ["../../up"])
    assert write_stac(Catalog(url), Folder(str(output))) == 1
    assert not [path for path in (output / ids["../../up"]).rglob("*") if path.is_file()]
    assert len(list((output / ids["stays"]).iterdir())) == 2


def tokens(text: str) -> list:
    """All tokens of a card behind its front matter."""
    markdown = MarkdownIt("commonmark").enable("table").parse(text.split("---\n", 2)[2])
    return [each for token in markdown for each in (token, *(token.children or ()))]


def texts(text: str, kinds: tuple[str, ...] = ("text", "code_inline")) -> list[str]:
    return [token.content for token in tokens(text) if token.type in kinds]


def test_a_store_with_a_train_split_alone_has_a_card_and_a_collection(archive, tmp_path):
    build_in_process(recipe_from(brief_content(archive)), tmp_path / "store")
    url = str(tmp_path / "catalog")
    register_store(url, str(tmp_path / "store"))
    card = corrstore("catalog", "card", str(tmp_path / "store"), "--catalog", url)
    assert card.returncode == 0, card.stderr
    splits = [word for word in texts(card.stdout) if word in ("train", "validation", "test")]
    assert splits == ["train"]
    assert corrstore("catalog", "stac", tmp_path / "stac", "--catalog", url).returncode == 0


def test_the_card_says_what_is_in_the_store(url, demo_store, tmp_path):
    card = corrstore("catalog", "card", "small", "--catalog", url).stdout
    assert yaml.safe_load(card.split("---\n")[1])["pretty_name"] == "Small SYNTHETIC store"
    words = texts(card)
    for role in ROLES:
        assert {channel.name for channel in demo_store.plan.channels(role)} <= set(words)
    assert demo_store.folder.url in words and demo_store.fingerprint in words
    assert any(word.startswith("SYNTHETIC") for word in words)
    blocks = {token.info: token.content for token in tokens(card) if token.type == "fence"}
    assert recipe_from(yaml.safe_load(blocks["yaml"])) == demo_store.recipe
    scope: dict = {}
    exec(blocks["python"], scope)
    assert scope["store"].fingerprint == demo_store.fingerprint
    written = corrstore("catalog", "card", "small", "--catalog", url, "--output", tmp_path / "card.md")
    assert written.returncode == 0 and (tmp_path / "card.md").read_text(encoding="utf-8") == card


def test_an_unknown_store_is_said(url):
    answer = corrstore("catalog", "card", "nowhere", "--catalog", url)
    assert answer.returncode == 2 and "no store 'nowhere'" in answer.stderr


def test_names_are_text_in_a_card_and_in_a_collection(folder, url, collections):
    key = Catalog(url).stores.named(HOSTILE)["store"]
    card = (folder / key / "README.md").read_text(encoding="utf-8")
    shown = HOSTILE.replace("\n", "\ufffd")
    (heading, title), *_ = (
        (token.tag, "".join(child.content for child in inline.children))
        for token, inline in zip(tokens(card), tokens(card)[1:], strict=False)
        if token.type == "heading_open"
    )
    assert (heading, title) == ("h1", shown)
    assert shown in texts(card, ("code_inline",))
    kinds = {token.type for token in tokens(card)}
    assert not kinds & {"html_inline", "html_block", "link_open", "image", "em_open"}
    assert yaml.safe_load(card.split("---\n")[1])["pretty_name"] == shown
    assert collections[shown].id == key
