"""Decide early whether a mean of bounded differences exceeds a tolerance, however often one looks.

The betting of `analysis.uncertainty.sequential` for differences of any size within a bound. Only
the sum and the sum of squares of each slice are known, so that the wealth is bounded from below by
``log(1 + y) >= y - y**2``, which holds from ``y = -1/2``: what is rejected is rejected by the exact
wealth, too.
"""

from __future__ import annotations

import math

from analysis.records import SliceCounts
from analysis.uncertainty.sequential import Decision

# Shares of the largest bet.
SHARES = tuple(0.5**power for power in range(7))


class _Bettor:
    """Bets against "the mean of the set is at most ``boundary``"."""

    def __init__(self, boundary: float, bound: float, population: int) -> None:
        self._boundary, self._bound, self._population = boundary, bound, population
        self._total, self._seen = 0.0, 0
        self._log_wealth = [0.0] * len(SHARES)

    def update(self, total: float, squares: float, samples: int) -> None:
        left = self._population - self._seen
        mean = (self._boundary * self._population - self._total) / left
        if abs(mean) < self._bound:
            # No factor may fall below a half; the largest bet is known before the slice is.
            largest = 0.5 / (self._bound + abs(mean))
            linear = total - samples * mean
            square = squares - 2 * mean * total + samples * mean * mean
            for at, share in enumerate(SHARES):
                bet = largest * share
                self._log_wealth[at] += bet * linear - bet * bet * square
        self._total += total
        self._seen += samples

    @property
    def log_wealth(self) -> float:
        top = max(self._log_wealth)
        total = sum(math.exp(value - top) for value in self._log_wealth)
        return top + math.log(total / len(SHARES))


class BoundedTest:
    """A sequential test of one point, whose looks are sums and sums of squares of drops.

    Args:
        tolerance: Largest accepted mean drop.
        bound: Largest size of a drop; larger ones were clipped.
        population: Samples of the evaluation set.
        alpha: Chance of a wrong decision about the mean of the clipped drops, at most.
    """

    def __init__(self, *, tolerance: float, bound: float, population: int, alpha: float) -> None:
        self._tolerance, self._limit = tolerance, -math.log(alpha)
        self._above = _Bettor(tolerance, bound, population)
        self._below = _Bettor(-tolerance, bound, population)
        self.samples = 0
        self.decision: Decision | None = None

    def update(self, part: SliceCounts) -> Decision | None:
        """Add the next slice of the set and return the decision, if there is one."""
        if self.decision is not None or not part.samples:
            return self.decision
        self._above.update(part.lost, part.gained, part.samples)
        self._below.update(-part.lost, part.gained, part.samples)
        self.samples += part.samples
        if self._above.log_wealth >= self._limit:
            self.decision = "exceeds"
        elif self._below.log_wealth >= self._limit:
            self.decision = "tolerated"
        return self.decision

    def adopt(self, drop: float, samples: int) -> Decision:
        """Take the side that a drop lies on."""
        self.samples = samples
        self.decision = "tolerated" if drop <= self._tolerance else "exceeds"
        return self.decision
