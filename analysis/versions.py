"""Which program this is, and what its numbers come from."""

from __future__ import annotations

import importlib.metadata
import platform


def versions() -> dict[str, str]:
    """Return the versions of PruneScope, torch and Python; nothing of theirs is loaded for it."""
    found = {name: _of(name) for name in ("prunescope", "torch")}
    return {**found, "python": platform.python_version()}


def _of(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "source"
