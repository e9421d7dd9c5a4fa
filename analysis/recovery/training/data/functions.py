"""Functions in users' own files that a training calls."""

from __future__ import annotations

import inspect
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from analysis.subjects import load_function, parse_function
from pruners.errors import InputError
from pruners.user_code import no_exit

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def checked_function(
    text: str, what: str, arguments: Sequence[str], *, roots: Sequence[Path] | None
) -> Callable[..., Any]:
    """Load the function that an address names, and check that it can be called.

    Args:
        text: ``path/file.py:function`` or ``package.module:function``.
        what: What it is, for messages.
        arguments: Names of what it is called with, in order.
        roots: Folders below which its file must lie; None allows everything.

    Raises:
        AddressError: The file or function is missing, raises, or may not be used here.
        InputError: It takes other arguments.
    """
    function = load_function(parse_function(text, what), roots=roots)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        # Functions of C have none; calling them will tell.
        return function
    try:
        signature.bind(*arguments)
    except TypeError:
        raise InputError(
            f"{what} {text!r} takes {signature}; it is called with ({', '.join(arguments)})"
        ) from None
    return function


@contextmanager
def lent() -> Iterator[None]:
    """Let a user's function run, which may end nothing; what it sets for all is put back.

    That is the number of threads, the type of new tensors, whether there are gradients, whether
    algorithms are deterministic, the working folder, and what Ctrl-C and a stop do.

    Raises:
        RuntimeError: It would have ended the process.
    """
    threads, kind, has_gradients = (
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
    )
    is_strict = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    folder = Path.cwd()
    is_main = threading.current_thread() is threading.main_thread()
    handlers = [(number, signal.getsignal(number)) for number in _SIGNALS] if is_main else []
    try:
        with no_exit():
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(kind)
        torch.set_grad_enabled(has_gradients)
        torch.use_deterministic_algorithms(is_strict, warn_only=warns)
        with suppress(OSError):
            os.chdir(folder)
        for number, handler in handlers:
            if handler is not None:
                signal.signal(number, handler)
