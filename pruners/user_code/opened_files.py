"""Which files a piece of work reads, and how they were then: to be told when they change."""

from __future__ import annotations

import os
import stat
import sys
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

FileStamp = tuple[int, int, int, int]
# More than this are not watched one by one.
MAX_FILES = 20_000
STDLIB = sysconfig.get_path("stdlib")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | getattr(os, "O_DIRECTORY", 0)


def file_stamp(path: str | Path) -> FileStamp:
    """Return what changes when a file is written again: two times, its size and its inode.

    The time of the last change of the inode also tells of tools that put the other one back.

    Raises:
        OSError: There is no such file.
    """
    return _stamp(os.stat(path))  # noqa: PTH116 (asked for each of very many files)


def _stamp(found: os.stat_result) -> FileStamp:
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def is_library(path: str) -> bool:
    """Return whether a file or folder is Python's own or that of an installed package."""
    places = ("site-packages", "dist-packages")
    return path.startswith(STDLIB) or any(f"{os.sep}{name}" in path for name in places)


class _Recorders(threading.local):
    """The records that this thread writes."""

    def __init__(self) -> None:
        self.open: list[dict[str, FileStamp]] = []


_RECORDERS = _Recorders()
_LISTENING = threading.Lock()
_is_listening = False


@contextmanager
def opened_files() -> Iterator[dict[str, FileStamp]]:
    """Record the files that this thread opens to read, by absolute path, as they are then.

    Libraries' own files do not count, nor what is opened past Python.
    """
    _listen()
    record: dict[str, FileStamp] = {}
    _RECORDERS.open.append(record)
    try:
        yield record
    finally:
        # By identity: two records may be equal.
        _RECORDERS.open[:] = [item for item in _RECORDERS.open if item is not record]


def _listen() -> None:
    global _is_listening
    with _LISTENING:
        if not _is_listening:
            sys.addaudithook(_note)
            _is_listening = True


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    # Called for every event of the process: what is no open of a recorded thread ends here.
    if event != "open" or not _RECORDERS.open:
        return
    path, _, flags = arguments
    if not isinstance(path, str | bytes) or (isinstance(flags, int) and flags & _WRITES):
        return
    name = os.fsdecode(path)
    if not name.startswith(os.sep):
        name = str(Path(name).absolute())
    fresh = [item for item in _RECORDERS.open if name not in item and len(item) < MAX_FILES]
    if not fresh or is_library(name):
        return
    with suppress(OSError):
        found = os.stat(name)  # noqa: PTH116 (asked for each of very many files)
        if stat.S_ISREG(found.st_mode):
            for record in fresh:
                record[name] = _stamp(found)
