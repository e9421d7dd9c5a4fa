"""What users' code says: the files that a file imports, and their content."""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeGuard

from pruners.errors import one_line
from pruners.user_code.folders import OWN, search_path
from pruners.user_code.opened_files import is_library

# Longer texts are no names of modules.
MAX_NAME = 100


def code_files(path: Path) -> tuple[Path, ...]:
    """Return a file and all files of users' code that it imports, wherever an import stands.

    Names of modules in plain strings count as imports; libraries do not.
    """
    places = [Path(item) for item in search_path(path.parent)]
    places += [Path(item) for item in sys.path if not is_library(item)]
    found: dict[Path, None] = {}
    todo = [path]
    while todo:
        file = todo.pop()
        if file not in found:
            found[file] = None
            todo += [item for item in _imported_files(file, places) if not is_library(str(item))]
    return tuple(sorted(found))


def users_error(error: BaseException) -> str:
    """Return an error with its line of users' code; empty if it is ours or a library's.

    What libraries raise that users' code called is its own.
    """
    found, trace = "", error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith("<") and not is_library(file):
            module = str(trace.tb_frame.f_globals.get("__name__", ""))
            is_ours = module.partition(".")[0] in (*OWN, "__main__")
            found = "" if is_ours else f"{Path(file).name}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return found and f"{found}, raised {one_line(error)}"


def code_digest(files: Sequence[Path]) -> str:
    """Return a SHA-256 of what files of code say, whatever their names, comments and layout."""
    said = []
    for file in files:
        tree = _parsed(file)
        text = file.read_bytes() if tree is None else ast.dump(tree).encode()
        said.append(hashlib.sha256(text).hexdigest())
    return hashlib.sha256("".join(sorted(said)).encode()).hexdigest()


def _parsed(file: Path) -> ast.Module | None:
    try:
        return ast.parse(file.read_bytes())
    except (OSError, ValueError, SyntaxError):
        return None


def _imported_files(file: Path, places: Sequence[Path]) -> Iterator[Path]:
    tree = _parsed(file)
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _files_of(alias.name, places)
        elif isinstance(node, ast.ImportFrom):
            here = [file.parents[node.level - 1]] if node.level else places
            module = node.module or ""
            for alias in node.names:
                yield from _files_of(f"{module}.{alias.name}".lstrip("."), here)
        elif isinstance(node, ast.Constant) and _may_name_module(node.value):
            yield from _files_of(node.value, places)


def _may_name_module(value: object) -> TypeGuard[str]:
    return (
        isinstance(value, str)
        and len(value) < MAX_NAME
        and all(part.isidentifier() for part in value.split("."))
    )


def _files_of(name: str, places: Sequence[Path]) -> Iterator[Path]:
    """Yield the files of a dotted name, packages above it first; its end may be no module."""
    parts = name.split(".")
    if parts[0] in OWN:
        return
    for place in places:
        if not (place / parts[0]).is_dir() and not (place / f"{parts[0]}.py").is_file():
            continue
        for depth in range(1, len(parts) + 1):
            base = place.joinpath(*parts[:depth])
            for file in (base / "__init__.py", base.with_name(f"{base.name}.py")):
                if file.is_file():
                    yield file.resolve()
        return
