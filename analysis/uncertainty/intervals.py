"""Intervals for accuracies.

Fixed-n intervals are for display. What is looked at again and again, as the adaptive mode does, is
judged by an anytime-valid interval: `analysis.uncertainty.sequential`.
"""

from __future__ import annotations

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
