"""Functions in users' own files that a training calls."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from analysis.subjects import load_function, parse_function
from pruners.errors import InputError


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
