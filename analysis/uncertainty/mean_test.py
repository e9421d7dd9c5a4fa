"""Decide early whether a mean is below zero, at looks that are planned."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import NormalDist

# A mean this many standard errors above zero is not going to turn out below it.
HOPELESS = 0.5


@dataclass(slots=True)
class MeanTest:
    """A one-sided test of ``mean < 0`` from sums that grow look by look.

    Each of the planned looks spends an equal share of the chance of error (Bonferroni), so the
    chance that a mean of at least zero passes for one below it is at most ``alpha`` over all looks.
    Giving up early where it looks hopeless only lowers it.

    Attributes:
        looks: Planned number of looks.
        alpha: Chance of a wrong "below", at most; by the normal approximation of the mean.
        samples: Values so far.
        mean: Their mean.

    References:
        C. Jennison, B. Turnbull, "Group Sequential Methods", 2000, chapters 1 and 4 (stopping for
        futility does not raise the error).
    """

    looks: int
    alpha: float = 0.1
    samples: int = 0
    mean: float = 0.0
    _squares: float = 0.0
    _seen: int = field(default=0)

    def update(self, mean: float, variance: float, samples: int) -> bool | None:
        """Add the values of the next look, by their mean and (population) variance.

        Returns:
            True: below zero. False: not shown, and no further look is worth it. None: go on.
        """
        total = self.samples + samples
        shift = mean - self.mean
        self._squares += variance * samples + shift**2 * self.samples * samples / total
        self.mean += shift * samples / total
        self.samples = total
        self._seen += 1
        limit = -NormalDist().inv_cdf(self.alpha / self.looks)
        if self.mean < -limit * self.error:
            return True
        if self._seen >= self.looks or self.mean > HOPELESS * self.error:
            return False
        return None

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return math.sqrt(self._squares / max(self.samples - 1, 1) / max(self.samples, 1))
