"""A worker's sign of life, and its ear for cancellation."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

from analysis.records import CANCELLED
from analysis.store import Store
from pruners.errors import StoreBusyError, StoreError
from pruners.user_code import Grace

BEAT_SECONDS = 1.0


class Heartbeat:
    """Writes a heartbeat from its own thread and learns whether the run should stop.

    Args:
        store: The workspace.
        run_id: The run.
        owner: The worker.
        grace: Ends the process of users' code that does not come back; None leaves it.
    """

    def __init__(
        self, store: Store, run_id: str, *, owner: str, grace: Grace | None = None
    ) -> None:
        self._store = store
        self._run_id = run_id
        self._owner = owner
        self._grace = grace
        self._written = time.perf_counter()
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    @property
    def should_stop(self) -> bool:
        """Whether someone asked the run to stop, or it is not this worker's any more."""
        return self._stop.is_set()

    def request_stop(self) -> None:
        """Stop after the point at hand."""
        self._stop.set()

    def wait(self, seconds: float) -> bool:
        """Wait, and return whether to stop; returns at once when asked to stop."""
        return self._stop.wait(seconds)

    def lap(self) -> float:
        """Return the seconds since the last call, or the start: those that are not written yet."""
        before, self._written = self._written, time.perf_counter()
        return self._written - before

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            try:
                if self._store.jobs.beat(self._run_id, owner=self._owner):
                    self._stop.set()
            except StoreBusyError:
                continue  # a lock passes; losing the run does not
            except StoreError:
                self._stop.set()
                return
            if self._grace is not None and self.should_stop and self._grace.is_over():
                self._give_up(self._grace)

    def _give_up(self, grace: Grace) -> None:
        with contextlib.suppress(StoreError):
            self._store.jobs.finish(
                self._run_id,
                CANCELLED,
                owner=self._owner,
                seconds=self.lap(),
                error=grace.text,
            )
        grace.end_process()


@contextlib.contextmanager
def stop_on_signals(heartbeat: Heartbeat) -> Iterator[None]:
    """Let SIGINT and SIGTERM stop the run cleanly; a second SIGINT is a KeyboardInterrupt."""

    def asked(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and heartbeat.should_stop:
            raise KeyboardInterrupt
        heartbeat.request_stop()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {item: signal.signal(item, asked) for item in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for item, handler in before.items():
            signal.signal(item, handler)
