"""Notice that the files behind a subject have changed, without reading them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from analysis.records import SubjectSpec
from analysis.subjects.address import Address
from analysis.subjects.parsing import parse_data, parse_model
from pruners.errors import AddressError

# Path, time of the last change in nanoseconds, size, inode; zeros where there is no such file.
Stamp = tuple[tuple[str, int, int, int], ...]


def stamp(spec: SubjectSpec) -> Stamp:
    """Return what changes when a file that a subject is loaded from is written again.

    Weights, factory, data and criterion files count; of a folder, it and the folders in it (a file
    that comes or goes changes the time of its folder, one that is overwritten there does not).
    """
    return tuple(_of(path) for path in _paths(spec))


def _of(path: Path) -> tuple[str, int, int, int]:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return str(path), 0, 0, 0
    return str(path), found.st_mtime_ns, found.st_size, found.st_ino


def _paths(spec: SubjectSpec) -> Iterator[Path]:
    yield from (Path(name) for name in spec.criterion_files)
    try:
        addresses = [parse_model(spec.model)]
        addresses += [] if spec.data is None else [parse_data(spec.data)]
    except AddressError:
        # What cannot be parsed cannot be loaded either.
        return
    for address in addresses:
        for path in _named(address):
            yield path
            yield from _folders(path)


def _named(address: Address) -> Iterator[Path]:
    if address.is_path:
        yield Path(address.name)
    for option in ("weights", "root"):
        path = address.path(option)
        if path is not None:
            yield path


def _folders(path: Path) -> list[Path]:
    """Return the folders in a folder; none in what is no folder."""
    try:
        # Unlike `Path.iterdir`, this asks nothing of each of what may be very many files.
        with os.scandir(path) as entries:
            return sorted(Path(item.path) for item in entries if item.is_dir())
    except (OSError, ValueError):
        return []
