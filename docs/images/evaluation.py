"""Make the README's picture of a report: the maps of one channel in its first case, whole, with their titles.

    python docs/images/evaluation.py demo/evaluation/report.html docs/images/evaluation.png

It needs chromium, and playwright of the extra `dev`.
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

WIDTH, SCALE, MAPS = 1140, 1.5, 6
ONLY_THE_MAPS = """([channel, maps]) => {
  const article = document.querySelector(`#channel-${channel}`);
  const shown = article.querySelector("section.case-0");
  for (const figure of [...shown.querySelectorAll("figure.map")].filter(
    each => each.querySelector("b").textContent.includes("truth") && each !== shown.querySelector("figure.map")
  )) figure.remove();
  for (const figure of [...shown.querySelectorAll("figure.map")].slice(maps)) figure.remove();
  [...shown.querySelectorAll("h4")].slice(1).forEach(each => each.remove());
  article.querySelectorAll("section:not(.case-0), .charts").forEach(each => each.remove());
  const label = document.querySelector(".synthetic");
  if (label) article.prepend(label);
  document.body.replaceChildren(
    ...document.querySelectorAll("body > style"),
    ...["#outlines", ".picker"].map(each => document.querySelector(each)),
    article,
  );
  document.querySelector(".picker").style.display = "none";
}"""


def picture(report: Path, output: Path, channel: str = "t2m") -> None:
    """Write the picture of a report's channel; it says SYNTHETIC where the report does."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 900}, device_scale_factor=SCALE)
        page.goto(report.absolute().as_uri())
        page.evaluate(ONLY_THE_MAPS, [channel, MAPS])
        content = page.locator(f"#channel-{channel}").screenshot()
        browser.close()
    Image.open(io.BytesIO(content)).convert("RGB").quantize(256).save(output, optimize=True)


if __name__ == "__main__":
    picture(*map(Path, sys.argv[1:3]))
