"""Measurements that sessions share: each gets its turn, equal plans are measured once."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType

from analysis.evaluation.live import LiveResult
from pruners.user_code import exits_told


class Turns:
    """A lock that threads get in the order in which they asked for it.

    With a plain lock, a thread that takes it again and again leaves hardly a moment to the others.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: deque[threading.Event] = deque()

    def __enter__(self) -> None:
        turn = threading.Event()
        with self._lock:
            self._queue.append(turn)
            if len(self._queue) == 1:
                turn.set()
        turn.wait()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._queue.popleft()
            if self._queue:
                self._queue[0].set()


class SharedMeasurement:
    """One measurement that any number of sessions follow.

    A session that wants more takes it one batch further. So it goes on as long as one session is
    left, waits where it is when none is, and whoever leaves disturbs nobody.

    Args:
        begin: Starts it; called in the first turn.
        turns: In which sessions work on the subject.
    """

    def __init__(self, begin: Callable[[], Iterator[LiveResult]], turns: Turns) -> None:
        self._begin = begin
        self._turns = turns
        self._results: Iterator[LiveResult] | None = None
        self._latest: LiveResult | None = None
        self._error: Exception | None = None
        self._seconds = 0.0

    @property
    def has_failed(self) -> bool:
        """Whether it ended with an error."""
        return self._error is not None

    def follow(self) -> Iterator[LiveResult]:
        """Yield the newest result, then each further one; the last one is of the whole set.

        Raises:
            PruneScopeError: What ended the measurement, for all who follow.
        """
        samples, is_final = 0, False
        while not is_final:
            result = self._beyond(samples)
            samples, is_final = result.samples, result.is_final
            yield result

    def _beyond(self, samples: int) -> LiveResult:
        """Return a result of more samples: the one that another session left, or the next."""
        with self._turns:
            if self._error is not None:
                raise self._error
            if self._latest is None or self._latest.samples <= samples:
                self._latest = self._next()
            return self._latest

    def _next(self) -> LiveResult:
        start = time.perf_counter()
        try:
            with exits_told():
                if self._results is None:
                    self._results = self._begin()
                result = next(self._results)
        except Exception as error:
            self._error = error
            raise
        # Waiting for a turn, or for a session that comes back, is not measuring.
        self._seconds += time.perf_counter() - start
        return dataclasses.replace(result, seconds=self._seconds)
