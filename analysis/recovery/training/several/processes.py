"""Processes of this machine that follow a training, and what is known of those of others."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self

from analysis.recovery.training.several.order import error_left, failure, ready
from pruners.errors import InputError, PruneScopeError

POLL_SECONDS = 0.05
# In which a process that fails has said why.
GRACE_SECONDS = 5.0
LOST = (
    "a process of the training is lost; is there enough memory? The same training goes on from its "
    "checkpoint"
)


def lost() -> InputError:
    """Return the error of a process that said nothing; it need not come again."""
    problem = InputError(LOST)
    problem.__cause__ = ChildProcessError("a process of the training ended")
    return problem


class Processes:
    """Processes that follow; all end with the block.

    Args:
        folder: Has what they need.
        ranks: Which they are of all.
    """

    def __init__(self, folder: Path, ranks: Iterable[int]) -> None:
        self._processes = [_started(folder, rank) for rank in ranks]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
            if process.stdin is not None:
                process.stdin.close()

    @property
    def are_running(self) -> bool:
        """Whether any of them runs."""
        return any(process.poll() is None for process in self._processes)

    @property
    def has_ended(self) -> bool:
        """Whether any of them has ended, well or not."""
        return any(process.poll() is not None for process in self._processes)

    @property
    def has_failed(self) -> bool:
        """Whether any of them has ended with an error."""
        return any(process.poll() for process in self._processes)


class Followers:
    """All processes that follow, as the one that leads sees them.

    Args:
        folder: Where they leave word.
        own: Those of this machine.
        size: Processes in all, the leading one among them.
    """

    def __init__(self, folder: Path, own: Processes, size: int) -> None:
        self._folder, self._own, self._ranks = folder, own, range(1, size)

    def are_ready(self, cancel: Callable[[], bool]) -> bool:
        """Wait until all have opened what they need; return False if cancelled before."""
        while not all((self._folder / ready(rank)).exists() for rank in self._ranks):
            if cancel():
                return False
            if self._own.has_ended or self._said() is not None:
                raise self.why()
            time.sleep(POLL_SECONDS)
        return True

    def why(self) -> PruneScopeError:
        """Return why a process is gone."""
        end = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < end:
            is_over = self._own.has_ended
            if (said := self._said()) is not None:
                return said
            if is_over:
                break
            time.sleep(POLL_SECONDS)
        return lost()

    def _said(self) -> PruneScopeError | None:
        """Return what a process left word of."""
        left = (error_left(self._folder / failure(rank)) for rank in self._ranks)
        return next((item for item in left if item is not None), None)


def _started(folder: Path, rank: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "analysis.recovery.training.several", str(folder), str(rank)]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # Ctrl-C is for the leading process, which says when it is over.
        start_new_session=True,
    )
