"""What measured plans teach of predictions: a Gaussian process over what is known of plans.

Drops are compared by ``sqrt(drop + EASE)``: there errors of small and of large drops are about as
large. The expected value is linear in the signs of a plan, with the drop of all layers together as
the prior guess; plans that prune the same layers alike err alike (the kernel); the rest is noise.
How large errors are is learnt as well: with few measured plans the interval is that of the
samples by which the constants were chosen (``python -m benchmarks.prediction``), with many it is
the subject's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from analysis.prediction.signs import GAINS, Signs

EASE = 0.003
# Standard deviations of the weights: level, gains, single drops added, number of layers.
LEVEL, WEIGHT = 0.1, 0.5
# Of what plans have in common that prune alike, and how far that reaches.
ALIKE, REACH = 0.1, 0.2
NOISE = 0.045
# The constants count as much as so many measured plans.
PRIOR = 20.0


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
        design = _design(self._signs)
        self._residuals = scaled(np.array(drops, dtype=float)) - _guess(design)
        kernel = _kernel(design, self._signs, design, self._signs)
        self._factor = np.linalg.cholesky(kernel + NOISE**2 * np.eye(len(self._signs)))
        self._weights = self._solve(self._residuals)
        count, misfit = len(self._signs), float(self._residuals @ self._weights)
        self._freedom = PRIOR + count
        self._size = (PRIOR + misfit) / self._freedom
        self._design = design

    def __len__(self) -> int:
        return len(self._signs)

    def _solve(self, values: np.ndarray) -> np.ndarray:
        half = np.linalg.solve(self._factor, values)
        found: np.ndarray = np.linalg.solve(self._factor.T, half)
        return found

    def predict(self, signs: Signs, *, confidence: float) -> tuple[float, float, float]:
        """Return the expected drop of a plan, and the ends of the interval of what it measures."""
        design, own = _design([signs]), [signs]
        shared = _kernel(design, own, self._design, self._signs)
        mean = _guess(design)[0] + float(shared[0] @ self._weights)
        variance = _kernel(design, own, design, own)[0, 0] + NOISE**2
        variance -= float(shared[0] @ self._solve(shared[0]))
        reach = _quantile((1 + confidence) / 2, self._freedom) * np.sqrt(self._size * variance)
        drop, low, high = unscaled(np.array([mean, mean - reach, mean + reach]))
        return float(drop), float(low), float(high)


def _design(signs: Sequence[Signs]) -> np.ndarray:
    """Return the regressors of plans, ``(plans, 7)``; the second one is the prior guess."""
    together = scaled(np.array([item.together for item in signs]).reshape(len(signs), len(GAINS)))
    guess = together[:, GAINS.index(1.0)]
    steps = np.diff(together, axis=1)
    added = scaled(np.array([item.added for item in signs]))
    layers = 0.1 * np.log([max(len(item.singles), 1) for item in signs])
    columns = [np.ones(len(signs)), guess, *steps.T, added - guess, layers]
    return np.stack(columns, axis=1).reshape(len(signs), len(columns))


def _guess(design: np.ndarray) -> np.ndarray:
    found: np.ndarray = design[:, 1]
    return found


def _kernel(
    design: np.ndarray, signs: Sequence[Signs], others: np.ndarray, other_signs: Sequence[Signs]
) -> np.ndarray:
    spread = np.array([LEVEL, *[WEIGHT] * (design.shape[1] - 1)])
    linear = (design * spread**2) @ others.T
    names = sorted({name for item in (*signs, *other_signs) for name in item.singles})
    one, other = _layers(signs, names), _layers(other_signs, names)
    apart = np.square(one[:, None] - other[None]).sum(-1)
    found: np.ndarray = linear + ALIKE**2 * np.exp(-apart / (2 * REACH**2))
    return found


def _layers(signs: Sequence[Signs], names: Sequence[str]) -> np.ndarray:
    """Return the single drops of plans, scaled, ``(plans, layers)``."""
    drops = [[item.singles.get(name, 0.0) for name in names] for item in signs]
    return scaled(np.array(drops).reshape(len(signs), len(names)))


def _quantile(level: float, freedom: float) -> float:
    """Return the quantile of Student's t by its expansion; right to 0.001 from 20 degrees on."""
    z = NormalDist().inv_cdf(level)
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    return z + (z**3 + z) / (4 * freedom) + second / freedom**2
