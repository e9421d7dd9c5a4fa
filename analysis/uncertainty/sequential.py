"""Decide from a growing sample whether a drop exceeds a tolerance, however often one looks.

The question is about the whole evaluation set: would the exhaustive sweep find a drop above the
tolerance? Its samples are read in a random order without replacement. For each of the two possible
answers a bettor starts with 1 and bets against that answer; while it is true, the bettor's wealth
is a non-negative supermartingale, so it reaches 1/alpha with probability at most alpha at *any*
time (Ville's inequality). The answer whose bettor gets there is rejected.

References:
    I. Waudby-Smith, A. Ramdas, "Confidence sequences for sampling without replacement", NeurIPS
    2020, arXiv:2006.04347; the same, "Estimating means of bounded random variables by betting",
    JRSS-B 2024, arXiv:2010.09686.

    Two deviations. The bets are a mixture over a fixed grid instead of one adaptive bet. And only
    the counts of each slice of samples are known, not their order, so a bet stays the same within
    a slice: the expected product of the factors of a draw without replacement is at most that with
    replacement (Maclaurin's inequality for elementary symmetric means), which keeps the wealth a
    supermartingale from slice to slice.
"""

from __future__ import annotations

import math
from typing import Literal, Protocol

from analysis.records import SliceCounts
from pruners.errors import InputError

Decision = Literal["tolerated", "exceeds"]
# The best bet is (drop - tolerance) / share of flips. Gaps of 0.1 to 2 pp at 2 to 5 % of flips,
# where the work is, want bets of 0.02 to 0.5; a wider grid costs more samples than it saves.
BETS = tuple(0.95 * 0.5**power for power in range(1, 6))
_SLACK = 1e-9


class SequentialTest(Protocol):
    """Decides on one point from what its slices show.

    Attributes:
        samples: Samples so far.
        decision: The decision, once there is one; it stays.
    """

    samples: int
    decision: Decision | None

    def update(self, part: SliceCounts) -> Decision | None:
        """Add what the next slice showed and return the decision, if there is one."""

    def adopt(self, drop: float, samples: int) -> Decision:
        """Take over a decision that was made on so many samples: the side that they lie on."""


class _Bettor:
    """Bets against "the set's total of x is at most ``boundary``", x in -1, 0, 1."""

    def __init__(self, boundary: int, population: int) -> None:
        self._boundary = boundary
        self._population = population
        self._total = 0.0
        self._seen = 0
        self._log_wealth = [0.0] * len(BETS)
        self.is_impossible = False

    def update(self, plus: float, minus: float, samples: int) -> None:
        left = self._population - self._seen
        mean = (self._boundary - self._total) / left
        for at, bet in enumerate(BETS):
            self._log_wealth[at] += _log_growth(bet, mean, plus, minus, samples)
        self._total += plus - minus
        self._seen += samples
        rest = self._population - self._seen
        # Even if all samples that are left were -1, the total would be above the boundary.
        self.is_impossible = self._total - rest > self._boundary

    @property
    def log_wealth(self) -> float:
        """Log of the mean wealth over the grid of bets."""
        top = max(self._log_wealth)
        if top == -math.inf:
            return top
        total = sum(math.exp(value - top) for value in self._log_wealth)
        return top + math.log(total / len(BETS))


def _log_growth(bet: float, mean: float, plus: float, minus: float, samples: int) -> float:
    """Return the log of a slice's factors ``1 + bet * (x - mean)``.

    A mean outside of [-1, 1] says that the rejected answer is certain or impossible: no bet then.
    """
    if not -1 < mean < 1:
        return 0.0
    # No factor may become negative; the bound is known before the slice is.
    bet = min(bet, 0.95 / (1 + mean))
    return (
        plus * math.log1p(bet * (1 - mean))
        + minus * math.log1p(-bet * (1 + mean))
        + (samples - plus - minus) * math.log1p(-bet * mean)
    )


class DropTest:
    """A sequential test of one point.

    Args:
        tolerance: Largest accepted drop, a fraction.
        population: Samples of the evaluation set.
        alpha: Chance of a wrong decision, at most.
    """

    def __init__(self, *, tolerance: float, population: int, alpha: float) -> None:
        if not 0 < alpha < 1:
            raise InputError(f"a chance of error lies between 0 and 1, found {alpha}")
        accepted = math.floor(tolerance * population + _SLACK)
        self._population = population
        self._accepted = accepted
        self._limit = -math.log(alpha)
        self._against_tolerated = _Bettor(accepted, population)
        self._against_exceeds = _Bettor(-(accepted + 1), population)
        self._difference = 0.0
        self.samples = 0
        self.decision: Decision | None = None

    def update(self, part: SliceCounts) -> Decision | None:
        """Add the next slice of the set and return the decision, if there is one."""
        if self.decision is not None or not part.samples:
            return self.decision
        self._against_tolerated.update(part.lost, part.gained, part.samples)
        self._against_exceeds.update(part.gained, part.lost, part.samples)
        self._difference += part.lost - part.gained
        self.samples += part.samples
        self.decision = self._decided()
        return self.decision

    def adopt(self, drop: float, samples: int) -> Decision:
        """Take over a decision that was made on so many samples: the side that they lie on."""
        self.samples = samples
        limit = self._accepted / self._population
        self.decision = "exceeds" if drop > limit else "tolerated"
        return self.decision

    def _decided(self) -> Decision | None:
        if self.samples >= self._population:
            return "exceeds" if self._difference > self._accepted else "tolerated"
        for bettor, decision in (
            (self._against_tolerated, "exceeds"),
            (self._against_exceeds, "tolerated"),
        ):
            if bettor.is_impossible or bettor.log_wealth >= self._limit:
                return "exceeds" if decision == "exceeds" else "tolerated"
        return None
