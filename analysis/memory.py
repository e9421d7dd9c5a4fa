"""Sizes of memory: limits, and how people write them."""

from __future__ import annotations

import re

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
