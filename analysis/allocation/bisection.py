"""What strategies share: bisection on one level, and words for budgets out of reach."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from analysis.allocation.goals import Budget
from analysis.allocation.strategy import Allocation, Request
from analysis.plans import Prediction, dense_accuracy, envelopes, find, lock, predict_from
from analysis.records import Plan
from analysis.sentences import listed, percent
from analysis.tasks import scoring_of
from pruners.errors import InputError

Fill = Callable[[Request, float], Plan]
_SLACK = 1e-12


def predictions(request: Request) -> Callable[[Plan], Prediction]:
    """Return what predicts plans: as the request says, else by adding the single drops."""
    assert request.points is not None
    curves = envelopes(request.points)
    dense = dense_accuracy(request.points, request.plan.subject.task)

    def predicted(plan: Plan) -> Prediction:
        found = None if request.predict is None else request.predict(plan)
        found = predict_from(plan, curves) if found is None else found
        return found.within(dense, plan.subject.task)

    return predicted


class Spending:
    """Says what a plan spends of the budgets of a request, and whether they hold.

    Args:
        request: What was asked.

    Attributes:
        limits: Limit by budget, as a fraction.

    Raises:
        InputError: Drops are predicted from curves, and there are none.
    """

    def __init__(self, request: Request) -> None:
        self._meter = request.meter
        self.limits: Mapping[Budget, float] = {
            budget: budget.share(lambda kind=budget.kind: request.meter.dense(kind))  # type: ignore[misc]
            for budget in request.budgets
        }
        if any(budget.is_drop for budget in request.budgets):
            if request.points is None:
                raise InputError(
                    "a budget in drop is predicted from measured curves: run a sweep first"
                )
            self._predicted = predictions(request)

    def of(self, plan: Plan, budget: Budget) -> float:
        """Return what a plan spends of a budget, as a fraction."""
        if not budget.is_drop:
            return self._meter.share(plan, budget.kind)
        return self._predicted(plan).drop

    def all(self, plan: Plan) -> dict[str, float]:
        """Return what a plan spends, by kind of budget."""
        return {budget.kind: self.of(plan, budget) for budget in self.limits}

    def broken(self, plan: Plan, *, drops: bool | None = None) -> list[Budget]:
        """Return the budgets that do not hold.

        Args:
            plan: The plan.
            drops: Only those of drops, or only those of sizes; None for all.
        """
        return [
            budget
            for budget, limit in self.limits.items()
            if drops in (None, budget.is_drop) and self.of(plan, budget) > limit + _SLACK
        ]


def to_budgets(request: Request, *, levels: Sequence[float], fill: Fill) -> Allocation:
    """Choose the level that meets all budgets: the mildest for sizes, the strongest for drops.

    With budgets of both kinds it is the mildest that meets those of sizes.

    Args:
        request: What was asked.
        levels: All levels at which the plan changes, rising, from mild to strong.
        fill: Fills the plan at a level; stronger levels never cost more and never remove less.

    Returns:
        The allocation; infeasible with the nearest plan where no level meets the budgets.
    """
    spending = Spending(request)
    has_sizes = not all(budget.is_drop for budget in request.budgets)

    def is_strong(level: float) -> bool:
        """Whether sizes hold; with drops alone, whether a drop does not."""
        return bool(spending.broken(fill(request, level), drops=not has_sizes)) != has_sizes

    mild, strong = 0, len(levels)
    while mild < strong:
        middle = (mild + strong) // 2
        mild, strong = (mild, middle) if is_strong(levels[middle]) else (middle + 1, strong)
    place = strong if has_sizes else strong - 1
    level = levels[min(max(place, 0), len(levels) - 1)]
    plan = fill(request, level)
    found = Allocation(plan=plan, spent=spending.all(plan), level=level)
    broken = spending.broken(plan)
    if not broken:
        return found
    if broken[0].is_drop:
        return drop_out_of_reach(found, broken[0], has_sizes=has_sizes)
    return _size_out_of_reach(request, broken, found, fill=fill)


def drop_out_of_reach(found: Allocation, budget: Budget, *, has_sizes: bool) -> Allocation:
    """Return the nearest plan as infeasible for a budget in drop, and say why.

    Args:
        found: The nearest plan.
        budget: The budget that it does not meet.
        has_sizes: Whether sizes are limited as well.
    """
    words = scoring_of(found.plan.subject.task).words
    cost = words.cost(found.spent[budget.kind])
    if has_sizes:
        message = (
            f"{budget.text(words)} is out of reach: the mildest plan within the other budgets is "
            f"predicted to cost {cost}"
        )
        return dataclasses.replace(found, feasible=False, message=message)
    blocking = tuple(
        entry.layer for entry in found.plan.entries if entry.locked and entry.kept < entry.total
    )
    message = (
        f"{budget.text(words)} is out of reach: the locked entries alone are predicted to cost "
        f"{cost} ({', '.join(blocking)})"
    )
    return dataclasses.replace(found, feasible=False, blocking=blocking, message=message)


def _size_out_of_reach(
    request: Request, broken: Sequence[Budget], found: Allocation, *, fill: Fill
) -> Allocation:
    """Say what is nearest, and which locks stand in the way."""
    assert found.level is not None
    level = found.level

    def reaches(names: Sequence[str]) -> bool:
        free = request.plan
        for name in names:
            free = lock(free, name, locked=False)
        plan = fill(dataclasses.replace(request, plan=free), level)
        return not Spending(request).broken(plan, drops=False)

    return out_of_reach(request, broken, found, reaches=reaches)


def out_of_reach(
    request: Request,
    broken: Sequence[Budget],
    found: Allocation,
    *,
    reaches: Callable[[Sequence[str]], bool],
) -> Allocation:
    """Return the nearest plan as infeasible, and say which locks stand in the way.

    Args:
        request: What was asked.
        broken: The budgets of sizes that it does not meet.
        found: The nearest plan.
        reaches: Whether the budgets are met without the locks of these entries.
    """
    everything = [entry.name for entry in request.plan.entries if entry.locked]
    alone = [name for name in everything if reaches([name])]
    words = scoring_of(request.plan.subject.task).words
    limits = " and ".join(budget.text(words) for budget in broken)
    left = " and ".join(percent(found.spent[budget.kind], digits=1) for budget in broken)
    message = f"{limits} is out of reach: the nearest plan leaves {left}"
    if alone:
        message += f"; unlocking {' or '.join(alone)} would be enough"
    elif everything and reaches(everything):
        alone = everything
        message += f"; the locks of {listed(everything)} together stand in the way"
    else:
        message += "; this is all that the strategy can remove"
    blocking = tuple(find(request.plan, name).layer for name in alone)
    return dataclasses.replace(found, feasible=False, message=message, blocking=blocking)
