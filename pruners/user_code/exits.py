"""Users' code that would end the process, or that does not come back."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from pruners.errors import InputError, one_line

T = TypeVar("T")
# Threads that are in users' code, and since when.
_SINCE: dict[int, float] = {}
# Threads that it started.
_STARTED: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
_PROCESS = os.getpid()
GRACE_SECONDS = 10.0
INTERRUPTED = 130
_end = os._exit


@contextmanager
def no_exit() -> Iterator[None]:
    """Let users' code in the block end neither the program nor the thread that draws a page.

    The block yields nothing: closing a generator amid it would be taken for an error of the code.

    Raises:
        RuntimeError: It called ``sys.exit`` or ``os._exit``, or raised what is no exception of a
            program, such as ``pytest.skip`` or ``GeneratorExit``.
    """
    vars(os)["_exit"] = _stay
    thread = threading.get_ident()
    is_outer = thread not in _SINCE
    if is_outer:
        _SINCE[thread] = time.monotonic()
    known = set(threading.enumerate())
    try:
        yield
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise RuntimeError(exit_text(error)) from error
    finally:
        _STARTED.update(set(threading.enumerate()) - known)
        if is_outer:
            del _SINCE[thread]


@contextmanager
def exits_told() -> Iterator[None]:
    """Tell where users' code, wherever it runs in the block, would end the program.

    As of `no_exit`, the block yields nothing.

    Raises:
        InputError: It raised what is no exception of a program; nor is it Ctrl-C.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise InputError(exit_text(error)) from error


def with_exits_told(items: Iterator[T]) -> Iterator[T]:
    """Yield the items of what runs users' code; see `exits_told`."""
    while True:
        with exits_told():
            try:
                item = next(items)
            except StopIteration:
                return
        yield item


class Grace:
    """The time that users' code has to come back after somebody asked to stop.

    Args:
        end: Ends the process.

    Attributes:
        text: What to tell of code that took longer.
    """

    def __init__(self, end: Callable[[int], object] = os._exit) -> None:
        self._asked: float | None = None
        self._leave = end
        self.text = (
            f"stopped: code of yours did not come back within {GRACE_SECONDS:g} seconds, so its "
            "process was ended"
        )

    def is_over(self) -> bool:
        """Return whether the time is over; it begins with the first call."""
        now = time.monotonic()
        self._asked = now if self._asked is None else self._asked
        busy = max((now - since for since in list(_SINCE.values())), default=0.0)
        return min(busy, now - self._asked) > GRACE_SECONDS

    def end_process(self) -> None:
        """Say so and end the process at once, as stopped by Ctrl-C."""
        # A progress bar may have hidden the cursor.
        shown = "\x1b[?25h" if sys.stderr.isatty() else ""
        print(f"{shown}{self.text}", file=sys.stderr, flush=True)
        self._leave(INTERRUPTED)


def leave(code: int) -> int:
    """Return the exit code; end the process with it where it would wait for users' threads."""
    if any(item.is_alive() and not item.daemon for item in _STARTED):
        # Python does this after it has waited for all threads.
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        _end(code)
    return code


def exit_text(error: BaseException) -> str:
    """Return what to tell of users' code that raised what is no exception of a program."""
    if isinstance(error, SystemExit):
        return _text("sys.exit", error.code)
    return f"the code raised {one_line(error)}"


def _text(name: str, code: object) -> str:
    return f"the code called {name}({code!r}); it must return instead"


def _stay(status: int) -> None:
    """Do as ``os._exit``, but for users' code; the children that it forks may end so."""
    if threading.get_ident() in _SINCE and os.getpid() == _PROCESS:
        raise RuntimeError(_text("os._exit", status))
    _end(status)
