"""What measured plans teach of predictions: a Gaussian process over what is known of plans.

Drops are compared by ``sqrt(drop + EASE)``: there errors of small and of large drops are about as
large. The guess is the drop of all layers together. Where they move outputs the same way, more is
lost than that, by what a larger gain would lose; the rest of the error is linear in the signs of a
plan, alike for plans that prune alike, the smaller the more one layer does alone and the less is
lost.
What a curve does between two points is a Brownian bridge, so that plans which prune a layer in the
same interval teach of it: there curves err most, where they rise steeply.
How large errors are is learnt as well: with few measured plans the interval is that of the samples
on which the constants were chosen, with many it is the subject's own (``python -m
benchmarks.prediction``).
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from analysis.prediction.signs import GAINS, Interval, Signs

EASE = 0.002
# Standard deviations of the weights of the signs: the guess, the steps to larger gains, the sum.
GUESS, STEPS, SUM = 0.12, (0.7, 0.3), 0.2
# Of moves the same way: how many steps to the next gain are lost beside the guess, and how far that
# strays (both in the unit of that step's standard deviation).
SAME_WAY, STRAYING = 1.8, 0.8
# Of what plans have in common that prune alike, and by which difference of ratios they do not.
ALIKE, REACH = 0.1, 0.25
# Of the rest: of any plan, where layers act on each other, and by how curves bend between points.
READING, NOISE, BENDING = 0.025, 0.05, 0.4
# How far curves stray between two points, as a share of the step from one to the other.
STRAY = 0.6
# So even are changes of which none does more than a third, and so large drops, whose errors are the
# largest; they grow with this power of the drop.
EVEN, LARGE, POWER = 2 / 3, 0.1, 0.8
LEAST = 0.1
# The error of any plan is as large from this size on, and no less than this share of it.
WHOLE, SHARE = 0.3, 0.3
# The constants count as much as so many measured plans; of a subject without any, errors vary more
# than the constants say, as no two subjects err alike: so many times their variance.
PRIOR, UNSEEN = 10.0, 2.0


def scaled(drops: np.ndarray) -> np.ndarray:
    """Return drops on the scale on which they are compared; below 0 it goes on straight.

    >>> scaled(np.array([0.0, 0.25 - EASE]))[1]
    np.float64(0.5)
    """
    above = np.sqrt(np.maximum(drops, 0.0) + EASE)
    found: np.ndarray = above + np.minimum(drops, 0.0) / (2 * np.sqrt(EASE))
    return found


def unscaled(values: np.ndarray) -> np.ndarray:
    """Return drops, the inverse of `scaled`."""
    bend = np.sqrt(EASE)
    above = np.square(np.maximum(values, bend)) - EASE
    found: np.ndarray = above + np.minimum(values - bend, 0.0) * 2 * bend
    return found


class Calibration:
    """Drops of plans, learnt from measured ones.

    Args:
        signs: What is known of the measured plans.
        drops: What they lost.
    """

    def __init__(self, signs: Sequence[Signs] = (), drops: Sequence[float] = ()) -> None:
        self._signs = list(signs)
        self._residuals = scaled(np.array(drops, dtype=float)) - _expected(self._signs)
        kernel = _kernel(self._signs, self._signs) + np.diag(_noise(self._signs))
        self._factor = np.linalg.cholesky(kernel)
        self._weights = self._solve(self._residuals)
        misfit = float(self._residuals @ self._weights)
        self._freedom = PRIOR + len(self._signs)
        self._size = (PRIOR * UNSEEN + misfit) / self._freedom

    def __len__(self) -> int:
        return len(self._signs)

    def _solve(self, values: np.ndarray) -> np.ndarray:
        half = np.linalg.solve(self._factor, values)
        found: np.ndarray = np.linalg.solve(self._factor.T, half)
        return found

    def predict(self, signs: Signs, *, confidence: float) -> tuple[float, float, float]:
        """Return the expected drop of a plan, and the ends of the interval of what it measures."""
        own = [signs]
        shared = _kernel(own, self._signs)[0]
        mean = float(_expected(own)[0] + shared @ self._weights)
        variance = float(_kernel(own, own)[0, 0] + _noise(own)[0] - shared @ self._solve(shared))
        reach = _quantile((1 + confidence) / 2, self._freedom) * np.sqrt(self._size * variance)
        drop, low, high = unscaled(np.array([mean, mean - reach, mean + reach]))
        return float(drop), float(low), float(high)


def _expected(signs: Sequence[Signs]) -> np.ndarray:
    found: np.ndarray = _guess(signs) + SAME_WAY * _same_way(_steps(signs), signs) * _sizes(signs)
    return found


def _guess(signs: Sequence[Signs]) -> np.ndarray:
    return scaled(_joint(signs))


def _joint(signs: Sequence[Signs]) -> np.ndarray:
    return np.array([item.together[GAINS.index(1.0)] for item in signs], dtype=float)


def _design(signs: Sequence[Signs]) -> np.ndarray:
    """Return the regressors of plans' errors, in standard deviations ``(plans, signs)``."""
    guess, steps = _guess(signs), _steps(signs)
    added = scaled(np.array([item.added for item in signs]))
    same_way = STRAYING * _same_way(steps, signs)
    return np.stack([GUESS * guess, *steps.T, same_way, SUM * (added - guess)], axis=1)


