"""The interval of a mean of few values, such as one a seed."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, stdev

from analysis.uncertainty.intervals import Interval
from pruners.errors import InputError

# Above so many degrees of freedom four terms of an expansion are exact to ten digits.
MANY = 500


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Return Student's interval of the mean of independent values.

    Args:
        values: Two or more.
        confidence: Inside (0, 1).

    Raises:
        InputError: There are fewer than two values, or the confidence is out of its range.
    """
    if len(values) < 2:
        raise InputError(f"the interval of a mean takes two values at least, found {len(values)}")
    if not 0 < confidence < 1:
        raise InputError(f"a confidence lies between 0 and 1 (such as 0.95), found {confidence}")
    mean, count = fmean(values), len(values)
    half = t_quantile(confidence, count - 1) * stdev(values) / math.sqrt(count)
    return Interval(mean - half, mean + half, "student", count)


def t_interval(total: float, squares: float, samples: int, confidence: float = 0.95) -> Interval:
    """Return Student's interval of a mean from sums.

    Args:
        total: Sum of the values.
        squares: Sum of their squares.
        samples: How many there are.
        confidence: Inside (0, 1).

    Returns:
        The interval; two NaN with fewer than two values.
    """
    if samples < 2:
        return Interval(math.nan, math.nan, "paired-t", samples)
    mean = total / samples
    variance = max(0.0, squares - samples * mean * mean) / (samples - 1)
    half = t_quantile(confidence, samples - 1) * math.sqrt(variance / samples)
    return Interval(mean - half, mean + half, "paired-t", samples)


@functools.lru_cache(maxsize=4096)
def t_quantile(confidence: float, freedom: int) -> float:
    """Return the two-sided quantile of Student's distribution.

    By bisection; for many degrees of freedom by Abramowitz and Stegun, 26.7.5.
    """
    if freedom > MANY:
        return _expanded(NormalDist().inv_cdf(0.5 + confidence / 2), freedom)
    low, high = 0.0, 1.0
    while _inside(high, freedom) < confidence:
        high *= 2
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if _inside(middle, freedom) >= confidence else (middle, high)
    return high


def _expanded(z: float, freedom: int) -> float:
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return math.fsum(term / float(freedom) ** power for power, term in enumerate(terms))


def _inside(limit: float, freedom: int) -> float:
    """Return the chance of a value within +-limit: Abramowitz and Stegun, 26.7.3 and 26.7.4."""
    angle = math.atan(limit / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    is_odd = freedom % 2
    term = cosine if is_odd else 1.0
    total = 0.0 if freedom == 1 else term
    for number in range(3 if is_odd else 2, freedom - 1, 2):
        term *= cosine**2 * (number - 1) / number
        total += term
    return 2 / math.pi * (angle + sine * total) if is_odd else sine * total
