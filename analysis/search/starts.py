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
from analysis.search.goal import Goal
from analysis.search.judge import Judge, Scored
from pruners.errors import InputError, PruneScopeError

# Where strategies are compared if only a drop is asked for, and how finely its size is found.
MIDDLE, FINENESS = 0.5, 0.02
LEAST_SHARE = 0.05


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


def starts(goal: Goal, points: pd.DataFrame, judge: Judge, cancel: Cancel) -> Iterator[Start]:
    """Measure what each strategy finds, and with a drop how small the best one gets.

    Args:
        goal: What is looked for.
        points: Of every layer alone; without any, strategies that need them find nothing.
        judge: Measures plans.
        cancel: Asked before each plan.

    Raises:
        InputError: No strategy finds a plan within the budgets.
    """
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
        raise InputError(reasons[0] if reasons else "no strategy finds a plan")
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
    judge: Judge,
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
