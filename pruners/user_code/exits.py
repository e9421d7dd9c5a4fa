"""Users' code that would end the process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_exit() -> Iterator[None]:
    """Let users' code in the block end neither the program nor the thread that draws a page.

    Raises:
        RuntimeError: It called ``sys.exit``.
    """
    try:
        yield
    except SystemExit as error:
        raise RuntimeError(exit_text(error)) from error


def exit_text(error: SystemExit) -> str:
    """Return what to tell of users' code that wanted to end the program."""
    return f"the code called sys.exit({error.code!r}); it must return instead"
