"""Intervals of medians."""

from __future__ import annotations

import math
from collections.abc import Sequence

from analysis.uncertainty.intervals import Interval


def median_interval(values: Sequence[float], confidence: float = 0.95) -> Interval | None:
    """Return the interval of a median by order statistics; None of too few values (6 at 95 %).

    It asks nothing of their distribution: each lies below the median or above it, which is a coin's
    throw. Its ends are values (H. A. David and H. N. Nagaraja, "Order Statistics", section 7.1).

    Args:
        values: Independent values.
        confidence: How often such intervals hold the median, at least.
    """
    ordered, count = sorted(values), len(values)
    tail, rank = 0.0, 0
    while rank < count // 2:
        tail += math.comb(count, rank) / 2**count
        if 2 * tail > 1 - confidence:
            break
        rank += 1
    if not rank:
        return None
    return Interval(ordered[rank - 1], ordered[count - rank], "order statistics", count)
