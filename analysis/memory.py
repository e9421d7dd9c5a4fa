"""Memory: limits, how people write them, and what it looks like when there is none left."""

from __future__ import annotations

import re
import sys

from pruners.errors import InputError

# Least bytes that cached values may take.
MIN_MEMORY = 2**20
# What they take if nothing else is said: so many bytes of a processor's memory, ...
DEFAULT_MEMORY_LIMIT = 2**30
# ... or this share of what is free on another device.
DEVICE_SHARE = 0.5
AUTO = "auto"

_UNITS = {"kib": 2**10, "mib": 2**20, "gib": 2**30, "kb": 10**3, "mb": 10**6, "gb": 10**9}


def parse_bytes(text: str) -> int:
    """Parse a size: a number and a unit.

    Raises:
        InputError: Something else.

    >>> parse_bytes("1.5 GiB")
    1610612736
    """
    found = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*([kmg]i?b)\s*", text, re.IGNORECASE)
    if found is None:
        raise InputError(f"a size of memory is written like 512MiB or 1.5GiB, found {text!r}")
    return int(float(found[1]) * _UNITS[found[2].lower()])


def parse_limit(text: str) -> int | None:
    """Parse a size as `parse_bytes` does, or ``auto``, which is None.

    >>> parse_limit("auto") is None
    True
    """
    return None if text.strip().lower() == AUTO else parse_bytes(text)


def parse_count(text: str, *, least: int = 1) -> int | None:
    """Parse a whole number from ``least``, or ``auto``, which is None.

    Raises:
        InputError: Something else.

    >>> parse_count("250")
    250
    """
    if text.strip().lower() == AUTO:
        return None
    if not re.fullmatch(r"\s*\d{1,18}\s*", text) or int(text) < least:
        raise InputError(f"a whole number, at least {least}, or {AUTO} is needed, found {text!r}")
    return int(text)


def usual_limit(device: str) -> int:
    """Return the bytes that cached values take on a device if nothing else is said."""
    free = free_memory(device)
    return DEFAULT_MEMORY_LIMIT if free is None else max(MIN_MEMORY, int(DEVICE_SHARE * free))


def free_memory(device: str) -> int | None:
    """Return the bytes of a device that this process may still take; None for the processor's."""
    kind = device.partition(":")[0]
    if kind == "cpu":
        return None
    import torch  # here, for lists of runs need none of it

    if kind == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
    backend = torch.get_device_module(device)
    unused = backend.memory_reserved(device) - backend.memory_allocated(device)
    return int(backend.mem_get_info(device)[0]) + int(unused)


def free_cached_memory() -> None:
    """Give memory of an accelerator that no tensor uses any more back to it."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.accelerator.is_available():
        torch.accelerator.empty_cache()


# Where torch has no type of its own for it, there is a RuntimeError with one of these texts: of the
# processor's memory, of what CUDA's libraries take for themselves, and of Apple's and Intel's
# devices.
_TEXTS = (
    "DefaultCPUAllocator: can't allocate memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUFFT_ALLOC_FAILED",
    "CUSOLVER_STATUS_ALLOC_FAILED",
    "CUSPARSE_STATUS_ALLOC_FAILED",
    "MPS backend out of memory",
    "OUT_OF_DEVICE_MEMORY",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether memory ran out, of the processor or of a device, here or in a cause.

    Whoever turned the error into another one, such as "the data raised in batch 3", keeps it as
    its context.
    """
    torch = sys.modules.get("torch")
    kinds = (MemoryError,) if torch is None else (MemoryError, torch.OutOfMemoryError)
    cause: BaseException | None = error
    while cause is not None:
        has_text = isinstance(cause, RuntimeError) and any(text in str(cause) for text in _TEXTS)
        if has_text or isinstance(cause, kinds):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
