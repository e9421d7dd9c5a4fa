"""Tango's paired intervals of many points at once, for tables that are drawn again every second.

The same numbers as `analysis.uncertainty.intervals.paired_drop`, which is the readable form and
the oracle.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analysis.uncertainty.intervals import quantile

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
STEPS = 48


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
