"""The site of a catalog in a real browser: Debian's chromium, headless, without a network."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest
from PIL import Image

from corrstore.catalog.pages.page import write_site
from corrstore.catalog.queries.access import Catalog
from corrstore.catalog.tables.registration import register, register_store
from corrstore.datasets.storage.folder import Folder
from tests.catalog_made import made

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium; apt-get install chromium")
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
HOSTILE = "<img src=http://example.invalid/x onerror=alert(1)><script>alert(2)</script>"
DESKTOP, PHONE = (1280, 900), (390, 844)


@pytest.fixture(scope="module")
def site(demo_store, tmp_path_factory) -> Path:
    """A store of two days in 2020, one of 2019 with holes, and one with a hostile name that is gone."""
    root = tmp_path_factory.mktemp("browsed")
    url = str(root / "catalog")
    register_store(url, demo_store.folder.url)
    year = {"start": "2019-01-01", "hours": 365 * 24, "step": 6}
    register(Folder(url), made(root, "year", **year, invalid=(*range(40, 52), 700), inputs=("u_850",)))
    gone = made(root, HOSTILE, targets=("t2m", HOSTILE))
    register(Folder(url), gone)
    shutil.rmtree(gone.location)
    write_site(Catalog(url), Folder(str(root / "site")))
    return root / "site"


@pytest.fixture(scope="module")
def browser():
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, "--disable-sync"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, site):
    """Open a page of the site; at the end nothing was asked for outside its folder, and nothing went wrong."""
    contexts, asked, wrong = [], [], []

    def opened(name: str = "index.html", size: tuple[int, int] = DESKTOP, **settings):
        viewport = dict(zip(("width", "height"), size, strict=True))
        context = browser.new_context(viewport=viewport, **settings)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text))
        page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
        page.goto((site / name).as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    files = [url for url in asked if not url.startswith("data:image/png;base64,")]
    assert files and all(urlparse(url).scheme == "file" for url in files)
    assert all(Path(unquote(urlparse(url).path)).is_relative_to(site) for url in files)
    assert not wrong


def found(page) -> list[str]:
    """The names of the stores that are to be seen."""
    assert page.locator("#found").inner_text().startswith(f"{page.locator('.store:visible').count()} of ")
    return sorted(page.locator(".store:visible .where code").all_inner_texts())


EVERY = sorted(["small", "year", HOSTILE])
FAINT_TEXTS = """() => {
  const context = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = color => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = color;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const linear = part => part <= 10 ? part / 3294.6 : ((part / 255 + 0.055) / 1.055) ** 2.4;
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const ground = element => {
    const color = rgba(getComputedStyle(element).backgroundColor);
    return color[3] || element === document.body ? color : ground(element.parentElement);
  };
  document.querySelectorAll("details").forEach(each => each.open = true);
  const faint = [], texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let looked = 0;
  while (texts.nextNode()) {
    const text = texts.currentNode.textContent.trim(), element = texts.currentNode.parentElement;
    const ink = rgba(getComputedStyle(element).color);
    if (!text || !element.offsetParent || !ink[3] || element.closest("script")) continue;
    looked += 1;
    const [dark, bright] = [luminance(ink), luminance(ground(element))].sort((a, b) => a - b);
    if ((bright + 0.05) / (dark + 0.05) < 4.5) faint.push(text);
  }
  return [looked, faint];
}"""
"""Count the visible texts, and list those with less contrast than 4.5 to 1 (WCAG 2.2, 1.4.3)."""


VARIABLES = {
    "": EVERY,
    "t2m": EVERY,
    "tp": ["small"],
    "u_8": sorted(["year", HOSTILE]),
    "t2m, u_850": sorted(["year", HOSTILE]),
    "refc u_850": [],
    "u_850000": [],
    "<img": [HOSTILE],
}
PERIODS = [
    ("2020-06-01", "2020-06-02", ["small"], "holds 87.5 % of these days"),  # 03 UTC to 21 UTC of the next
    ("2019-02-01", "2019-02-28", ["year"], "holds all of these days"),
    ("2019-01-11", "2019-01-13", [], ""),  # twelve samples are not valid
    ("2019-01-10", "2019-01-13", ["year"], "holds 25.0 % of these days"),
    ("2021-01-01", "2021-02-01", [], ""),
    ("2019-06-05", "2019-06-01", [], ""),
    ("2020-01-01", "", ["small"], None),
    ("", "2019-03-31", ["year"], None),
]


def test_stores_are_filtered_by_variable(open_page):
    page = open_page()
    for variables, expected in VARIABLES.items():
        page.get_by_label("Variables").fill(variables)
        assert found(page) == expected, variables


def test_stores_are_filtered_by_period(open_page):
    page = open_page()
    for first, last, expected, holds in PERIODS:
        page.get_by_label("From").fill(first)
        page.get_by_label("To, that day included").fill(last)
        assert found(page) == expected, (first, last)
        if expected and holds:
            assert page.locator(".holds:visible").all_inner_texts() == [holds]
        page.get_by_label("Only stores that hold all").check()
        assert found(page) == (expected if holds == "holds all of these days" else []), (first, last)
        page.get_by_role("button", name="Clear").click()
        playwright_api.expect(page.locator("#found")).to_have_text("3 of 3 stores")
        assert found(page) == EVERY


def test_the_keyboard_is_enough(open_page):
    page = open_page()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Tab")
    page.keyboard.type("tp")
    assert found(page) == ["small"]
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.store a')"):
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/stores/*.html")
    assert page.locator("h1").inner_text() == "Small SYNTHETIC store"
    page.get_by_text("Show the recipe as YAML").press("Enter")
    assert page.get_by_text("name: small").is_visible()


def test_roles_are_announced(open_page):
    page = open_page()
    assert page.get_by_role("search", name="Filter the stores").is_visible()
    assert page.get_by_role("status").inner_text() == "3 of 3 stores"
    page.get_by_role("link", name="Small SYNTHETIC store").click()
    page.wait_for_url("**/stores/*.html")
    assert page.get_by_role("img", name="Map of the residual 2 m temperature (t2m)").is_visible()
    assert page.get_by_role("table", name="days, by hour, UTC").get_by_role("rowheader").count() == 2
    assert page.get_by_role("navigation", name="Sections").is_visible()


def test_without_scripts_all_stores_are_listed(open_page):
    page = open_page(java_script_enabled=False)
    assert page.locator(".store:visible").count() == 3
    assert not page.locator("#filter").is_visible()
    page.locator(".store a").first.click()
    page.wait_for_url("**/stores/*.html")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_contrast(open_page, site, scheme):
    for name in ["index.html", *(f"stores/{path.name}" for path in (site / "stores").iterdir())]:
        looked, faint = open_page(name, color_scheme=scheme).evaluate(FAINT_TEXTS)
        assert looked > 40 and not faint


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_axis_says_when_the_stretches_are(open_page, size):
    page = open_page(size=size)
    store = page.locator(".store").filter(has=page.get_by_role("link", name="year", exact=True))
    tick = store.get_by_text("2020-01", exact=True).bounding_box()
    stretch = store.locator(".timeline i").last.bounding_box()
    assert tick["x"] + tick["width"] / 2 == pytest.approx(stretch["x"] + stretch["width"], abs=2)


def test_a_calendar_is_to_be_seen_whole_on_a_phone(open_page, site):
    name = next(path.name for path in (site / "stores").iterdir() if "<title>year</title>" in path.read_text())
    page = open_page(f"stores/{name}", PHONE)
    for sheet in page.locator(".sheet:visible").all():
        box = sheet.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= PHONE[0]


def test_hostile_names_are_shown_as_text(open_page):
    page = open_page()
    page.get_by_role("link", name=HOSTILE).click()
    page.wait_for_url("**/stores/*.html")
    assert page.locator("h1").inner_text() == HOSTILE
    assert page.get_by_text("Vanished.").is_visible()


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_pages_fit_the_screen_in_light_and_dark(open_page, site, size, tmp_path):
    for name in ["index.html", *(f"stores/{path.name}" for path in (site / "stores").iterdir())]:
        page = open_page(name, size)
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        if page.locator(".synthetic").count() or name == "index.html":
            brightness = {}
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                picture = tmp_path / f"{Path(name).stem}-{scheme}.png"
                page.screenshot(path=picture, full_page=True)
                with Image.open(picture) as image:
                    assert len(image.convert("RGB").resize((200, 200)).getcolors(40_000)) > 100
                    brightness[scheme] = image.convert("L").resize((1, 1)).getpixel((0, 0))
            assert brightness["light"] > 150 > 90 > brightness["dark"]
