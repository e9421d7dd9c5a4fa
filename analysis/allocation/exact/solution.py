"""Lagrangian multipliers, a first choice, and the search for a better one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.allocation.exact.elimination import Elimination, elimination_order
from analysis.allocation.exact.labels import LabelSearch
from analysis.allocation.exact.problem import Problem

_STEPS = 60
# Partial choices that are kept of one step, and of all steps together: some seconds.
MAX_LABELS, ALL_LABELS = 20_000, 600_000


@dataclass(frozen=True, slots=True)
class Solution:
    """The best choice that was found.

    Attributes:
        chosen: Choice by variable.
        value: Its first quantity.
        least: No choice within the limits has less.
    """

    chosen: tuple[int, ...]
    value: float
    least: float

    @property
    def gap(self) -> float:
        """How much better another choice could be at most; 0 if this one is the best."""
        return max(self.value - self.least, 0.0)


def solve(problem: Problem, *, most: int | None = None) -> Solution | None:
    """Return the choice of the least first quantity within the limits.

    Args:
        problem: What is to be chosen.
        most: Partial choices that are kept of each step; fewer are faster, and leave a larger gap.
            None takes what ends in seconds.

    Returns:
        The solution; None where no choice within the limits was found.
    """
    order = elimination_order(problem)
    ranked = problem.reordered(order)
    elimination = Elimination(ranked)
    dual = _Dual(ranked, elimination)
    multipliers = dual.best()
    known = ranked.value(dual.chosen)[0] if dual.chosen is not None else np.inf
    most = most or min(MAX_LABELS, ALL_LABELS // max(len(order), 1))
    search = LabelSearch(ranked, elimination, multipliers, most=most)
    better, dropped = search.run(float(known))
    chosen = dual.chosen if better is None else better
    if chosen is None:
        return None
    value = float(ranked.value(chosen)[0])
    named = dict(zip(order, chosen, strict=True))
    places = tuple(named[place] for place in range(len(order)))
    # What the variables cost at least, whatever the limits are.
    free = float(elimination.run(np.eye(problem.quantities)[0])[0])
    return Solution(places, value, min(value, max(dropped, free)))


class _Dual:
    """Finds multipliers of the highest bound, and choices within the limits on the way.

    Attributes:
        chosen: The best of these choices; None so far.
    """

    def __init__(self, problem: Problem, elimination: Elimination) -> None:
        self._problem, self._elimination = problem, elimination
        self.chosen: list[int] | None = None
        self._value = np.inf

    def best(self) -> np.ndarray:
        """Return the multipliers ``(limits,)``."""
        count = len(self._problem.limits)
        alone = [self._along(np.eye(count)[place], place) for place in range(count)]
        if count == 1:
            return alone[0]
        return self._of_several(max(alone, key=lambda found: self._at(found)[0]))

    def _at(self, multipliers: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the bound and the quantities of a choice that has it."""
        least, arrays = self._elimination.run(np.concatenate([[1.0], multipliers]))
        chosen = self._elimination.decoded(arrays)
        value = self._problem.value(chosen)
        if self._problem.holds(value):
            chosen = self._problem.improved(chosen)
            first = float(self._problem.value(chosen)[0])
            if first < self._value:
                self.chosen, self._value = chosen, first
        return least - float(multipliers @ self._problem.limits), value

    def _along(self, direction: np.ndarray, place: int) -> np.ndarray:
        """Search where the lines of two choices, one within a limit and one not, meet."""
        limit = float(self._problem.limits[place])
        _, free = self._at(0 * direction)
        if free[1 + place] <= limit:
            return 0 * direction
        slope = 1.0 / max(abs(limit), 1e-12)
        _, bound = self._at(slope * direction)
        for _ in range(_STEPS):
            if bound[1 + place] <= limit:
                break
            free, slope = bound, slope * 8
            _, bound = self._at(slope * direction)
        for _ in range(_STEPS):
            less = max(float(free[1 + place] - bound[1 + place]), 1e-300)
            slope = float(bound[0] - free[0]) / less
            _, middle = self._at(slope * direction)
            line = bound[0] + slope * bound[1 + place]
            if middle[0] + slope * middle[1 + place] >= line - 1e-12 * max(abs(line), 1.0):
                break
            free, bound = (free, middle) if middle[1 + place] <= limit else (middle, bound)
        return slope * direction

    def _of_several(self, start: np.ndarray) -> np.ndarray:
        """Climb along what is too much (Polyak's steps: as far as the best choice is above)."""
        scale = np.maximum(np.abs(self._problem.limits), 1e-12)
        best, found, factor, stuck = -np.inf, start * scale, 1.0, 0
        multipliers = found
        for _ in range(4 * _STEPS):
            bound, value = self._at(multipliers / scale)
            rise = bound - best
            if rise > 0:
                best, found = bound, multipliers
            stuck = 0 if rise > 1e-4 * abs(bound) else stuck + 1
            if stuck >= 8:
                factor, stuck, multipliers = factor / 2, 0, found
                continue
            above = (self._value if np.isfinite(self._value) else value[0] + 1.0) - bound
            over = (value[1:] - self._problem.limits) / scale
            length = float(over @ over)
            if length == 0 or above <= 1e-9 * abs(bound) or factor < 1e-3:
                break
            multipliers = np.maximum(multipliers + factor * above * over / length, 0.0)
        return np.asarray(found / scale)
