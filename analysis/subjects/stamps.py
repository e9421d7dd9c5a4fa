"""Notice that the files behind a subject have changed, without reading them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from analysis.records import SubjectSpec
from analysis.subjects.address import Address
from analysis.subjects.parsing import parse_data, parse_model
from pruners.errors import AddressError, InputError
from pruners.user_code import FileStamp, file_stamp, resolved

# Path and what changes with it (`pruners.user_code.file_stamp`); zeros where there is no file.
Stamp = tuple[tuple[str, FileStamp], ...]


def stamp(spec: SubjectSpec) -> Stamp:
    """Return what changes when a file that a subject is loaded from is written again.

    Weights, factory, data and criterion files count; of a folder, it and the folders in it: a file
    that comes or goes changes the time of its folder. One that is overwritten there, and files that
    no address names, are told by what was read: see `watched_stamp`.
    """
    return tuple(_of(path) for path in _paths(spec))


def watched_stamp(watched: Mapping[str, FileStamp]) -> Stamp:
    """Return the files that were read while a subject was loaded, as they are now."""
    return tuple(_of(Path(path)) for path in watched)


def _of(path: Path) -> tuple[str, FileStamp]:
    try:
        return str(path), file_stamp(path)
    except (OSError, ValueError):
        return str(path), (0, 0, 0, 0)


def _paths(spec: SubjectSpec) -> Iterator[Path]:
    yield from (Path(name) for name in spec.criterion_files)
    try:
        addresses = [parse_model(spec.model)]
        addresses += [parse_data(item) for item in (spec.data, spec.calibration_data) if item]
    except AddressError:
        # What cannot be parsed cannot be loaded either.
        return
    for address in addresses:
        for path in _named(address):
            yield path
            yield from _folders(path)


def _named(address: Address) -> Iterator[Path]:
    given = [Path(address.name)] if address.is_path else []
    if address.scheme == "hf":
        # They are mapped into memory, which shows in no list of files that Python opened.
        given += sorted(Path(address.name).expanduser().glob("*.safetensors"))
    given += [path for path in map(address.path, ("weights", "root", "tokens")) if path is not None]
    for path in given:
        # What no file can be called cannot be loaded either.
        with contextlib.suppress(InputError):
            yield resolved(path)


def _folders(path: Path) -> list[Path]:
    """Return the folders in a folder; none in what is no folder."""
    try:
        # Unlike `Path.iterdir`, this asks nothing of each of what may be very many files.
        with os.scandir(path) as entries:
            return sorted(Path(item.path) for item in entries if item.is_dir())
    except (OSError, ValueError):
        return []
