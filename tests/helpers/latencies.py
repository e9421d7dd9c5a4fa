"""Latencies of given passes."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from analysis.records import Latency


def latency(repeats: Sequence[float]) -> Latency:
    """Return what is measured when passes take so many seconds."""
    return Latency(
        median=statistics.median(repeats),
        p90=max(repeats),
        repeats=tuple(repeats),
        batch=8,
        device="cpu",
        threads=1,
        warmup=1,
    )
