"""Intervals from sums by group: of ratios, and of means whose samples belong together.

A score that is a smooth function of sums is computed anew without each group of samples; how it
changes tells its standard error. Sums by group merge by adding, as sums do.

References:
    B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 11; W. Cochran,
    "Sampling Techniques", 1977, chapter 6 (ratios). Groups of unequal size count as many equal ones
    of the same spread: L. Kish, "Survey Sampling", 1965.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from analysis.uncertainty.intervals import Interval
from analysis.uncertainty.student import t_quantile

Floats = npt.NDArray[np.float64]
# Groups that the samples of an evaluation set are dealt into.
GROUPS = 32
JACKKNIFE = "group-jackknife"


def group_jackknife(
    estimate: float, without: Floats, sizes: Floats, confidence: float = 0.95
) -> Interval:
    """Return the interval of a smooth function of sums.

    Args:
        estimate: Its value from all groups.
        without: Its values without each group ``(G,)``; those of empty groups are left out.
        sizes: Samples of each group ``(G,)``.
        confidence: Inside (0, 1).

    Returns:
        ``estimate`` plus and minus Student's quantile times the standard error, whose square is
        ``(G - 1) / G`` times the sum of squares of ``without`` about its mean. Two NaN with fewer
        than two groups.
    """
    has = sizes > 0
    count, samples = int(has.sum()), int(sizes.sum())
    if count < 2:
        return Interval(math.nan, math.nan, JACKKNIFE, samples)
    values = without[has]
    error = math.sqrt((count - 1) / count * float(((values - values.mean()) ** 2).sum()))
    half = t_quantile(confidence, _freedom(sizes)) * error
    return Interval(estimate - half, estimate + half, JACKKNIFE, samples)


def clustered_mean(totals: Floats, sizes: Floats, confidence: float = 0.95) -> Interval:
    """Return the interval of a mean of samples that depend on each other within groups.

    Args:
        totals: Sum of the values of each group ``(G,)``.
        sizes: Samples of each group ``(G,)``.
        confidence: Inside (0, 1).

    Returns:
        The mean plus and minus Student's quantile times the root of the sum over groups of
        ``(total - size * mean)**2``, over the samples (the sandwich of a mean, with
        ``G / (G - 1)``).
    """
    count, samples = int((sizes > 0).sum()), float(sizes.sum())
    if count < 2:
        return Interval(math.nan, math.nan, "clustered-t", int(samples))
    mean = float(totals.sum()) / samples
    spread = float(((totals - sizes * mean) ** 2).sum()) * count / (count - 1)
    half = t_quantile(confidence, _freedom(sizes)) * math.sqrt(spread) / samples
    return Interval(mean - half, mean + half, "clustered-t", int(samples))


def _freedom(sizes: Floats) -> int:
    """Return degrees of freedom: one less than equal groups of the same spread would be."""
    equal = float(sizes.sum()) ** 2 / float((sizes**2).sum())
    return max(1, math.floor(equal + 1e-9) - 1)
