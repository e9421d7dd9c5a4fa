"""Tango's interval of one pair of counts, readable: the oracle of the vectorised one."""

from __future__ import annotations

import math
from statistics import NormalDist


def reference_paired_drop(
    lost: int, gained: int, n: int, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Return the drop and the ends of its interval (Tango 1998, equations 11 and 12)."""
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    return (lost - gained) / n, -_upper_end(gained, lost, n, z), _upper_end(lost, gained, n, z)


def _upper_end(lost: int, gained: int, n: int, z: float) -> float:
    """Return where the score of a difference falls to -z, by bisection above the estimate."""
    inside, outside = (lost - gained) / n, 1.0
    for _ in range(48):
        middle = (inside + outside) / 2
        if _score(lost, gained, n, middle) >= -z:
            inside = middle
        else:
            outside = middle
    return (inside + outside) / 2


def _score(lost: int, gained: int, n: int, difference: float) -> float:
    """Return Tango's score statistic of a difference (equation 8)."""
    d = difference
    linear = -(lost + gained) + (2 * n - lost + gained) * d
    constant = -gained * d * (1 - d)
    root = math.sqrt(max(linear * linear - 8 * n * constant, 0.0))
    chance = (root - linear) / (4 * n)
    variance = n * (2 * chance + d * (1 - d))
    gap = lost - gained - n * d
    if variance <= 0:
        return 0.0 if gap == 0 else math.copysign(math.inf, gap)
    return gap / math.sqrt(variance)
