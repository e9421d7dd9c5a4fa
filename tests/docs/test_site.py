"""The site builds without a warning, needs no other server, and no link in it leads nowhere."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

from docs.site_hooks import PACKAGES
from tests.docs.links import (
    broken_links,
    broken_markdown_links,
    fetched_from_elsewhere,
    read_page,
    slugs,
)

ROOT = Path(__file__).resolve().parent.parent.parent
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site once, as `make docs` does."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-W", "error", "-m", "mkdocs", "build", "--strict"]
    built = subprocess.run(
        [*command, "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return folder


def packages() -> list[str]:
    """Return the packages that have an ``__all__``, as they are when imported."""
    found = []
    for top in PACKAGES:
        package = importlib.import_module(top)
        inner = pkgutil.walk_packages(package.__path__, f"{top}.")
        found += [top, *(item.name for item in inner if item.ispkg)]
    return [name for name in found if hasattr(importlib.import_module(name), "__all__")]


def test_every_link_and_anchor_resolves(site: Path) -> None:
    assert broken_links(site) == []


def test_nothing_is_fetched_from_another_server(site: Path) -> None:
    assert fetched_from_elsewhere(site) == []


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    """The site is built by reading the code; here the packages are asked when they run."""
    missing = []
    for name in packages():
        path = site / "reference" / f"{name}.html"
        anchors, text = read_page(path).anchors, path.read_text("utf-8")
        package = importlib.import_module(name)
        for public in package.__all__:
            value = getattr(package, public)
            if inspect.isclass(value) or inspect.isfunction(value):
                there = f"{name}.{public}" in anchors
            else:
                there = inspect.ismodule(value) or public in text
            missing += [] if there else [f"{name}.{public}"]
    assert missing == []


def test_every_page_is_reached_from_the_start(site: Path) -> None:
    reached, waiting = set(), [(site / "index.html").resolve()]
    while waiting:
        path = waiting.pop()
        if path not in reached and path.suffix == ".html" and path.is_file():
            reached.add(path)
            links = [link.partition("#")[0] for link in read_page(path).links if ":" not in link]
            waiting += [(path.parent / link).resolve() for link in links if link]
    pages = {path.resolve() for path in site.rglob("*.html")} - {(site / "404.html").resolve()}
    assert pages <= reached


@pytest.mark.parametrize(
    "name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "sample_models/README.md"]
)
def test_links_of_pages_outside_of_the_site(name: str) -> None:
    assert broken_markdown_links(ROOT / name) == []


def test_broken_links_are_found(tmp_path: Path) -> None:
    """The checks above would fail if a link were broken."""
    (tmp_path / "inner").mkdir()
    (tmp_path / "index.html").write_text(
        '<a href="inner/page.html#there">1</a><a href="inner/page.html#gone">2</a>'
        '<a href="gone.html">3</a><a href="#gone">4</a><a href="https://elsewhere.example">5</a>'
        '<img src="gone.png"><script src="//cdn.example/a.js"></script>'
    )
    (tmp_path / "inner" / "page.html").write_text('<h2 id="there"></h2><a href="../index.html">')
    found = [f"index.html: {link}" for link in ("inner/page.html#gone", "gone.html", "#gone")]
    assert broken_links(tmp_path) == [*found, "index.html: gone.png"]
    assert fetched_from_elsewhere(tmp_path) == ["index.html: //cdn.example/a.js"]

    text = "# One `two`: three\n[a](#one-two-three) [b](#gone) [c](b.md) [d](a.md#gone)\n"
    page = tmp_path / "a.md"
    page.write_text(f"{text}\n```\n[in code](gone.md)\n```\n")
    assert slugs(text) == {"one-two-three"}
    assert broken_markdown_links(page) == ["#gone", "b.md", "a.md#gone"]
