"""Which files may be opened when an address was typed into a web page."""

from __future__ import annotations

import difflib
import importlib.machinery
import os
from collections.abc import Sequence
from pathlib import Path

from pruners.errors import AddressError

Roots = Sequence[Path] | None
# Set by `prunescope serve` for the dashboard and the workers that it starts.
VARIABLE = "PRUNESCOPE_ROOTS"


def roots_of_environment() -> tuple[Path, ...] | None:
    """Return the roots that the launcher chose; None if it chose none."""
    given = os.environ.get(VARIABLE, "")
    return tuple(Path(part) for part in given.split(os.pathsep) if part) or None


def check_path(path: Path, *, roots: Roots) -> Path:
    """Return the path, resolved, if it lies below a root.

    Args:
        path: What is to be opened; links are followed before the check.
        roots: Allowed folders; None allows everything (command line, Python).

    Raises:
        AddressError: It lies elsewhere.
    """
    resolved = path.expanduser().resolve()
    if roots is not None and not any(
        resolved.is_relative_to(root.expanduser().resolve()) for root in roots
    ):
        allowed = ", ".join(str(root) for root in roots) or "none"
        raise AddressError(
            f"{path} is outside of the folders that this server allows ({allowed}); "
            "restart it with --root DIR to allow more"
        )
    return resolved


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
        path: As it was given.
        kind: What it should have been.
    """
    folder = path.expanduser().parent
    try:
        names = [item.name for item in os.scandir(folder)]
    except OSError:
        names = []
    near = difflib.get_close_matches(path.name, names, n=2)
    hint = f"; did you mean {' or '.join(str(folder / name) for name in near)}?" if near else ""
    where = "" if path.expanduser().is_absolute() else f" below {Path.cwd()}"
    return f"there is no {kind} {path}{where}{hint}"


def check_module(name: str, *, roots: Roots) -> None:
    """Check where a module's code lies, without running any of it.

    Raises:
        AddressError: It lies outside of the roots, or among installed packages.
    """
    if roots is None:
        return
    # A finder that is given the path looks the name up without importing it.
    found = importlib.machinery.PathFinder.find_spec(name.partition(".")[0])
    places = list(found.submodule_search_locations or ()) if found else []
    if found is not None and found.origin not in (None, "built-in", "frozen"):
        places.append(str(found.origin))
    if not places:
        raise AddressError(f"there is no module {name} below the folders that this server allows")
    for place in places:
        resolved = check_path(Path(place), roots=roots)
        if {"site-packages", "dist-packages"} & set(resolved.parts):
            raise AddressError(
                f"module {name} is an installed package; a page may only name factories of your "
                "own files"
            )
