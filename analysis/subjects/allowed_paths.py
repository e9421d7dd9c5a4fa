"""Which files may be opened when an address was typed into a web page."""

from __future__ import annotations

import difflib
import json
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import PathFinder
from pathlib import Path

from analysis.records import decode_json
from pruners.errors import AddressError, InputError
from pruners.user_code import resolved

Roots = Sequence[Path] | None
# Set by `prunescope serve` for the dashboard and the workers that it starts.
VARIABLE = "PRUNESCOPE_ROOTS"


def roots_of_environment() -> tuple[Path, ...] | None:
    """Return the roots that the launcher chose; None if it chose none.

    Raises:
        InputError: The variable does not hold what `roots_text` writes.
    """
    given = os.environ.get(VARIABLE, "")
    if not given:
        return None
    return tuple(map(Path, decode_json(tuple[str, ...], given, name=VARIABLE)))


def roots_text(roots: Sequence[Path]) -> str:
    """Return roots as the environment holds them; their names may hold any character."""
    return json.dumps([str(root) for root in roots])


def check_path(path: Path, *, roots: Roots) -> Path:
    """Return the path, resolved, if it lies below a root.

    Args:
        path: What is to be opened; links are followed before the check.
        roots: Allowed folders; None allows everything (command line, Python).

    Raises:
        AddressError: It lies elsewhere, or no file can have that path.
    """
    try:
        found = resolved(path)
    except InputError as error:
        raise AddressError(str(error)) from None
    if roots is not None and not any(found.is_relative_to(resolved(root)) for root in roots):
        allowed = ", ".join(str(root) for root in roots) or "none"
        raise AddressError(
            f"{path} is outside of the folders that this server allows ({allowed}); "
            "restart it with --root DIR to allow more"
        )
    return found


def check_links(folder: Path, *, roots: Roots) -> None:
    """Check that no link in a folder, however deep, leads out of the roots.

    Raises:
        AddressError: One does.
    """
    if roots is None:
        return
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place, name)
            if path.is_symlink():
                check_path(path, roots=roots)


def missing(path: Path, *, kind: str = "file") -> str:
    """Return what to say of a path that leads nowhere: where that is, and what is near it.

    Args:
        path: As it was given; where something else than what it should have been is, that is said.
        kind: What it should have been.
    """
    folder = path.expanduser().parent
    if path.expanduser().exists():
        return f"{path} is {_what(path.expanduser())}, not a {kind}"
    try:
        names = [item.name for item in os.scandir(folder)]
    except (OSError, ValueError):
        names = []
    near = difflib.get_close_matches(path.name, names, n=2)
    hint = f"; did you mean {' or '.join(str(folder / name) for name in near)}?" if near else ""
    where = "" if path.expanduser().is_absolute() else f" below {Path.cwd()}"
    return f"there is no {kind} {path}{where}{hint}"


def _what(path: Path) -> str:
    if path.is_dir():
        return "a folder"
    return "a file" if path.is_file() else "neither a file nor a folder"


def check_module(name: str, *, roots: Roots) -> None:
    """Check where a module's code lies, without running any of it.

    Raises:
        AddressError: It lies outside of the roots, or among installed packages.
    """
    if roots is None:
        return
    # A finder that is given the path looks the name up without importing it.
    found = PathFinder.find_spec(name.partition(".")[0])
    places = list(found.submodule_search_locations or ()) if found else []
    if found is not None and found.origin not in (None, "built-in", "frozen"):
        places.append(str(found.origin))
    if not places:
        raise AddressError(f"there is no module {name} below the folders that this server allows")
    for place in places:
        there = check_path(Path(place), roots=roots)
        if {"site-packages", "dist-packages"} & set(there.parts):
            raise AddressError(
                f"module {name} is an installed package; a page may only name factories of your "
                "own files"
            )


@contextmanager
def checked_imports(roots: Roots) -> Iterator[None]:
    """Let nothing below the roots be imported in the block that is a link out of them.

    Raises:
        AddressError: From the import.
    """
    if roots is None:
        yield
        return
    finder = _LinkFinder(roots)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _LinkFinder:
    """Finds nothing; looks at what this thread's imports would find."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = roots
        self._places = [resolved(root) for root in roots]
        self._thread = threading.get_ident()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: object = None
    ) -> None:
        if threading.get_ident() != self._thread:
            return
        found = PathFinder.find_spec(name, path)
        if found is None or found.origin is None:
            return
        origin = Path(found.origin)
        # What lies elsewhere are libraries; of these a page can name no function.
        if any(origin.is_relative_to(place) for place in self._places):
            check_path(origin, roots=self._roots)
