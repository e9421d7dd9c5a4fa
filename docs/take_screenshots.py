"""Take the README's pictures from a real dashboard: ``python -m docs.take_screenshots [FOLDER]``.

It measures the demo subject in a workspace of its own, which takes a minute or two, and needs
Chromium and the packages of the extra ``dev``.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.browser.conftest import ARGUMENTS, Server, find_chromium

IMAGES = Path(__file__).parent / "images"
LIVE = re.compile(r"(Measured live|After lsq): \S+ of \S+ right in")


def main(folder: Path) -> None:
    """Write sweep.png, curves.png, plan.png and evaluate.png into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="prunescope-") as scratch:
        server = Server(Path(scratch) / "workspace")
        server.start()
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=find_chromium(), args=ARGUMENTS
                )
                page = browser.new_page(viewport={"width": 1440, "height": 1000})
                page.set_default_timeout(600_000)
                _tour(page, server.url, folder)
        finally:
            server.stop()


def _tour(page: Page, url: str, folder: Path) -> None:
    page.goto(url)
    page.get_by_role("button", name="Try the demo").click()
    page.get_by_text("Baseline").first.wait_for()
    _open(page, "Sweep")
    page.get_by_role("button", name="Start sweep").click()
    page.locator(".js-plotly-plot").first.wait_for()
    _shot(page, folder / "sweep.png")
    page.get_by_role("link", name=re.compile("Sweep.*done")).wait_for()
    _open(page, "Curves")
    page.locator(".js-plotly-plot").first.wait_for()
    _shot(page, folder / "curves.png")
    _open(page, "Plan")
    page.get_by_text(LIVE).wait_for()
    page.get_by_label("pp", exact=True).fill("0.1")
    page.get_by_label("pp", exact=True).press("Enter")
    page.wait_for_timeout(2000)
    page.get_by_role("button", name="Fill", exact=True).click()
    page.wait_for_timeout(3000)
    page.get_by_text(LIVE).wait_for()
    _shot(page, folder / "plan.png")
    _open(page, "Evaluate")
    page.get_by_role("button", name="Evaluate the plan").click()
    page.get_by_role("button", name="Go to export").wait_for()
    _shot(page, folder / "evaluate.png")


def _open(page: Page, name: str) -> None:
    page.get_by_role("link", name=re.compile(rf"^(\w+ )?{name}\b")).first.click()
    page.get_by_role("heading", name=name, exact=True).wait_for()


def _shot(page: Page, path: Path) -> None:
    # Charts draw themselves in after they are mounted.
    page.wait_for_timeout(4000)
    page.screenshot(path=path)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES)
