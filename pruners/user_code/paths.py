"""Paths that people type."""

from __future__ import annotations

from pathlib import Path

from pruners.errors import InputError

MAX_SHOWN = 80


def resolved(path: str | Path) -> Path:
    """Return the absolute path, ``~`` expanded and links followed; nothing need be there.

    Raises:
        InputError: No file can have that path, or it may not be looked at.
    """
    try:
        found = Path(path).expanduser().resolve()
        found.exists()
    except (OSError, RuntimeError, ValueError) as error:
        text = str(path)
        shown = text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
        reason = error.strerror if isinstance(error, OSError) else str(error).rstrip(".")
        raise InputError(f"{shown!r} cannot be opened: {reason}") from None
    return found
