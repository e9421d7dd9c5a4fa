"""Decide early whether a drop exceeds a tolerance from intervals, at looks that are planned.

For what is no mean of samples. Each look spends an equal share of the chance of error
(Bonferroni), so that all of them together keep it as far as the intervals do: they are those of a
smooth function of sums, which holds for many samples.
"""

from __future__ import annotations

from analysis.records import SliceCounts
from analysis.uncertainty.sequential import Decision

# No decision on less than two samples a group.
FEWEST = 64


class LooksTest:
    """A sequential test of one point, whose looks are intervals of its drop on all samples so far.

    Args:
        tolerance: Largest accepted drop.
    """

    def __init__(self, *, tolerance: float) -> None:
        self._tolerance = tolerance
        self.samples = 0
        self.decision: Decision | None = None

    def update(self, part: SliceCounts) -> Decision | None:
        """Add a look: samples of the next slice, and the interval on all so far."""
        if self.decision is not None or not part.samples:
            return self.decision
        self.samples += part.samples
        if self.samples >= FEWEST:
            if part.lost > self._tolerance:
                self.decision = "exceeds"
            elif part.gained <= self._tolerance:
                self.decision = "tolerated"
        return self.decision

    def adopt(self, drop: float, samples: int) -> Decision:
        """Take the side that a drop lies on."""
        self.samples = samples
        self.decision = "tolerated" if drop <= self._tolerance else "exceeds"
        return self.decision


def level(alpha: float, looks: int) -> float:
    """Return the two-sided confidence of the intervals of so many looks.

    Args:
        alpha: Chance that one of them errs on a given side, at most.
        looks: Planned number.
    """
    return 1 - 2 * alpha / max(looks, 1)
