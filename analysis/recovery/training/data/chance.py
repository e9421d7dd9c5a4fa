"""Random numbers of a training: a stream of their own for each purpose."""

from __future__ import annotations

import hashlib

from torch import Generator


def generator(seed: int, *purpose: str | int) -> Generator:
    """Return a generator on the CPU that hangs on the seed and the purpose alone."""
    digest = hashlib.sha256(f"{seed}|{'|'.join(map(str, purpose))}".encode()).digest()
    return Generator().manual_seed(int.from_bytes(digest[:8], "big"))
