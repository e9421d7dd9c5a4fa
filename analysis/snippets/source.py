"""Records and values as Python source."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

# From here on a record takes a line a field.
WIDTH = 88
INDENT = "    "


def source_of(value: Any, depth: int = 0) -> str:
    """Return an expression for a record, without what is usual, or for a plain value.

    >>> from analysis.records import SubjectSpec
    >>> source_of(SubjectSpec(model="sample:lenet5", samples=100))
    "SubjectSpec(model='sample:lenet5', samples=100)"
    """
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return repr(value)
    given = []
    for field in dataclasses.fields(value):
        item = getattr(value, field.name)
        if item != field.default:
            given.append(f"{field.name}={source_of(item, depth + 1)}")
    name = type(value).__name__
    short = f"{name}({', '.join(given)})"
    if len(short) + len(INDENT) * depth <= WIDTH and "\n" not in short:
        return short
    inside = "".join(f"{INDENT * (depth + 1)}{item},\n" for item in given)
    return f"{name}(\n{inside}{INDENT * depth})"


def store_of(workspace: Path | None) -> str:
    """Return an expression for a workspace's store.

    Args:
        workspace: The workspace; None for the usual one.
    """
    path = Path("~/.prunescope") if workspace is None else workspace
    return f"Store(Path({str(path)!r}))"
