"""Where a search begins: the best of what the other strategies find."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from analysis.allocation import BEST, FIXED, STRATEGIES, Budget, Strategy, allocate
from analysis.measuring import Cancel
from analysis.records import Plan
from analysis.search.alone import cost_name
from analysis.search.data import effort_of
from analysis.search.goal import Goal
from analysis.search.judge import Scored, Scorer
from analysis.search.trades import key_of
from pruners.errors import OutOfReachError, PruneScopeError

# Where strategies are compared if only a drop is asked for, and how finely its size is found.
MIDDLE, FINENESS = 0.5, 0.02
LEAST_SHARE = 0.05
# Where curves say what holds a drop: sizes that are measured after that, how much of the drop they
# aim at, and the share of what is removed below which two sizes are the same.
SIZES, AIMED, APART = 4, 0.9, 0.1


@dataclass(frozen=True, slots=True)
class Start:
    """A plan that was measured.

    Attributes:
        scored: The plan, measured.
        origin: The strategy that found it.
        is_best: Whether it is the best so far of those that keep to all of the goal.
        holds: Whether it holds the drop, be it too large.
    """

    scored: Scored
    origin: str
    is_best: bool
    holds: bool


def starts(goal: Goal, points: pd.DataFrame, judge: Scorer, cancel: Cancel) -> Iterator[Start]:
    """Measure what each strategy finds, and with a drop how small the best one gets.

    Args:
        goal: What is looked for.
        points: Of every layer alone; without any, strategies that need them find nothing.
        judge: Measures plans.
        cancel: Asked before each plan.

    Raises:
        OutOfReachError: No strategy finds a plan within the budgets.
    """
    if goal.max_drop is not None and not goal.sizes and effort_of(goal.prepared.subject).foresees:
        yield from _Foreseen(goal, points, judge, cancel).run()
        return
    sizes = goal.sizes or (Budget(goal.measure, MIDDLE),)
    best: Scored | None = None
    strategy, reasons = "", []
    seen: list[tuple[float, float]] = []
    drop = goal.prepared.subject.task.drop
    for name in _measurable():
        if cancel():
            return
        plan, reason = _filled(goal, points, name, sizes)
        if plan is None:
            reasons.append(reason)
            continue
        scored = judge.score(plan)
        is_best = best is None or scored.cost < best.cost
        if is_best:
            best, strategy = scored, name
        holds = goal.holds(scored, seen)
        seen.append((scored.cost, drop(scored.sums)))
        yield Start(scored, name, is_best and holds, holds)
    if best is None:
        raise OutOfReachError(reasons[0] if reasons else "no strategy finds a plan")
    if goal.max_drop is not None:
        yield from _smallest(goal, points, judge, strategy, best, seen, cancel)


def _measurable() -> list[str]:
    """Return the strategies that go for budgets."""
    return [item.name for item in STRATEGIES if _is_for_budgets(item)]


def _is_for_budgets(strategy: Strategy) -> bool:
    return "budgets" in strategy.needs and not strategy.measures


def _filled(
    goal: Goal, points: pd.DataFrame, name: str, sizes: tuple[Budget, ...]
) -> tuple[Plan | None, str]:
    """Return a strategy's plan, or why there is none."""
    needs = STRATEGIES.get(name).needs
    request = dataclasses.replace(
        goal.request,
        points=points,
        budgets=sizes,
        criteria=BEST if "points" in needs else FIXED,
        cost=cost_name(goal.prepared.subject.spec.task),
    )
    try:
        found = allocate(name, request)
    except PruneScopeError as error:
        return None, str(error)
    return (found.plan, "") if found.feasible else (None, found.message)


