"""Users' code that runs one at a time, of which none keeps others waiting without end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pruners.errors import InputError

PATIENCE_SECONDS = 60.0


class OneAtATime:
    """A lock that its own thread may take again, and for which others wait so long at most."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        # Whose code runs, and since when; the first of a thread's own.
        self._running: tuple[str, float] | None = None

    @contextmanager
    def turn(self, name: str) -> Iterator[None]:
        """Let the code of a name run in the block.

        Args:
            name: What to tell of it, such as its address.

        Raises:
            InputError: Other code has not come back within `PATIENCE_SECONDS`.
        """
        if not self._lock.acquire(timeout=PATIENCE_SECONDS):
            raise InputError(f"{name!r} has to wait: {self._reason()}")
        outer = self._running
        self._running = outer or (name, time.monotonic())
        try:
            yield
        finally:
            self._running = outer
            self._lock.release()

    def _reason(self) -> str:
        other, since = self._running or ("other code", time.monotonic())
        return (
            f"code of {other!r} has been running for {time.monotonic() - since:.0f} s, and one "
            "file's code runs at a time; try again, or start the dashboard anew if it never ends"
        )
