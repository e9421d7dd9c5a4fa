"""Intervals for accuracies and for paired accuracy drops.

Fixed-n intervals are for display. What is looked at again and again, as the adaptive mode does, is
judged by an anytime-valid interval: `analysis.uncertainty.sequential`.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from statistics import NormalDist

from pruners.errors import InputError


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval.

    Attributes:
        low: Lower end, a fraction.
        high: Upper end, a fraction.
        method: How it was computed.
        n: Samples behind it.
    """

    low: float
    high: float
    method: str
    n: int


def quantile(confidence: float) -> float:
    """Return the two-sided normal quantile of a confidence.

    Raises:
        InputError: The confidence is not inside (0, 1).
    """
    if not 0 < confidence < 1:
        raise InputError(f"a confidence lies between 0 and 1 (such as 0.95), found {confidence}")
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def wilson(correct: int, n: int, confidence: float = 0.95) -> Interval:
    """Return the Wilson score interval of a proportion.

    E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22
    (1927). Without samples the interval is [0, 1].

    Raises:
        InputError: ``correct`` is not within 0..n.
    """
    z = quantile(confidence)
    if not 0 <= correct <= n:
        raise InputError(f"{correct} of {n} is no proportion")
    if n == 0:
        return Interval(0.0, 1.0, "wilson", 0)
    centre = (correct + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(correct * (n - correct) / n + z * z / 4)
    low = 0.0 if correct == 0 else max(0.0, centre - half)
    high = 1.0 if correct == n else min(1.0, centre + half)
    return Interval(low, high, "wilson", n)


@functools.lru_cache(maxsize=1 << 16)
def paired_drop(lost: int, gained: int, n: int, confidence: float = 0.95) -> tuple[float, Interval]:
    """Return the accuracy drop of pruned against dense on the same samples, with its interval.

    The score interval for the difference of paired proportions: T. Tango, "Equivalence test and
    confidence interval for the difference in proportions for the paired-sample design",
    Statistics in Medicine 17 (1998), equations 11 and 12. Only flipped answers count; with none
    at all the interval is +-z^2/(n + z^2), not a point.

    Args:
        lost: Samples that dense answers right and pruned wrong.
        gained: Samples that dense answers wrong and pruned right.
        n: All samples.
        confidence: Such as 0.95.

    Returns:
        ``(lost - gained) / n`` and its interval, within [-1, 1]. Without samples: NaN, [-1, 1].

    Raises:
        InputError: The counts do not fit ``n``.
    """
    z = quantile(confidence)
    if lost < 0 or gained < 0 or lost + gained > n:
        raise InputError(f"{lost} lost and {gained} gained do not fit {n} samples")
    if n == 0:
        return math.nan, Interval(-1.0, 1.0, "tango", 0)
    drop = (lost - gained) / n
    low = -_upper_end(gained, lost, n, z)
    high = _upper_end(lost, gained, n, z)
    return drop, Interval(low, high, "tango", n)


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
