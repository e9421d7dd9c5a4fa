"""Links of built HTML and of Markdown files, and which of them lead nowhere."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What a browser fetches by itself, by tag and attribute; links are only followed by a reader.
FETCHED = {("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src")}
FETCHED_RELS = {"stylesheet", "icon", "preload", "modulepreload", "manifest"}


@dataclass
class HtmlPage:
    links: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = HtmlPage()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.page.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "link":
            if set(values.get("rel", "").split()) & FETCHED_RELS:
                self.page.fetched.append(values.get("href", ""))
            return
        if "href" in values:
            self.page.links.append(values["href"])
        self.page.fetched += [values[name] for name in values if (tag, name) in FETCHED]


@functools.cache
def read_page(path: Path) -> HtmlPage:
    reader = _Reader()
    reader.feed(path.read_text("utf-8"))
    return reader.page


def broken_links(site: Path) -> list[str]:
    """Return ``page: link`` for each link inside a site whose page or anchor does not exist."""
    pages = {path.resolve(): read_page(path) for path in sorted(site.rglob("*.html"))}
    broken = []
    for path, page in pages.items():
        for link in [*page.links, *page.fetched]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = _target(site.resolve(), path, unquote(parts.path))
            if target.is_dir():
                target /= "index.html"
            anchors = pages[target].anchors if target in pages else set()
            missing = parts.fragment and unquote(parts.fragment) not in anchors
            if not target.is_file() or missing:
                broken.append(f"{path.relative_to(site.resolve())}: {link}")
    return broken


def _target(site: Path, page: Path, link: str) -> Path:
    if link.startswith("/"):  # the page for what was not found knows only the top of the site
        return site / link.lstrip("/")
    return (page.parent / link).resolve() if link else page


def fetched_from_elsewhere(site: Path) -> list[str]:
    """Return ``page: address`` for all that a browser would fetch from another server."""
    return [
        f"{path.relative_to(site)}: {address}"
        for path in sorted(site.rglob("*.html"))
        for address in read_page(path).fetched
        if urlsplit(address).netloc
    ]


def slugs(text: str) -> set[str]:
    """Return the anchors that GitHub gives the headings of a Markdown text."""
    headings = re.findall(r"^#+ +(.+?) *$", _without_code(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_markdown_links(path: Path) -> list[str]:
    """Return the relative links of a Markdown file that lead nowhere."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", _without_code(path.read_text("utf-8"))):
        parts = urlsplit(link)
        if parts.scheme:
            continue
        target = path.parent / unquote(parts.path) if parts.path else path
        anchors = (
            slugs(target.read_text("utf-8"))
            if target.suffix == ".md" and target.is_file()
            else set()
        )
        if not target.exists() or (parts.fragment and parts.fragment not in anchors):
            broken.append(link)
    return broken


def _without_code(text: str) -> str:
    return re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)
