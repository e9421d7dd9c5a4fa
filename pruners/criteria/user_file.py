"""Load criteria of a user's own file; they register as the built-in ones do.

A file imports the decorator and registers functions::

    from pruners.criteria import LayerData, criterion

    @criterion(
        "sharpness",
        label="Sharpness",
        citation="own work",
        formula="max |w| / mean |w|",
        help="Keeps filters with one large weight.",
    )
    def sharpness(data: LayerData, *, level):
        rows = data.weight.abs().flatten(1)
        ratio = rows.amax(1) / rows.mean(1)
        return ratio if level == "channel" else data.weight.abs()
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

from pruners.criteria.registry import CRITERIA
from pruners.errors import InputError
from pruners.user_code import (
    OneAtATime,
    code_digest,
    code_files,
    no_exit,
    resolved,
    user_folder,
)

# Content digest and criteria of each file, so that loading it again replaces its own criteria.
_LOADED: dict[Path, tuple[str, tuple[str, ...]]] = {}
# What a file registers is told from what the registry had before, so one file runs at a time.
_RUNNING = OneAtATime()


def load_criterion_file(path: str | Path) -> tuple[str, ...]:
    """Run a Python file and return the names of the criteria that it registered.

    The file is code: load only what you trust. A file that has changed since it was loaded replaces
    its criteria; one that has not is not run again.

    Raises:
        InputError: The file is missing, fails, or registers nothing or a name that is taken; then
            none of its criteria stay.
    """
    file = resolved(path)
    if not file.is_file():
        raise InputError(f"criterion file {path} does not exist")
    with _RUNNING.turn(str(path)):
        return _loaded(path, file)


def _loaded(path: str | Path, file: Path) -> tuple[str, ...]:
    version = _version(file)
    old_version, old_names = _LOADED.pop(file, ("", ()))
    known = [name for name in old_names if name in CRITERIA.names()]
    if version == old_version and len(known) == len(old_names):
        _LOADED[file] = (version, old_names)
        return old_names
    for name in known:
        CRITERIA.remove(name)
    before = set(CRITERIA.names())
    try:
        with user_folder(file.parent) as folder, no_exit():
            folder.load(file, again=True)
    except InputError as error:
        _forget(before)
        raise InputError(f"criterion file {path}: {error}") from None
    except Exception as error:
        # Whatever a user's file raises is told in one line with its type.
        _forget(before)
        raise InputError(f"criterion file {path}: {type(error).__name__}: {error}") from error
    added = tuple(name for name in CRITERIA.names() if name not in before)
    if not added:
        raise InputError(f"criterion file {path} registers no criterion; use @criterion(...)")
    # Its imports may only be found where it looked for them while it ran.
    version = _version(file)
    for name in added:
        CRITERIA.replace(dataclasses.replace(CRITERIA.get(name), version=version))
    _LOADED[file] = (version, added)
    return added


def _version(file: Path) -> str:
    """Return a digest of a file's code, and of the users' code that it imports."""
    files = code_files(file)
    said = hashlib.sha256(file.read_bytes()).hexdigest()
    if files != (file,):
        said = hashlib.sha256(f"{said}{code_digest(files)}".encode()).hexdigest()
    return said[:16]


def _forget(before: set[str]) -> None:
    for name in CRITERIA.names():
        if name not in before:
            CRITERIA.remove(name)
