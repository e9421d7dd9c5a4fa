"""What strategies share: bisection on one level, and words for a budget out of reach."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from analysis.allocation.goals import Budget
from analysis.allocation.strategy import Allocation, Request
from analysis.plans import dense_accuracy, envelopes, find, lock, predict_from
from analysis.records import Plan
from analysis.tasks import scoring_of
from pruners.errors import InputError

Fill = Callable[[Request, float], Plan]
Spent = Callable[[Plan], float]
_SLACK = 1e-12


def spender(request: Request, budget: Budget) -> Spent:
    """Return a function that says what a plan spends of a budget, in the budget's unit.

    Raises:
        InputError: Drops are predicted from curves, and there are none.
    """
    if not budget.is_drop:
        return lambda plan: request.meter.share(plan, budget.kind)
    if request.points is None:
        raise InputError("a budget in drop is predicted from measured curves: run a sweep first")
    by_curve, dense = envelopes(request.points), dense_accuracy(request.points)
    return lambda plan: predict_from(plan, by_curve).within(dense, plan.subject.task).drop


def to_budget(
    request: Request, budget: Budget, *, levels: Sequence[float], fill: Fill
) -> Allocation:
    """Choose the level that meets a budget: the mildest for sizes, the strongest for drops.

    Args:
        request: What was asked.
        budget: The limit.
        levels: All levels at which the plan changes, rising, from mild to strong.
        fill: Fills the plan at a level; stronger levels never cost more and never remove less.

    Returns:
        The allocation; infeasible with the nearest plan where no level meets the budget.
    """
    spent = spender(request, budget)
    if budget.is_drop:
        return _strongest_within(request, budget, levels=levels, fill=fill, spent=spent)
    mild, strong = 0, len(levels) - 1
    strongest = fill(request, levels[strong])
    if spent(strongest) > budget.limit + _SLACK:
        return _out_of_reach(
            request, budget, strongest, level=levels[strong], fill=fill, spent=spent
        )
    while mild < strong:
        middle = (mild + strong) // 2
        if spent(fill(request, levels[middle])) <= budget.limit + _SLACK:
            strong = middle
        else:
            mild = middle + 1
    plan = fill(request, levels[strong])
    return Allocation(plan=plan, spent=spent(plan), level=levels[strong])


def _strongest_within(
    request: Request, budget: Budget, *, levels: Sequence[float], fill: Fill, spent: Spent
) -> Allocation:
    mild, strong = 0, len(levels) - 1
    if spent(fill(request, levels[0])) > budget.limit + _SLACK:
        plan = fill(request, levels[0])
        found, words = spent(plan), scoring_of(plan.subject.task).words
        blocking = tuple(
            entry.layer for entry in plan.entries if entry.locked and entry.kept < entry.total
        )
        return Allocation(
            plan=plan,
            feasible=False,
            spent=found,
            level=levels[0],
            blocking=blocking,
            message=f"{budget.text} is out of reach: the locked entries alone are predicted to "
            f"cost {words.cost(found)} ({', '.join(blocking)})",
        )
    while mild < strong:
        middle = (mild + strong + 1) // 2
        if spent(fill(request, levels[middle])) <= budget.limit + _SLACK:
            mild = middle
        else:
            strong = middle - 1
    plan = fill(request, levels[mild])
    return Allocation(plan=plan, spent=spent(plan), level=levels[mild])


def _out_of_reach(
    request: Request, budget: Budget, plan: Plan, *, level: float, fill: Fill, spent: Spent
) -> Allocation:
    """Say what is nearest, and which locks stand in the way."""
    found = spent(plan)
    locked = [entry for entry in request.plan.entries if entry.locked]

    def reaches(names: Sequence[str]) -> bool:
        free = request.plan
        for name in names:
            free = lock(free, name, locked=False)
        opened = dataclasses.replace(request, plan=free)
        return spent(fill(opened, level)) <= budget.limit + _SLACK

    alone = [entry.name for entry in locked if reaches([entry.name])]
    everything = [entry.name for entry in locked]
    message = f"{budget.text} is out of reach: the nearest plan leaves {found:.1%}"
    if alone:
        message += f"; unlocking {' or '.join(alone)} would be enough"
    elif everything and reaches(everything):
        alone = everything
        message += f"; the locks of {', '.join(everything)} together stand in the way"
    else:
        message += "; this is all that the strategy can remove"
    blocking = tuple(find(request.plan, name).layer for name in alone)
    return Allocation(
        plan=plan, feasible=False, spent=found, level=level, message=message, blocking=blocking
    )
