"""Griffe extension: doctests and ``::`` of docstrings as Markdown, which mkdocstrings renders."""

from __future__ import annotations

import re
from typing import Any

import griffe

DOCTEST = re.compile(r"^( *)>>> .*(?:\n(?! *$).*)*", re.MULTILINE)
LITERAL = re.compile(r"::(?=\n\n {4})")


class DocstringMarkup(griffe.Extension):
    """Rewrites each docstring as it is read."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Turn doctest blocks into fenced code and ``text::`` into ``text:``."""
        if obj.docstring is not None:
            obj.docstring.value = to_markdown(obj.docstring.value)


def to_markdown(text: str) -> str:
    """Return a docstring with doctests as fenced code and no ``::``."""
    text = DOCTEST.sub(_fenced, text)
    return re.sub(r"^:$\n*", "", LITERAL.sub(":", text), flags=re.MULTILINE)


def _fenced(found: re.Match[str]) -> str:
    return f"{found[1]}```pycon\n{found[0]}\n{found[1]}```"