def _steps(signs: Sequence[Signs]) -> np.ndarray:
    """Return what the steps to larger gains lose, in standard deviations ``(plans, steps)``."""
    together = scaled(np.array([item.together for item in signs]).reshape(len(signs), len(GAINS)))
    found: np.ndarray = np.diff(together, axis=1) * STEPS
    return found


def _same_way(steps: np.ndarray, signs: Sequence[Signs]) -> np.ndarray:
    found: np.ndarray = steps[:, 0] * [max(item.coherence - 1, 0.0) for item in signs]
    return found


def _kernel(signs: Sequence[Signs], others: Sequence[Signs]) -> np.ndarray:
    """Return the covariances of plans' errors, noise aside, ``(plans, others)``."""
    names = sorted({name for item in (*signs, *others) for name in item.ratios})
    apart = np.square(_ratios(signs, names)[:, None] - _ratios(others, names)[None]).sum(-1)
    alike = ALIKE**2 * np.exp(-apart / (2 * REACH**2))
    sizes = np.outer(_sizes(signs), _sizes(others))
    by_signs = (_design(signs) @ _design(others).T + alike) * sizes
    found: np.ndarray = by_signs + _bridges(signs, others)
    return found


def _bridges(signs: Sequence[Signs], others: Sequence[Signs]) -> np.ndarray:
    """Return the covariances by what curves do between their points, ``(plans, others)``."""
    names = sorted({name for item in signs for name in item.between})
    places, steps = _between(signs, names)
    other_places, other_steps = _between(others, names)
    found = np.zeros((len(signs), len(others)))
    for at in range(len(names)):
        # Few plans prune a layer in the same interval.
        here = np.ix_(np.flatnonzero(steps[:, at]), np.flatnonzero(other_steps[:, at]))
        one, other = places[here[0], at], other_places[here[1], at]
        sizes = steps[here[0], at] * other_steps[here[1], at]
        found[here] += sizes * (np.minimum(one, other) - one * other)
    return STRAY**2 * found


def _between(signs: Sequence[Signs], names: Sequence[Interval]) -> tuple[np.ndarray, np.ndarray]:
    """Return places in intervals and their steps, on the scale of drops, ``(plans, names)``."""
    read = [[item.between.get(name, (0.0, 0.0)) for name in names] for item in signs]
    table = np.array(read).reshape(len(signs), len(names), 2)
    return table[..., 0], table[..., 1] * _slopes(signs)[:, None]


def _ratios(signs: Sequence[Signs], names: Sequence[str]) -> np.ndarray:
    found = [[item.ratios.get(name, 0.0) for name in names] for item in signs]
    return np.array(found).reshape(len(signs), len(names))


def _noise(signs: Sequence[Signs]) -> np.ndarray:
    sizes = _sizes(signs)
    reading = READING * np.clip(sizes / WHOLE, SHARE, 1.0)
    bends = scaled(_joint(signs) + np.array([item.bend for item in signs])) - _guess(signs)
    sampled = _slopes(signs) * np.array([item.error for item in signs])
    found: np.ndarray = (
        reading**2 + np.square(NOISE * sizes) + np.square(BENDING * bends) + np.square(sampled)
    )
    return found


def _slopes(signs: Sequence[Signs]) -> np.ndarray:
    """Return by how much a drop moves on the scale of drops."""
    found: np.ndarray = 1 / (2 * np.maximum(_guess(signs), np.sqrt(EASE)))
    return found


def _sizes(signs: Sequence[Signs]) -> np.ndarray:
    """Return how large the errors of plans are beside those of the largest."""
    even = np.minimum([item.evenness / EVEN for item in signs], 1.0)
    lost = np.clip(_joint(signs) / LARGE, 0.0, 1.0) ** POWER
    found: np.ndarray = np.clip(even * lost, LEAST, 1.0)
    return found


def _quantile(level: float, freedom: float) -> float:
    """Return the quantile of Student's t by its expansion; right to 0.002 from 10 degrees on."""
    z = NormalDist().inv_cdf(level)
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    return z + (z**3 + z) / (4 * freedom) + second / freedom**2
