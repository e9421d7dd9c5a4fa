"""Which program this is, and what its numbers come from."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
import time
from pathlib import Path

from pruners.user_code import OWN

# When this process loaded the program.
BEGAN = time.time()


def versions() -> dict[str, str]:
    """Return the versions of PruneScope, torch and Python; nothing of theirs is loaded for it."""
    found = {name: _of(name) for name in ("prunescope", "torch")}
    return {**found, "python": platform.python_version()}


def is_changed() -> bool:
    """Return whether files of PruneScope are others than those that this process loaded.

    Then its pages, which are read each time, and its modules may not fit each other.
    """
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file is None or name.partition(".")[0] not in OWN:
            continue
        try:
            if Path(file).stat().st_mtime > BEGAN:
                return True
        except OSError:
            return True
    return False


def _of(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "source"
