"""A claim that one process has at a time, and that ends with the process however it ends."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from analysis.files import writing

WAIT_SECONDS = 0.05


@contextmanager
def claimed(path: Path, *, seconds: float = 0.0) -> Iterator[bool]:
    """Claim a file for the block; yield False where another process, or thread, has it.

    Args:
        path: The file, made if missing and never removed: whoever removed it would let two in.
        seconds: How long to wait for it.

    Raises:
        StoreError: The file cannot be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        end = time.monotonic() + seconds
        while not (found := _lock(handle)) and time.monotonic() < end:
            time.sleep(WAIT_SECONDS)
        yield found
    finally:
        # The system gives a lock back when its file is closed, also of a process that was killed.
        os.close(handle)


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> bool:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _lock(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