def _smallest(
    goal: Goal,
    points: pd.DataFrame,
    judge: Scorer,
    strategy: str,
    middle: Scored,
    seen: list[tuple[float, float]],
    cancel: Cancel,
) -> Iterator[Start]:
    """Find by bisection how small a strategy's plans get while the drop holds."""
    share = goal.share(middle.plan)
    found = goal.holds(middle, seen)
    low, high = (LEAST_SHARE, share) if found else (share, 1.0)
    while high - low > FINENESS and not cancel():
        level = (low + high) / 2
        plan, _ = _filled(goal, points, strategy, (Budget(goal.measure, level),))
        if plan is None:
            low = level
            continue
        scored = judge.score(plan)
        holds = goal.holds(scored, seen)
        seen.append((scored.cost, goal.prepared.subject.task.drop(scored.sums)))
        found = found or holds
        low, high = (low, level) if holds else (level, high)
        yield Start(scored, strategy, holds and goal.fits(scored.plan), holds)
    if not found and not goal.sizes:
        yield Start(judge.score(goal.request.plan), "dense", is_best=True, holds=True)


class _Foreseen:
    """Measures plans that hold a drop by the curves, then sizes by what those lose.

    Args:
        goal: With a drop, and no sizes.
        points: As `starts`.
        judge: As `starts`.
        cancel: As `starts`.
    """

    def __init__(self, goal: Goal, points: pd.DataFrame, judge: Scorer, cancel: Cancel) -> None:
        self._goal, self._points, self._judge, self._cancel = goal, points, judge, cancel
        self._seen: list[tuple[float, float]] = []
        # Shares of the model that are removed: the most that holds, and the least that does not.
        self._held, self._failed = 0.0, 1.0

    def run(self) -> Iterator[Start]:
        """Measure plans until the size that holds is known."""
        assert self._goal.max_drop is not None
        strategy, wanted = "", FINENESS
        for name, plan in self._plans(Budget("drop", self._goal.max_drop)):
            if self._cancel():
                return
            start, wanted = self._measured(plan, name)
            strategy = strategy or name
            yield start
            if start.holds:
                strategy = name
                break
        for _ in range(SIZES):
            if self._cancel() or self._is_known(wanted):
                break
            size = Budget(self._goal.measure, 1 - wanted)
            found = self._plans(size)
            if not found:
                break
            strategy, plan = next((item for item in found if item[0] == strategy), found[0])
            start, wanted = self._measured(plan, strategy)
            yield start
        if not self._held:
            yield Start(self._judge.score(self._goal.request.plan), "dense", True, True)

    def _plans(self, budget: Budget) -> list[tuple[str, Plan]]:
        """Return smaller plans of the strategies, the smallest first, none twice."""
        found: dict[str, tuple[str, Plan]] = {}
        for name in _measurable():
            plan, _ = _filled(self._goal, self._points, name, (budget,))
            if plan is not None and self._is_between(1 - self._goal.share(plan)):
                found.setdefault(key_of(plan), (name, plan))
        return sorted(found.values(), key=lambda item: self._goal.share(item[1]))

    def _is_between(self, removed: float) -> bool:
        return self._held + 1e-9 < removed < self._failed - 1e-9

    def _is_known(self, wanted: float) -> bool:
        """Return whether a size tells no more than those that were measured."""
        near = APART * wanted
        return not self._held + near < wanted < self._failed - near

    def _measured(self, plan: Plan, origin: str) -> tuple[Start, float]:
        """Measure a plan; return with it what to remove next, by what this one surely loses."""
        scored = self._judge.score(plan)
        holds = self._goal.holds(scored, self._seen)
        self._seen.append((scored.cost, self._goal.prepared.subject.task.drop(scored.sums)))
        removed = 1 - self._goal.share(plan)
        if holds:
            self._held = removed
        else:
            self._failed = removed
        assert self._goal.max_drop is not None
        loss = max(self._goal.bound(scored), 1e-9)
        wanted = removed * min(max(AIMED * self._goal.max_drop / loss, 0.2), 2.0)
        if not self._held < wanted < self._failed:
            wanted = (self._held + min(self._failed, 2 * removed)) / 2
        return Start(scored, origin, holds, holds), wanted
