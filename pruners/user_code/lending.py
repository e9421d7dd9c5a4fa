"""What users' code sets for the whole process: put back when it has run."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from pruners.user_code.exits import no_exit

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# What sets it again -> the value.
_Settings = list[tuple[Callable[..., object], tuple[Any, ...]]]


@contextmanager
def lent() -> Iterator[None]:
    """Let a user's function run, which may end nothing; what it sets for all is put back.

    Raises:
        RuntimeError: It would have ended the process.
    """
    with kept_settings(), no_exit():
        yield


@contextmanager
def kept_settings() -> Iterator[None]:
    """Put back what users' code in the block sets for all.

    That is where output goes, the working folder, warnings, the depth of calls, what Ctrl-C and a
    stop do, and of torch the number of threads, type and device of new tensors, whether there are
    gradients, and whether algorithms are deterministic.
    """
    folder = Path.cwd()
    streams = (sys.stdout, sys.stderr)
    found = [*_of_torch(), (sys.setrecursionlimit, (sys.getrecursionlimit(),))]
    if threading.current_thread() is threading.main_thread():
        handlers = [(number, signal.getsignal(number)) for number in _SIGNALS]
        found += [(signal.signal, item) for item in handlers if item[1] is not None]
    with ExitStack() as after:
        for function, values in found:
            after.callback(function, *values)
        after.enter_context(warnings.catch_warnings())
        try:
            yield
        finally:
            sys.stdout, sys.stderr = streams
            with suppress(OSError):
                os.chdir(folder)


def _of_torch() -> _Settings:
    """Return the settings of torch, which `--help` does without."""
    import torch

    def default_device() -> torch.device:
        try:
            return torch.get_default_device()
        except AttributeError:
            # Of torch 2.9, once it was set back to none.
            return torch.device("cpu")

    device: torch.device | None = default_device()
    if device == torch.device("cpu"):
        # As long as none is set, creating a tensor asks for none.
        device = None
    is_strict = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()

    def put_back() -> None:
        if default_device() != (device or torch.device("cpu")):
            torch.set_default_device(device)
        torch.use_deterministic_algorithms(is_strict, warn_only=warns)

    return [
        (put_back, ()),
        (torch.set_num_threads, (torch.get_num_threads(),)),
        (torch.set_default_dtype, (torch.get_default_dtype(),)),
        (torch.set_grad_enabled, (torch.is_grad_enabled(),)),
    ]
