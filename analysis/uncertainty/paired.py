"""Intervals of the drop of paired answers: of one point, or of the many that a table shows.

The score interval for the difference of paired proportions: T. Tango, "Equivalence test and
confidence interval for the difference in proportions for the paired-sample design", Statistics in
Medicine 17 (1998), equations 11 and 12. Only flipped answers count; with none at all the interval
is +-z^2/(n + z^2), not a point.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt

from analysis.uncertainty.intervals import Interval, quantile
from pruners.errors import InputError

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
STEPS = 48


@functools.lru_cache(maxsize=1 << 16)
def paired_drop(lost: int, gained: int, n: int, confidence: float = 0.95) -> tuple[float, Interval]:
    """Return the accuracy drop of pruned against dense on the same samples, with its interval.

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
    if lost < 0 or gained < 0 or lost + gained > n:
        raise InputError(f"{lost} lost and {gained} gained do not fit {n} samples")
    if n == 0:
        return math.nan, Interval(-1.0, 1.0, "tango", 0)
    drop, low, high = paired_drops(*np.array([[lost], [gained], [n]]), confidence=confidence)
    return drop.item(), Interval(low.item(), high.item(), "tango", n)


def paired_drops(
    lost: Counts, gained: Counts, samples: Counts, *, confidence: float = 0.95
) -> tuple[Floats, Floats, Floats]:
    """Return drops with the low and high ends of their intervals.

    Args:
        lost: Samples that dense answers right and pruned wrong, ``(P,)``.
        gained: Samples that dense answers wrong and pruned right, ``(P,)``.
        samples: All samples of each point, above 0, ``(P,)``.
        confidence: Such as 0.95.
    """
    # Few counts differ among many points.
    rows, place = np.unique(np.stack([lost, gained, samples], 1), axis=0, return_inverse=True)
    minus, plus, n = (rows[:, at].astype(np.float64) for at in range(3))
    z = quantile(confidence)
    drop = (minus - plus) / n
    low = -_upper_ends(plus, minus, n, z)
    high = _upper_ends(minus, plus, n, z)
    place = place.reshape(-1)
    return drop[place], low[place], high[place]


def _upper_ends(lost: Floats, gained: Floats, n: Floats, z: float) -> Floats:
    """Return where the scores fall to -z, by bisection above the estimates."""
    inside = (lost - gained) / n
    outside = np.ones_like(inside)
    for _ in range(STEPS):
        middle = (inside + outside) / 2
        is_inside = _scores(lost, gained, n, middle) >= -z
        inside = np.where(is_inside, middle, inside)
        outside = np.where(is_inside, outside, middle)
    middles: Floats = (inside + outside) / 2
    return middles


def _scores(lost: Floats, gained: Floats, n: Floats, d: Floats) -> Floats:
    """Return Tango's score statistics of the differences ``d`` (equation 8)."""
    linear = -(lost + gained) + (2 * n - lost + gained) * d
    constant = -gained * d * (1 - d)
    root = np.sqrt(np.maximum(linear * linear - 8 * n * constant, 0.0))
    chance = (root - linear) / (4 * n)
    variance = n * (2 * chance + d * (1 - d))
    gap = lost - gained - n * d
    steep = np.where(gap == 0, 0.0, np.copysign(np.inf, gap))
    safe = np.where(variance > 0, variance, 1.0)
    return np.where(variance > 0, gap / np.sqrt(safe), steep)
