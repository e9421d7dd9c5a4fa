"""Memory: limits, how people write them, and what it looks like when there is none left."""

from __future__ import annotations

import re
import sys

from pruners.errors import InputError

# Least and usual bytes that cached values may take.
MIN_MEMORY = 2**20


DEFAULT_MEMORY_LIMIT = 2**30


_UNITS = {"kib": 2**10, "mib": 2**20, "gib": 2**30, "kb": 10**3, "mb": 10**6, "gb": 10**9}


def parse_bytes(text: str) -> int:
    """Parse a size: a number and a unit.

    Raises:
        InputError: Something else.

    >>> parse_bytes("1.5 GiB")
    1610612736
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]i?b)\s*", text, re.IGNORECASE)
    if found is None:
        raise InputError(f"a size of memory is written like 512MiB or 1.5GiB, found {text!r}")
    return int(float(found[1]) * _UNITS[found[2].lower()])


# For the processor's memory, torch has no type of its own: a RuntimeError with this text.
_TORCH_CPU = "DefaultCPUAllocator: can't allocate memory"


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether memory ran out, of the processor or of a device, here or in a cause.

    Whoever turned the error into another one, such as "the data raised in batch 3", keeps it as
    its context.
    """
    torch = sys.modules.get("torch")
    kinds = (MemoryError,) if torch is None else (MemoryError, torch.OutOfMemoryError)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, kinds) or (
            isinstance(cause, RuntimeError) and _TORCH_CPU in str(cause)
        ):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
