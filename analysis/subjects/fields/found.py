"""What a form offers for a field: files and folders below the allowed ones, functions of a file."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

# A root may be a home folder: what is looked at and what is listed have bounds.
MAX_ENTRIES = 20_000
MAX_DEPTH = 6
MAX_FOUND = 500
MAX_SOURCE_BYTES = 1_000_000
# Folders of tools; nobody keeps models there.
SKIPPED = {"__pycache__", "node_modules", "site-packages", "dist-packages", "venv"}
# These would end a line.
FORBIDDEN = "\n\r"


def find_matching(roots: Sequence[Path], suffixes: Sequence[str]) -> list[str]:
    """Return the files below some folders that end in one of the suffixes.

    Paths are relative to the working folder where they lie below it. Hidden folders and those of
    tools are left out, and what a link leads to; the number is bounded.
    """
    ends = tuple(suffixes)
    found = (item for item in _walk(roots) if item.name.endswith(ends) and item.is_file())
    return _listed(found)


def find_folders(roots: Sequence[Path]) -> list[str]:
    """Return the folders below some folders; see `find_matching`."""
    return _listed(item for item in _walk(roots) if _is_folder(item))


def _listed(entries: Iterator[os.DirEntry[str]]) -> list[str]:
    found: list[str] = []
    here = Path.cwd().resolve()
    for entry in entries:
        path = Path(entry.path)
        text = str(path.relative_to(here) if path.is_relative_to(here) else path)
        if not set(FORBIDDEN) & set(text):
            found.append(text)
        if len(found) == MAX_FOUND:
            break
    return sorted(found)


def _walk(roots: Sequence[Path]) -> Iterator[os.DirEntry[str]]:
    """Yield what lies below the roots, near things first."""
    todo = [(str(root.expanduser().resolve()), 0) for root in roots]
    seen = 0
    while todo:
        folder, depth = todo.pop(0)
        for entry in _entries(folder):
            seen += 1
            if seen > MAX_ENTRIES:
                return
            yield entry
            if depth < MAX_DEPTH and _is_folder(entry):
                todo.append((entry.path, depth + 1))


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(
                (item for item in entries if not item.name.startswith(".")),
                key=lambda item: item.name,
            )
    except OSError:
        # A folder that may not be read offers nothing.
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.name not in SKIPPED and entry.is_dir(follow_symlinks=False)


def find_functions(path: Path) -> tuple[str, ...]:
    """Return the names of the functions of a Python file, without running any of it.

    A file that cannot be read as Python has none.
    """
    try:
        if path.stat().st_size > MAX_SOURCE_BYTES:
            return ()
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    return tuple(
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    )
